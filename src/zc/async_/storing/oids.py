"""New oids: no process uses one twice, whatever its server says.

A ZEO client fetches oids ahead and keeps them when its server was restarted. The new server, which
knows of committed ones only, gives the same ones again. Of two new objects with one oid ZODB stores
one and drops the other, without a word if they came by `Connection.add`; references to the dropped
one lead to the other then.

So here

- a client forgets at a reconnection what it had fetched, and never gives out an oid that is not
  higher than all before;
- a connection takes no oid for a new object of which it knows an object already;
- a transaction that came to know one meanwhile conflicts, and is tried again with other oids.

What another client has committed under an oid makes the storage report a conflict by itself.

A commit that fails while objects are being stored leaves an oid with those new ones whose turn has
not come. ZODB does not take it back: the next transaction that refers to such an object takes it
for one that is stored, and the reference leads nowhere. So

- a connection that aborts takes all oids back that it gave to what is not stored.
"""

import threading
import weakref
from collections.abc import Iterator
from typing import Any

import ZEO.ClientStorage
from ZODB.POSException import ConflictError
from ZODB.utils import z64

import zc.async_.zeo

#: How many storages may be wrapped around that of a client.
_MOST_WRAPPERS = 10

#: Held while a storage gets its `FetchedOids`: with two of them it would have two marks.
_watching = threading.Lock()


class FetchedOids(list[bytes]):
    """Takes the place of the list of oids that a client has fetched. Any thread may use it.

    The client appends at the front and pops at the end; it fetches more at an IndexError.
    """

    def __init__(self, storage: Any) -> None:
        # Empty: another thread may be taking from the list that was there.
        super().__init__()
        self._lock = threading.Lock()
        self._storage = weakref.ref(storage)
        self._generation = _generation_of(storage)
        #: The highest that was given out.
        self._highest = z64

    def pop(self, index: Any = -1) -> bytes:
        """The next oid that is new for sure. IndexError if more have to be fetched."""
        with self._lock:
            generation = _generation_of(self._storage())
            if generation != self._generation:
                self._generation = generation
                self.clear()
            while True:
                oid = super().pop()
                if oid > self._highest:
                    self._highest = oid
                    return oid


def _generation_of(storage: Any) -> int | None:
    """Changes with every connection of a client to its server."""
    return getattr(storage, "_connection_generation", None)


def watch_storage(storage: Any) -> None:
    """See to it that a storage gives out no oid twice, if it is one that might. In any thread."""
    for _wrapper in range(_MOST_WRAPPERS):
        if isinstance(storage, ZEO.ClientStorage.ClientStorage):
            with _watching:
                # Else it is done, or this is a version of ZEO that keeps them in another way.
                if type(getattr(storage, "_oids", None)) is list:
                    storage._oids = FetchedOids(storage)
            return
        # Those that compress or encrypt.
        storage = getattr(storage, "base", None)


def watch_database(database: Any) -> None:
    """As `watch_storage`, for all databases that belong together. In any thread."""
    for each in database.databases.values():
        watch_storage(each.storage)


def guard(connection: Any) -> None:
    """Have a connection take no oid of which it knows an object, and take back unused ones.

    For the thread that uses the connection; costs nothing if it was done before.
    """
    if "new_oid" not in vars(connection):
        watch_storage(connection.db().storage)
        # Processes that only put jobs come to know of their databases here.
        zc.async_.zeo.watch(connection.db())
        unstored: list[Any] = []
        connection._store_objects = _StoreObjects(connection, unstored)
        for name in ("abort", "tpc_abort"):
            setattr(connection, name, _Abort(connection, name, unstored))
        connection.new_oid = _NewOid(connection)


class _NewOid:
    """Stands for the `new_oid` of a connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = weakref.ref(connection)
        # By way of the class: this takes the place of the method.
        self._new_oid = type(connection).new_oid
        #: Objects that are to be checked when this transaction commits.
        self.added: list[Any] = []
        self.transaction: Any = None

    def __call__(self) -> bytes:
        connection: Any = self._connection()
        while True:
            oid: bytes = self._new_oid(connection)
            if connection._cache.get(oid) is None and oid not in connection._added:
                return oid


class _Remembering:
    """A writer of ZODB that remembers which object it is at. See `ZODB.serialize.ObjectWriter`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._present: list[Any] = []
        self.serialize = writer.serialize

    def __iter__(self) -> Iterator[Any]:
        for obj in self._writer:
            self._present = [obj]
            yield obj
        self._present = []

    def unstored(self) -> list[Any]:
        """The object that it is at, and those whose turn has not come."""
        return [*self._present, *self._writer._stack]


class _StoreObjects:
    """Stands for the `_store_objects` of a connection."""

    def __init__(self, connection: Any, unstored: list[Any]) -> None:
        self._connection = weakref.ref(connection)
        self._unstored = unstored

    def __call__(self, writer: Any, transaction: Any) -> None:
        connection: Any = self._connection()
        remembering = _Remembering(writer)
        try:
            type(connection)._store_objects(connection, remembering, transaction)
        except BaseException:
            self._unstored += remembering.unstored()
            raise


class _Abort:
    """Stands for a method of a connection by which it aborts."""

    def __init__(self, connection: Any, name: str, unstored: list[Any]) -> None:
        self._connection = weakref.ref(connection)
        self._name = name
        self._unstored = unstored

    def __call__(self, transaction: Any) -> None:
        connection: Any = self._connection()
        try:
            getattr(type(connection), self._name)(connection, transaction)
        finally:
            connection.new_oid.added = []
            while self._unstored:
                _disown(connection, self._unstored.pop())


def _disown(connection: Any, obj: Any) -> None:
    """Take the oid of an object back, if it is new and was not stored."""
    oid = obj._p_oid
    is_new = obj._p_jar is connection and oid is not None and obj._p_serial == z64
    if is_new and connection._cache.get(oid) is not obj:
        if obj._p_changed:
            obj._p_changed = False
        del obj._p_jar
        del obj._p_oid


def check_before_commit(obj: Any) -> None:
    """Have the present transaction conflict if the oid of a new object turns out to be taken.

    Its connection may load, before the commit, what others have committed under that oid. It was
    given to `guard`.
    """
    jar = obj._p_jar
    guarded = jar.new_oid
    transaction = jar.transaction_manager.get()
    # One hook for all: there may be thousands. A hook of somebody else may put jobs after it ran.
    if not guarded.added or guarded.transaction is not transaction:
        guarded.added = []
        guarded.transaction = transaction
        transaction.addBeforeCommitHook(_check, (jar, guarded.added))
    guarded.added.append(obj)


def _check(jar: Any, added: list[Any]) -> None:
    objects = added.copy()
    added.clear()
    for obj in objects:
        known = jar._cache.get(obj._p_oid)
        if obj._p_jar is jar and known is not None and known is not obj:
            raise ConflictError(
                "the oid of a new object was given to another client, too: try again",
                object=obj,
                serials=(known._p_serial, z64),
            )
