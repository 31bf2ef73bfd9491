"""Calls on persistent objects from threads that have no connection to the database."""

import functools
import types
from collections.abc import Callable
from typing import Any

import transaction
import transaction.interfaces
import ZODB.interfaces
import ZODB.POSException
from persistent.interfaces import IPersistent

from zc.twist.adapters import connection
from zc.twist.methodwrapper import METHOD_WRAPPER_TYPE

#: How many times in all a call is tried when its transaction has transient conflicts.
ATTEMPTS = 5

_BOUND_TYPES = (types.MethodType, types.BuiltinMethodType, METHOD_WRAPPER_TYPE)


class Reference:
    """The place of a persistent object in the database, independent of any connection.

    Threads may share it. References to one object are equal.

    Attributes:
        db: the ZODB.DB with the object.
        oid: its object id there.
    """

    def __init__(self, obj: Any) -> None:
        """Refer to `obj`.

        An object that is not in the database yet is added to the connection of the nearest of its
        `__parent__`s that has one; others see it once that transaction is committed.

        Raises:
            ValueError: neither the object nor a parent of it has a connection.
        """
        jar = connection(obj)
        if jar is None:
            raise ValueError(
                f"{type(obj).__name__} object has no database connection: put it in an object that"
                " is in the database and commit, or call connection.add(obj), before referring to"
                " it"
            )
        if obj._p_jar is None:
            jar.add(obj)
        self.db = jar.db()
        self.oid: bytes = obj._p_oid

    def resolve(self, jar: Any) -> Any:
        """Return the object, loaded by way of a connection.

        Args:
            jar: an open connection to the database or to another of its group.

        Raises:
            ZODB.POSException.POSKeyError: the object is not in the database, or not yet.
        """
        return jar.get_connection(self.db.database_name).get(self.oid)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return self.oid == other.oid and self.db is other.db

    def __hash__(self) -> int:
        return hash((self.oid, id(self.db)))

    def __repr__(self) -> str:
        oid = int.from_bytes(self.oid, "big")
        return f"<zc.twist.Reference {oid:#x} in {self.db.database_name!r}>"


class Partial:
    """A call that may be made later and in another thread, in its own transaction.

    The callable is a method of a persistent object, a persistent object that can be called, or any
    callable that needs no connection. The object and persistent arguments are kept as `Reference`s.
    Other arguments are not searched for persistent objects: give several as several arguments, or
    as one persistent list.

    Calling opens a connection, begins a transaction, calls with the kept arguments followed by the
    given ones, commits and closes the connection. After a transient conflict all except the opening
    is repeated, `ATTEMPTS` times in all. Any other error, and that of the last attempt, aborts the
    transaction and is raised to the caller. A persistent result that is in the database after the
    commit is returned as a `Reference`: the object itself belongs to a connection that other
    threads may use by then.

    The transaction is not the thread's: code that needs it adapts a persistent object to
    `ITransactionManager`. So a reactor's thread can make such calls at any time, and a Deferred can
    have one as its callback.
    """

    def __init__(self, call: Callable[..., Any] | Reference, /, *args: Any, **kwargs: Any) -> None:
        """Keep a call.

        Args:
            call: the callable. It, or one of the arguments, has to be in a database or be a
                `Reference`, so that the database is known.
            args: positional arguments; further ones may be added when the call is made.
            kwargs: keyword arguments; those given when the call is made override them.

        Raises:
            TypeError: `call` cannot be called.
            ValueError: neither the callable nor an argument is in a database, or a persistent
                argument has no connection.
        """
        if not callable(call) and not isinstance(call, Reference):
            raise TypeError(f"{call!r} cannot be called")
        self._bind, self._target = _split(call)
        self._args = tuple(_refer(arg) for arg in args)
        self._kwargs = {name: _refer(arg) for name, arg in kwargs.items()}
        kept = (self._target, *self._args, *self._kwargs.values())
        databases = [item.db for item in kept if isinstance(item, Reference)]
        if not databases:
            raise ValueError(
                "nothing in this call is in a database: a Partial needs a method of a persistent"
                " object, or a persistent argument"
            )
        self._db = databases[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call; see the class.

        Returns:
            The call's result, or a `Reference` to it.

        Raises:
            Exception: the last error of the call or the commit.
        """
        args = (*self._args, *(_refer(arg) for arg in args))
        kwargs = {**self._kwargs, **{name: _refer(arg) for name, arg in kwargs.items()}}
        manager = transaction.TransactionManager(explicit=True)
        jar = self._db.open(transaction_manager=manager)
        try:
            for _ in range(ATTEMPTS - 1):
                try:
                    return self._attempt(jar, args, kwargs)
                except transaction.interfaces.TransientError as error:
                    # An immediate retry helps against conflicts, not against a lost server.
                    if isinstance(error, ZODB.POSException.StorageError):
                        raise
            return self._attempt(jar, args, kwargs)
        finally:
            jar.close()

    def _attempt(self, jar: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call once, in one transaction.

        Raises:
            Exception: the error of the call or the commit; the transaction is aborted.
        """
        manager = jar.transaction_manager
        manager.begin()
        try:
            call = self._bind(_resolve(self._target, jar))
            result = call(
                *(_resolve(arg, jar) for arg in args),
                **{name: _resolve(arg, jar) for name, arg in kwargs.items()},
            )
            manager.commit()
        except BaseException:
            # By hand: `with manager` would not abort a transaction whose commit failed.
            manager.abort()
            raise
        # After the commit: a new object has its place in the database only now.
        return Reference(result) if _is_stored(result) else result


def _split(call: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return a function that makes the callable from an object, and that object or its reference.

    For a method this is the object of the method, for other callables the callable itself.
    """
    if not isinstance(call, _BOUND_TYPES) or not IPersistent.providedBy(call.__self__):
        return _same, _refer(call)
    if isinstance(call, types.MethodType):
        # By its function, not by its name: private names are mangled in the class.
        return functools.partial(types.MethodType, call.__func__), Reference(call.__self__)
    return functools.partial(_get_attribute, name=call.__name__), Reference(call.__self__)


def _same(obj: Any) -> Any:
    """Return `obj`."""
    return obj


def _get_attribute(obj: Any, name: str) -> Any:
    """Return the attribute `name` of `obj`."""
    return getattr(obj, name)


def _refer(obj: Any) -> Any:
    """Return a reference to `obj` if it is persistent, else `obj`."""
    # A persistent class itself has no place in the database.
    if isinstance(obj, type) or not IPersistent.providedBy(obj):
        return obj
    return Reference(obj)


def _resolve(obj: Any, jar: Any) -> Any:
    """Return the object if `obj` is a reference to one, else `obj`."""
    return obj.resolve(jar) if isinstance(obj, Reference) else obj


def _is_stored(obj: Any) -> bool:
    """Tell whether `obj` is a persistent object that is in a database."""
    return (
        not isinstance(obj, type)
        and IPersistent.providedBy(obj)
        and getattr(obj, "_p_jar", None) is not None
    )
