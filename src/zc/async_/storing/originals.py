"""Refuses records of the original, zc.async 1, whose class names mean other classes here.

Their attributes are different, and so is the meaning of numbers. Read as records of this version,
they would seem to work: for example, a job that has ended would seem to be running. So the class
that loads such a record raises an error that explains this.
"""

from typing import Any

from ZODB.POSException import POSError
from ZODB.utils import u64

from zc.async_.interfaces import AsyncError


# `ZODB.Connection` lets a POSError through unchanged; it wraps other errors.
class NotBroughtOverError(AsyncError, POSError):
    """A record was written by zc.async 1, and has not been brought over to this release."""


def refuse(record: Any, state: Any, mark: str) -> None:
    """Raise `NotBroughtOverError` if the original wrote this state of a record.

    `mark`: the name of an attribute that each record of the original has, and none of this version.
    """
    if mark in attributes(state):
        raise NotBroughtOverError(
            f"{_described(record)} was written by zc.async 1, and has not been brought over to "
            "this release, which would misread it. Nothing was changed. Have zc.async 1 complete "
            "or remove the jobs, and delete root()['zc.async'] and what else refers to jobs; "
            "queues are then made anew"
        )


def attributes(state: Any) -> dict[str, Any]:
    """The attributes in the state of a persistent object. The state may also contain slots."""
    if isinstance(state, tuple):
        state = state[0]
    return state if isinstance(state, dict) else {}


def _described(record: Any) -> str:
    kind = type(record)
    name = f"{kind.__module__}.{kind.__qualname__}"
    oid, jar = record._p_oid, record._p_jar
    if oid is None or jar is None:
        return name
    return f"{name} (oid {u64(oid)}, db {jar.db().database_name!r})"
