"""Reads the words that tools are given.

Each function takes a text, and returns what it means or raises `BadQuestionError`, which quotes it.
"""

import datetime
import re
import sys
import uuid as uuid_module
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import zc.async_.interfaces
import zc.async_.process
from zc.async_.commands.asking import BadQuestionError
from zc.twist.showing import show

#: Characters that are quoted of a word.
QUOTED = 100

_NUMBER = r"(\d{1,15}(?:\.\d{1,6})?)"
_INTERVAL = re.compile(
    "".join(f"(?:{_NUMBER}{unit})?" for unit in "DHMS"), re.ASCII | re.IGNORECASE
)
_WHOLE = re.compile(r"\d{1,20}", re.ASCII)

#: The greatest oid.
_MOST_OID = (1 << 64) - 1


class Span(NamedTuple):
    """A span of time, by how long ago it began and ended. None: that end is open."""

    since: datetime.timedelta | None = None
    before: datetime.timedelta | None = None


def quoted(text: str) -> str:
    """A word as errors show it: cut, and in one line."""
    return show(text, QUOTED)


def interval(text: str) -> datetime.timedelta:
    """A duration, as in 1D12H, 90M or 1.5S."""
    found = _INTERVAL.fullmatch(text) if text else None
    if found is None:
        raise BadQuestionError(
            f"{quoted(text)} is no interval: give [nD][nH][nM][nS], such as 1H30M or 45S"
        )
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    try:
        return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise BadQuestionError(f"the interval {quoted(text)} is too long") from None


def moment(text: str) -> Any:
    """A poll: its key (int), how long ago it was (timedelta), or its time (datetime)."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if "-" in text:
        try:
            time = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise BadQuestionError(
                f"{quoted(text)} is no time: give it in UTC as 2030-01-31T12:00:00Z"
            ) from None
        return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time
    try:
        return interval(text)
    except BadQuestionError:
        raise BadQuestionError(
            f"{quoted(text)} is neither the key of a poll nor an interval nor a time: give a key "
            "that a poll told, how long ago it was, such as 1H30M, or 2030-01-31T12:00:00Z"
        ) from None


def span(text: str) -> Span:
    """A span of time that ended or began some time ago: sinceINTERVAL, beforeINTERVAL, or both."""
    ends: dict[str, datetime.timedelta] = {}
    for part in text.split(","):
        word = next((word for word in Span._fields if part.lower().startswith(word)), None)
        if word is None or word in ends:
            raise BadQuestionError(
                f"{quoted(text)} is no span of time: give sinceINTERVAL, beforeINTERVAL, or both "
                "joined by a comma, such as since2H,before1H30M"
            )
        ends[word] = interval(part[len(word) :])
    return Span(**ends)


def uuid(text: str) -> uuid_module.UUID:
    """The UUID of a dispatcher; THIS is that of this process."""
    if text.upper() == "THIS":
        return uuid_module.UUID(bytes=zc.async_.process.registry.own_uuid().bytes)
    try:
        return uuid_module.UUID(text)
    except ValueError:
        raise BadQuestionError(
            f"{quoted(text)} is no UUID: give THIS for this process, or one such as "
            "d10f43dc-ffdf-11dc-abd4-0017f2c49bdd"
        ) from None


def oid(text: str) -> int:
    """The oid of a job, an integer as in [oid, database name]."""
    if not _WHOLE.fullmatch(text) or int(text) > _MOST_OID:
        raise BadQuestionError(
            f"{quoted(text)} is no oid: give the integer that is told of a job before the name of "
            "its database"
        )
    return int(text)


def number(text: str) -> int:
    """How many, at least one."""
    if not _WHOLE.fullmatch(text) or not int(text):
        raise BadQuestionError(f"{quoted(text)} is no number: give an integer of at least 1")
    # More than there can be of anything.
    return min(int(text), sys.maxsize)


def name(text: str) -> str:
    """The name of a queue or an agent, or a glob for them. May be empty, as that of a queue is."""
    return text


def some_name(text: str) -> str:
    """What must not be empty."""
    if not text:
        raise BadQuestionError("there is nothing behind the colon: give a name or a glob")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    """A reader of one of several words."""

    def choice(text: str) -> str:
        if text not in choices:
            raise BadQuestionError(f"{quoted(text)} is none of {', '.join(choices)}")
        return text

    return choice


# -- words that are no modifiers


def none(words: Sequence[str]) -> list[Any]:
    """For tools that take modifiers alone."""
    if words:
        raise BadQuestionError(f"{quoted(words[0])} is not understood here: give modifiers alone")
    return []


def one_oid(words: Sequence[str]) -> list[Any]:
    """For tools that take the oid of a job."""
    if len(words) != 1:
        raise BadQuestionError(f"give one oid, an integer; these are {len(words)} words")
    return [oid(words[0])]


def one_job(words: Sequence[str]) -> list[Any]:
    """For tools that take the oid of a job (int), or its id with the name of a database (str)."""
    if len(words) == 1 and "-" in words[0][1:]:
        return list(words)
    return one_oid(words)


def at_most_one(words: Sequence[str]) -> list[Any]:
    """For tools that take one word or none."""
    if len(words) > 1:
        raise BadQuestionError(f"{quoted(words[1])} is one word too many")
    return list(words)


def any_number(words: Sequence[str]) -> list[Any]:
    """For tools that take words as they are."""
    return list(words)
