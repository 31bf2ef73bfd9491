"""Whether a value can be stored, asked before the commit that would fail.

So whoever puts a job hears at once what is wrong with it, and a job whose result cannot be kept
fails instead of being tried again. Persistent objects are not looked into: they are records of
their own, and may be large.
"""

import pickle
import types
from typing import Any

import persistent
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from persistent.wref import WeakRef

import zc.async_.growing
import zc.async_.interfaces
from zc.async_.interfaces import AsyncError
from zc.twist.showing import show, text_of

#: Of these nothing has to be tried.
PLAIN = frozenset({type(None), bool, int, float, str, bytes})


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text or the like."""
    return type(value) in PLAIN


class UnstorableError(AsyncError, TypeError):
    """A value that belongs to a job cannot be stored."""


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        return len(data)


class _Pickler(pickle.Pickler):
    """Pickles as a database does, but for persistent objects, which it passes over."""

    def __init__(self, connection: Any) -> None:
        super().__init__(_Nowhere(), 3)
        self._connection = connection

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, (persistent.Persistent, WeakRef)):
            return None
        jar = getattr(obj, "_p_jar", None)
        own = self._connection
        if own is not None and jar is not None and not are_together(own, jar):
            raise pickle.PicklingError(f"{show(obj)} belongs to another connection")
        return True


def are_together(connection: Any, other: Any) -> bool:
    """Whether objects of two connections may refer to each other."""
    return connection is other or any(c is other for c in connection.connections.values())


def check(what: str, value: Any, connection: Any = None) -> None:
    """Raise `UnstorableError`, which names the value as `what`, if it cannot be stored.

    With a connection, persistent objects in the value must belong to it or to nobody yet.
    """
    if is_plain(value):
        return
    try:
        _Pickler(connection).dump(value)
    except Exception as error:  # whatever a __reduce__ may raise
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        text = text_of(error)
        raise UnstorableError(
            f"{what} ({kind}) cannot be stored: {text}{_remedy(value, text)}"
        ) from error


def _remedy(value: Any, text: str) -> str:
    """What to do about a function or class that has no name by which it could be found."""
    by_name = isinstance(value, (type, types.FunctionType))
    if by_name or "<lambda>" in text or "<locals>" in text:
        kind = "class" if isinstance(value, type) else "function"
        return f"; use a {kind} of a module, which is found by its name, and no lambda or local one"
    return ""


def is_about_storing(error: BaseException) -> bool:
    """Whether a commit failed because something cannot be pickled; another try would be in vain.

    What is inside of new persistent objects is seen there only.
    """
    if isinstance(error, pickle.PicklingError):
        return True
    # Of locks, open files and local functions, in the words of the Python versions.
    return isinstance(error, (TypeError, AttributeError)) and "pickle" in str(error).lower()


def check_job(job: Any) -> None:
    """Raise `UnstorableError` if what a job is to call, or to call it with, cannot be stored."""
    jobs = [job]
    # Not by recursion: chains of callbacks may be long.
    while jobs:
        job = jobs.pop()
        _check_call(job)
        jobs += _new_jobs(zc.async_.growing.items(job._callbacks, job._further_callbacks))


def _check_call(job: Any) -> None:
    stored = getattr(job, "_callable", None)
    check("the callable", stored[0] if isinstance(stored, tuple) else stored)
    for position, argument in enumerate(job._args):
        check(f"argument {position}", argument)
    for name, argument in job._kwargs.items():
        check(f"argument {show(name)}", argument)
    check("the retry_policy_factory", job._retry_policy_factory)


def _new_jobs(callbacks: Any) -> list[Any]:
    """The jobs that callbacks come down to, as far as they are new."""
    jobs: list[Any] = []
    left: list[Any] = list(callbacks)
    while left:
        callback = left.pop()
        if callback is None or callback._p_jar is not None:
            continue
        if not zc.async_.interfaces.ICallbackProxy.providedBy(callback):
            jobs.append(callback)
            continue
        proxy: Any = callback
        left += proxy._choices()
        for behind, _level, factory in proxy._all_callbacks():
            check("the retry_policy_factory", factory)
            left.append(behind)
    return jobs


def check_new(what: str, record: Any, connection: Any) -> None:
    """As `check`, and look into a persistent object and those in its attributes."""
    if not isinstance(record, persistent.Persistent):
        check(what, record, connection)
        return
    record._p_activate()
    for name, value in (getattr(record, "__dict__", None) or {}).items():
        if name.startswith("_v_"):
            continue
        check(f"{name} of {what}", value, connection)
        if isinstance(value, (OOBTree, PersistentMapping)):
            for item in value.values():
                check(f"{name} of {what}", item, connection)
