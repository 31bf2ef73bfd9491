"""Whether a value can be stored, asked before the commit that would fail.

So whoever puts a job hears at once what is wrong with it, and a job whose result cannot be kept
fails instead of being tried again. Persistent objects are not looked into: they are records of
their own, and may be large.
"""

import pickle
import types
from typing import Any

import persistent
import zodbpickle.pickle
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from persistent.wref import WeakRef
from ZODB.serialize import _protocol

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


#: Python's own, and that of databases: another class of this name.
_PICKLING_ERRORS = (pickle.PicklingError, zodbpickle.pickle.PicklingError)


class _Pickler(zodbpickle.pickle.Pickler):
    """The pickler of databases, which takes less than Python's: no method of a class, for one.

    It passes over persistent objects.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(_Nowhere(), _protocol)
        self._connection = connection

    def persistent_id(self, obj: Any) -> Any:
        return _reference(obj, self._connection)


class _NamingPickler(pickle.Pickler):
    """Python's own, whose errors name what they are about."""

    def __init__(self, connection: Any) -> None:
        super().__init__(_Nowhere(), _protocol)
        self._connection = connection

    def persistent_id(self, obj: Any) -> Any:
        return _reference(obj, self._connection)


def _reference(obj: Any, own: Any) -> Any:
    """What stands for an object in the record of another; None if it is part of that."""
    if isinstance(obj, (persistent.Persistent, WeakRef)):
        jar = getattr(obj, "_p_jar", None)
        if own is not None and jar is not None and not are_together(own, jar):
            raise pickle.PicklingError(f"{show(obj)} belongs to another connection")
        # A reference to a new object has its class, which may be none that can be found.
        return True if isinstance(obj, WeakRef) or jar is not None else type(obj)
    return None


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
        text = _text_of_other_pickler(value, connection) or text_of(error)
        raise UnstorableError(
            f"{what} ({_kind_of(value)}) cannot be stored: {text}{_remedy(value, text)}"
        ) from error


def _text_of_other_pickler(value: Any, connection: Any) -> str | None:
    """What Python's own pickler says of a value, None if it takes it."""
    try:
        _NamingPickler(connection).dump(value)
    except Exception as error:
        return text_of(error)
    return None


def _kind_of(value: Any) -> str:
    """The name of a function or class, else that of the value's class."""
    named = value if isinstance(value, (types.FunctionType, type)) else type(value)
    return f"{named.__module__}.{named.__qualname__}"


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
    if isinstance(error, _PICKLING_ERRORS):
        return True
    # Of locks, open files and local functions, in the words of the Python versions.
    return isinstance(error, (TypeError, AttributeError)) and "pickle" in str(error).lower()


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
