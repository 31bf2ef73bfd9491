"""Persistent objects that belong to no connection: for code that runs beside the workers.

A connection is used by one thread at a time. What a coroutine of a job has, while it runs in the
thread of a reactor, are detached objects instead: they know which object they stand for, and their
class, and raise `DetachedObjectError` when somebody looks into them. A function that a worker calls
gets the objects themselves again.
"""

import copy
import io
from collections.abc import Callable
from typing import Any

import persistent
from persistent.wref import WeakRef
from ZODB._compat import PersistentPickler, PersistentUnpickler
from ZODB.utils import u64

from zc.async_.interfaces import DetachedObjectError


class _Nowhere:
    """In the place of the connection of a detached object, which asks it for its state."""

    def __init__(self, database_name: str) -> None:
        self.database_name = database_name

    def setstate(self, found: Any) -> None:
        """Refuse it."""
        raise _error(found)

    def register(self, found: Any) -> None:
        """Refuse a change."""
        raise _error(found)


def _error(found: Any) -> DetachedObjectError:
    kind = type(found)
    return DetachedObjectError(
        f"a coroutine has no transaction in which it could look into the {kind.__qualname__} with "
        f"oid {u64(found._p_oid):#x}: write a function that gets the object as an argument, and "
        "await zc.async_.local.in_worker(that_function, the_object)"
    )


def _is_stored(value: Any) -> bool:
    # Asked for these attributes, a ghost stays one.
    return isinstance(value, persistent.Persistent) and value._p_jar is not None


def is_detached(value: Any) -> bool:
    """Whether a value is a detached object."""
    return isinstance(value, persistent.Persistent) and isinstance(value._p_jar, _Nowhere)


def _stand_in(kind: Any, oid: bytes, database_name: str) -> Any:
    found: Any = kind.__new__(kind)
    found._p_oid = oid
    found._p_jar = _Nowhere(database_name)
    found._p_deactivate()
    return found


def _detached(value: Any) -> Any:
    if isinstance(value, WeakRef):
        return _detached_weak(value)
    if not _is_stored(value) or is_detached(value):
        return value
    return _stand_in(type(value), value._p_oid, value._p_jar.db().database_name)


def _detached_weak(reference: WeakRef) -> WeakRef:
    """A weak reference to a detached object, or to nothing."""
    made: Any = WeakRef.__new__(WeakRef)
    made.oid = reference.oid
    found = reference()
    if found is not None:
        made._v_ob = _detached(found)
    return made


def copied(value: Any) -> Any:
    """A copy of something that is stored, with detached objects in it, at any depth.

    For the thread of the connection of the objects. Raises what pickling raises.
    """
    objects: list[Any] = []

    def note(found: Any) -> Any:
        if not _is_stored(found) and not isinstance(found, WeakRef):
            return None
        objects.append(_detached(found))
        return str(len(objects) - 1)

    file = io.BytesIO()
    PersistentPickler(note, file, 3).dump(value)
    file.seek(0)
    return PersistentUnpickler(None, lambda number: objects[int(number)], file).load()


def detach(value: Any) -> Any:
    """`value`, with detached objects in the place of those that are stored.

    They are found in lists, tuples, sets, the values of dicts, and the arguments of exceptions; and
    in those of classes that derive from these.
    """
    return _Replacing(_detached).replaced(value)


def attach(value: Any, connection: Any) -> Any:
    """`value`, with the objects of `connection` and its group in the place of detached ones.

    And of those of other connections, which are other threads'. For the thread of the connection.
    They are found as by `detach`. Nothing is loaded; an object that is not there any more raises a
    `POSKeyError` then.
    """

    def attached(found: Any) -> Any:
        if isinstance(found, WeakRef):
            target = found()
            return found if target is None else WeakRef(attached(target))
        if is_detached(found):
            name = found._p_jar.database_name
        elif not _is_stored(found) or found._p_oid is None:
            return found
        else:
            name = found._p_jar.db().database_name
        ours = connection.get_connection(name)
        return found if found._p_jar is ours else ours.get(found._p_oid)

    return _Replacing(attached).replaced(value)


class _Replacing:
    """Makes copies of containers, with other objects in them. Cycles are kept."""

    def __init__(self, replace: Callable[[Any], Any]) -> None:
        self._replace = replace
        #: The copies that were begun, by the ids of what they are copies of.
        self._made: dict[int, Any] = {}

    def replaced(self, value: Any) -> Any:
        """`value`, or a copy."""
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, BaseException):
            return self._exception(value)
        if isinstance(value, dict):
            return self._dict(value)
        if isinstance(value, list):
            made = self._made[id(value)] = copy.copy(value)
            made[:] = [self.replaced(one) for one in value]
            return made
        if isinstance(value, (tuple, set, frozenset)):
            return self._others(value)
        return self._replace(value)

    def _exception(self, error: BaseException) -> BaseException:
        self._made[id(error)] = error
        args = self.replaced(error.args)
        if args is not error.args:
            error.args = args
        return error

    def _dict(self, value: Any) -> Any:
        made = self._made[id(value)] = copy.copy(value)
        for key, one in value.items():
            made[key] = self.replaced(one)
        return made

    def _others(self, value: Any) -> Any:
        ones = [self.replaced(one) for one in value]
        if all(one is before for one, before in zip(ones, value, strict=True)):
            return value
        kind = type(value)
        return kind._make(ones) if hasattr(kind, "_make") else kind(ones)
