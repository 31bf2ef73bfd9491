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

#: How often a call is tried in all when its transaction meets a transient conflict.
ATTEMPTS = 5

_BOUND_TYPES = (types.MethodType, types.BuiltinMethodType, METHOD_WRAPPER_TYPE)


class Reference:
    """Where a persistent object is in the database, apart from any connection.

    Threads may share it. References to one object are equal.

    Attributes:
        db: the ZODB.DB the object is in.
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
            jar: an open connection to the database or to one that it is a multi-database with.

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
    """A call that may be made later and in another thread, in a transaction of its own.

    What is called is a method of a persistent object, a persistent object that can be called, or
    anything else that can be called without a connection. The object and those arguments that are
    persistent are kept as `Reference`s. What other arguments contain is not looked into: give
    several persistent objects as several arguments, or as one persistent list.

    Calling opens a connection, begins a transaction, calls with the kept arguments followed by the
    given ones, commits and closes the connection. A transient conflict makes all but the opening
    happen again, `ATTEMPTS` times in all. Whatever is raised otherwise, or at the last attempt,
    aborts the transaction and reaches the caller. A result that is persistent, and by the commit in
    the database, comes back as a `Reference`: the object itself belongs to a connection that other
    threads use by then.

    The transaction is not the thread's: code that needs it adapts a persistent object to
    `ITransactionManager`. So a reactor's thread can make such calls in the middle of anything, and
    a Deferred can have one as its callback.
    """

    def __init__(self, call: Callable[..., Any] | Reference, /, *args: Any, **kwargs: Any) -> None:
        """Keep a call.

        Args:
            call: what to call. It, or one of the arguments, has to be in a database or be a
                `Reference`, for the database to be known.
            args: positional arguments; later ones are added when the call is made.
            kwargs: keyword arguments; those given when the call is made win.

        Raises:
            TypeError: `call` cannot be called.
            ValueError: no argument says which database to open, or a persistent one has no
                connection.
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
            Exception: whatever the call, or the commit, raised at last.
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
                    # Trying again at once helps against conflicts, not against a lost server.
                    if isinstance(error, ZODB.POSException.StorageError):
                        raise
            return self._attempt(jar, args, kwargs)
        finally:
            jar.close()

    def _attempt(self, jar: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call once, in one transaction.

        Raises:
            Exception: whatever the call or the commit raised; the transaction is aborted then.
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
            # Not left to `with manager`: that does not abort a transaction whose commit failed.
            manager.abort()
            raise
        # After the commit: only now has a new object its place in the database.
        return Reference(result) if _is_stored(result) else result


def _split(call: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return a function that makes the callable out of an object, and that object or its reference.

    A method is one of its object, anything else is itself.
    """
    if not isinstance(call, _BOUND_TYPES) or not IPersistent.providedBy(call.__self__):
        return _same, _refer(call)
    if isinstance(call, types.MethodType):
        # By its function, not by its name: private names are spelled otherwise in the class.
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
    # A persistent class is an object without a place in the database.
    if isinstance(obj, type) or not IPersistent.providedBy(obj):
        return obj
    return Reference(obj)


def _resolve(obj: Any, jar: Any) -> Any:
    """Return what `obj` refers to if it is a reference, else `obj`."""
    return obj.resolve(jar) if isinstance(obj, Reference) else obj


def _is_stored(obj: Any) -> bool:
    """Tell whether `obj` is a persistent object that is in a database."""
    return (
        not isinstance(obj, type)
        and IPersistent.providedBy(obj)
        and getattr(obj, "_p_jar", None) is not None
    )
