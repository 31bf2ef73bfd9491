"""Answers of tools: plain values, and their form in JSON.

Scripts read these forms. Keys are sorted. A time is UTC in ISO 8601 and ends in "Z". A duration is
an object of "days", "hours", "minutes" (integers) and "seconds" (a float), without those that are
zero; {"seconds": 0.0} is no time at all.
"""

import datetime
import json
import textwrap
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from ZODB.utils import u64

from zc.async_ import utils

#: A job: its oid as an integer, and the name of its database.
JobId = tuple[int, str]

#: Characters of a list that are written at once, at least.
PIECE = 1 << 14

_MICROSECOND = datetime.timedelta(microseconds=1)
#: Units of a duration but the last, in microseconds.
_UNITS = (("days", 86_400_000_000), ("hours", 3_600_000_000), ("minutes", 60_000_000))


def job_id(job: Any) -> JobId:
    """The oid (int) and the name of the database of a job, or of another persistent object.

    Loads nothing. The oid is 0 if the object is in no database.
    """
    return u64(job._p_oid or b"\0" * 8), utils.database_name(job)


def plain(value: Any) -> Any:
    """A value as tools answer with it.

    Lists, tuples and mappings are copied. Naive datetimes are in UTC, and get that as time zone.
    UUIDs become strings. What is no plain value is shown by its repr (`utils.custom_repr`).
    """
    if value is None or isinstance(value, (bool, int, float, str, datetime.timedelta)):
        return value
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list):
        return list(map(plain, value))
    return utils.custom_repr(value)


def to_text(value: Any) -> str:
    """An answer as text: a string as it is, all else as JSON, indented by four."""
    if isinstance(value, str):
        return value
    return _json(value)


def pieces(value: Any) -> Iterator[str]:
    """An answer as text, which ends its last line; that of an iterator in pieces, as it comes."""
    if not isinstance(value, Iterator):
        text = to_text(value)
        yield text if text.endswith("\n") else text + "\n"
        return
    piece = "["
    separator = "\n"
    for item in value:
        piece += separator + textwrap.indent(_json(item), "    ")
        separator = ",\n"
        if len(piece) > PIECE:
            yield piece
            piece = ""
    yield piece + ("]\n" if separator == "\n" else "\n]\n")


def _json(value: Any) -> str:
    return json.dumps(_encoded(plain(value)), sort_keys=True, indent=4)


def _encoded(value: Any) -> Any:
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, Mapping):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(_encoded, value))
    return value


def _duration(value: datetime.timedelta) -> dict[str, Any]:
    """The parts of a duration. Those of a negative one are negative."""
    left = abs(value) // _MICROSECOND
    sign = 1 if value >= datetime.timedelta() else -1
    parts: dict[str, Any] = {}
    for name, microseconds in _UNITS:
        count, left = divmod(left, microseconds)
        if count:
            parts[name] = sign * count
    if left or not parts:
        parts["seconds"] = sign * left / 1_000_000
    return parts
