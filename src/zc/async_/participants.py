"""The connections that take part in a transaction.

ZODB cannot commit two connections of one storage in one transaction: the second waits for the first
to end, and that for the second. So this is found out before the commit begins.
"""

from typing import Any

from transaction._transaction import Status
from ZODB.Connection import Connection, TransactionMetaData

from zc.async_.interfaces import AsyncError


class TwoConnectionsError(AsyncError):
    """Two connections of one database have changes in one transaction."""


def storage_key(connection: Any) -> Any:
    """Identifies the storage of a connection, across the clients that a process has of one."""
    storage = connection.db().storage
    # Two clients of a ZEO server have the same key if they use the same storage of it.
    return storage.sortKey() if hasattr(storage, "_server_addr") else id(storage)


def check(transaction: Any) -> None:
    """Raise `TwoConnectionsError` if the commit of a transaction would wait for itself."""
    if len(transaction._resources) < 2:
        return
    seen: set[Any] = set()
    for connection in connections(transaction):
        key = storage_key(connection)
        if key in seen:
            name = connection.db().database_name
            raise TwoConnectionsError(
                f"two connections of the database {name!r} have changes in one transaction, which "
                "cannot be committed: change everything by the job's own connection (job._p_jar), "
                "commit before another one is changed and before the job returns, or open it with "
                "a manager of its own, db.open(transaction.TransactionManager()), and commit that"
            )
        seen.add(key)


def of_storage(transaction: Any, connection: Any) -> Any:
    """The participant that has the storage of `connection`, None if there is none."""
    key = storage_key(connection)
    for other in connections(transaction):
        if other is connection or storage_key(other) == key:
            return other
    return None


def connections(transaction: Any) -> list[Any]:
    """The connections to databases that take part."""
    return [one for one in transaction._resources if isinstance(one, Connection)]


class Objection:
    """A participant that lets no commit pass, and every abort.

    In a synchronizer nobody is told which of them is to come, and an abort must not fail: so what
    speaks against a commit takes part in the transaction, and has its say there.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error
        # Usually comes last: an abort is an error in the eyes of those that have not begun. But
        # with two connections of a storage, not even the beginning comes to an end.
        self._comes_first = isinstance(error, TwoConnectionsError)

    def sortKey(self) -> str:
        """The place in the order of the participants."""
        return "" if self._comes_first else "\U0010ffff"

    def tpc_begin(self, transaction: Any) -> None:
        """Object."""
        if self._comes_first:
            for connection in connections(transaction):
                # What an abort asks for of a connection that has begun.
                transaction.set_data(connection, TransactionMetaData())
        raise self._error

    def abort(self, transaction: Any) -> None:
        """Nothing was done."""

    tpc_abort = abort


class Watch:
    """A synchronizer that has a commit fail which would wait for itself."""

    def newTransaction(self, transaction: Any) -> None:
        """A transaction begins."""

    def beforeCompletion(self, transaction: Any) -> None:
        """A transaction is about to be committed or aborted."""
        if transaction.status is not Status.ACTIVE:
            return
        try:
            check(transaction)
        except Exception as error:
            transaction.join(Objection(error))

    def afterCompletion(self, transaction: Any) -> None:
        """A transaction has ended."""
