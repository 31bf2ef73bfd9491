"""Guards a ZODB connection of a RelStorage."""

import weakref
from typing import Any

from transaction._transaction import Status

from zc.async_.interfaces import OutOfReachError
from zc.async_.relstorage.notifying import Notifying
from zc.async_.relstorage.storages import of_connection
from zc.async_.relstorage.watching import is_watched, watch


def guard(connection: Any) -> None:
    """Have a connection tell dispatchers of its commits, and begin while its server is away.

    For the thread that uses it, any number of times. Does nothing to connections of other storages.
    """
    storage = of_connection(connection)
    if storage is None or "tpc_vote" in vars(connection):
        return
    watch(connection.db())
    if is_watched(storage):
        connection.newTransaction = _NewTransaction(connection)
        connection.tpc_vote = Notifying(connection)


def look_once(connection: Any, is_soon_begun: bool = True) -> None:
    """Have a connection look for what others have committed when a transaction begins, not before.

    RelStorage asks its server each time. ZODB has it do so also at the end of a transaction, since
    nobody may begin the next one. To be called while that is sure to be begun before something is
    read that others may have written; what is loaded meanwhile is as new as can be. For the thread
    that uses the connection; applies to its group. Does nothing for other storages: ZODB's own
    storages would load what is older than the commit.
    """
    for one in connection.connections.values():
        replaced = vars(one).get("newTransaction")
        if isinstance(replaced, _NewTransaction):
            replaced.is_soon_begun = is_soon_begun


def rest(connection: Any) -> None:
    """End the transactions of PostgreSQL in which idle connections would stay.

    These would keep PostgreSQL from cleaning up after all later ones. To be called between two
    transactions, before `begin`, for a connection and those of its group.
    """
    for one in connection.connections.values():
        storage = of_connection(one)
        if storage is not None:
            storage.afterCompletion()


class _NewTransaction:
    """Replaces the `newTransaction` of a connection, which RelStorage has ask the server.

    If the server is out of reach, that would raise from `begin` and `abort`, where nobody expects
    it, and even from a `commit` that was done. So the connection forgets what it knows: whatever is
    read in the transaction has to be loaded, and that raises.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = weakref.ref(connection)
        #: See `look_once`.
        self.is_soon_begun = False

    def __call__(self, transaction: Any, sync: bool = True) -> None:
        """`sync`: false at the end of a transaction, for one that nobody begins."""
        if self.is_soon_begun and not sync and _ended_well(transaction):
            return
        connection: Any = self._connection()
        try:
            type(connection).newTransaction(connection, transaction, sync)
        except OutOfReachError:
            connection._cache.invalidate(connection._cache.cache_data.copy())


def _ended_well(transaction: Any) -> bool:
    """Whether a transaction was committed, or had nothing to commit."""
    return transaction is not None and (
        transaction.status is Status.COMMITTED or not transaction._resources
    )


class FetchedOids:
    """The oids that the RelStorage of a connection has fetched, as those of ZEO: see `oids`.

    A sequence of PostgreSQL may lose its last steps in a crash, and give numbers again.
    """

    def __init__(self, connection: Any) -> None:
        storage = of_connection(connection)
        self._storage = None if storage is None else weakref.ref(storage)
        #: The number of the connection to the server when oids were last looked at.
        self._number: int | None = None

    def forget_old(self) -> None:
        """Forget those that were fetched before the present connection to the server was made."""
        storage = None if self._storage is None else self._storage()
        if storage is None:
            return
        number = getattr(storage._load_connection.connection, "number", None)
        if number != self._number:
            self._number = number
            del getattr(storage._oids, "preallocated_oids", [])[:]
