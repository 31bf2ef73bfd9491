"""Makes sure that no process uses a new oid twice, whatever its server says.

A ZEO client fetches oids ahead and keeps them when its server is restarted. The new server knows
only committed oids, so it gives the same oids out again. If two new objects have the same oid, ZODB
stores one and drops the other, silently if they were added by `Connection.add`. References to the
dropped object then lead to the other one.

So here

- a client forgets the fetched oids at a reconnection, and never gives out an oid that is not higher
  than all before;
- a connection takes no oid for a new object if it knows an object with that oid already;
- a transaction that gets to know such an object later conflicts, and is tried again with other
  oids.

If another client has committed an object with the oid, the storage itself reports a conflict.

A commit that fails while objects are being stored leaves an oid with the new objects that were not
stored yet. ZODB does not take these oids back. The next transaction that refers to such an object
takes it for a stored one, and the reference leads nowhere. So

- a connection that aborts takes back all oids that it gave to objects that were not stored.
"""

import threading
import weakref
from collections.abc import Iterator
from typing import Any

import ZEO.ClientStorage
from ZODB.POSException import ConflictError
from ZODB.utils import z64

import zc.async_.relstorage
import zc.async_.zeo

#: How many wrappers a client storage may have.
_MOST_WRAPPERS = 10

#: Held while a storage gets its `FetchedOids`: two of them would have two marks (`_highest`).
_watching = threading.Lock()


class FetchedOids(list[bytes]):
    """Replaces the list of oids that a client has fetched. Any thread may use it.

    The client appends at the front and pops at the end; it fetches more at an IndexError.
    """

    def __init__(self, storage: Any) -> None:
        # Starts empty: another thread may be taking oids from the old list.
        super().__init__()
        self._lock = threading.Lock()
        self._storage = weakref.ref(storage)
        self._generation = _generation_of(storage)
        #: The highest oid that was given out.
        self._highest = z64

    def pop(self, index: Any = -1) -> bytes:
        """The next oid that is certainly new. IndexError if more have to be fetched."""
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
    """A number that changes with every connection of a client to its server."""
    return getattr(storage, "_connection_generation", None)


def watch_storage(storage: Any) -> None:
    """Make sure that a storage gives out no oid twice, if it is a kind that might. Any thread."""
    for _wrapper in range(_MOST_WRAPPERS):
        if isinstance(storage, ZEO.ClientStorage.ClientStorage):
            with _watching:
                # Otherwise it is done already, or this version of ZEO keeps oids differently.
                if type(getattr(storage, "_oids", None)) is list:
                    storage._oids = FetchedOids(storage)
            return
        # A wrapper, such as a storage that compresses or encrypts.
        storage = getattr(storage, "base", None)


def watch_database(database: Any) -> None:
    """Call `watch_storage` for all databases of the group. In any thread."""
    for each in database.databases.values():
        watch_storage(each.storage)


def guard(connection: Any) -> None:
    """Make a connection take no oid of an object that it knows, and take back unused oids.

    For the thread that uses the connection; costs nothing if it was done before.
    """
    if "new_oid" not in vars(connection):
        watch_storage(connection.db().storage)
        # In a process that only puts jobs, this is the first place that sees the database.
        zc.async_.zeo.watch(connection.db())
        zc.async_.relstorage.guard(connection)
        unstored: list[Any] = []
        connection._store_objects = _StoreObjects(connection, unstored)
        for name in ("abort", "tpc_abort"):
            setattr(connection, name, _Abort(connection, name, unstored))
        connection.new_oid = _NewOid(connection)


class _NewOid:
    """Replaces the `new_oid` of a connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = weakref.ref(connection)
        # From the class: the attribute of the instance will be this object.
        self._new_oid = type(connection).new_oid
        self._fetched = zc.async_.relstorage.FetchedOids(connection)
        #: Objects to check when this transaction commits.
        self.added: list[Any] = []
        self.transaction: Any = None

    def __call__(self) -> bytes:
        connection: Any = self._connection()
        self._fetched.forget_old()
        while True:
            oid: bytes = self._new_oid(connection)
            if connection._cache.get(oid) is None and oid not in connection._added:
                return oid


class _Remembering:
    """Wraps a `ZODB.serialize.ObjectWriter` and remembers its present object."""

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
        """The present object, and those that are not stored yet."""
        return [*self._present, *self._writer._stack]


class _StoreObjects:
    """Replaces the `_store_objects` of a connection."""

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
    """Replaces a method of a connection that aborts."""

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
    """Take back the oid of an object that is new and was not stored."""
    oid = obj._p_oid
    is_new = obj._p_jar is connection and oid is not None and obj._p_serial == z64
    if is_new and connection._cache.get(oid) is not obj:
        if obj._p_changed:
            obj._p_changed = False
        del obj._p_jar
        del obj._p_oid


def check_before_commit(obj: Any) -> None:
    """Make the present transaction conflict if the oid of a new object turns out to be taken.

    Before the commit, the object's connection may load an object that others have committed under
    that oid. The connection was given to `guard` before.
    """
    jar = obj._p_jar
    guarded = jar.new_oid
    transaction = jar.transaction_manager.get()
    # One hook for thousands, but none for what is added after somebody else's: that one may load
    # what is to be found, and a hook that fails takes all hooks away.
    last = transaction._before_commit[-1:]
    if not last or last[0][0] is not _check or last[0][1][1] is not guarded.added:
        guarded.added = []
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
