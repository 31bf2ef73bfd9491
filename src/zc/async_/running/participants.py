"""The connections that take part in a transaction.

ZODB cannot commit two connections of one storage in one transaction: each waits for the other to
end. So this is checked before the commit begins.
"""

from typing import Any

from transaction._transaction import Status
from ZODB.Connection import Connection, TransactionMetaData
from ZODB.utils import z64

from zc.async_.interfaces import AsyncError
from zc.async_.running.contract import RunnableJob
from zc.async_.threadlocal import local


class TwoConnectionsError(AsyncError):
    """Two connections of one database have changes in one transaction."""


def storage_key(connection: Any) -> Any:
    """Identifies the storage of a connection, across the clients that a process has of one."""
    storage = connection.db().storage
    # Two clients of a ZEO server have the same key if they use the same storage of it.
    return storage.sortKey() if hasattr(storage, "_server_addr") else id(storage)


def are_there(transaction: Any) -> bool:
    """Whether anything takes part in a transaction: else a commit would do nothing."""
    return bool(transaction._resources)


def check(transaction: Any) -> None:
    """Raise `TwoConnectionsError` if the commit of a transaction would wait for itself."""
    if len(transaction._resources) < 2:
        return
    seen: dict[Any, Any] = {}
    for connection in connections(transaction):
        key = storage_key(connection)
        other = seen.setdefault(key, connection)
        if other is connection:
            continue
        if _gives_way(transaction, other, connection):
            seen[key] = connection
        elif not _gives_way(transaction, connection, other):
            raise _two_connections(connection)


def _two_connections(connection: Any) -> TwoConnectionsError:
    return TwoConnectionsError(
        f"two connections of the database {connection.db().database_name!r} have changes in one "
        "transaction, which cannot be committed: change everything by the job's own connection "
        "(job._p_jar), commit before another one is changed and before the job returns, or open "
        "that with a manager of its own, db.open(transaction.TransactionManager()), and commit it"
    )


class Mark:
    """The mark that an unclaimed job is active: the library's change, not one of the job's code."""

    def __init__(self, job: RunnableJob) -> None:
        """To be made when the job has been marked, and its code has not begun."""
        self._job = job
        self._state = dict(vars(job))

    def is_all_of(self, connection: Any) -> bool:
        """Whether the mark is the only change of a connection."""
        job = self._job
        if connection is not job._p_jar or connection._savepoint_storage is not None:
            return False
        state = vars(job)
        return (
            all(changed is job for changed in connection._registered_objects)
            and state.keys() == self._state.keys()
            and all(state[name] is value for name, value in self._state.items())
        )

    def set_by(self, connection: Any) -> None:
        """Set the same mark by another connection."""
        same = connection.get(self._job._p_oid)
        for name in ("_status_id", "start_moment", "runner_claim"):
            setattr(same, name, self._state.get(name, getattr(type(same), name)))


def has_nothing_left(job: RunnableJob, manager: Any) -> bool:
    """Whether a job's callable has committed all its changes itself, if it made any.

    Only the result is left to store then, and the callable must not run again for that. `manager`:
    the transaction manager of the job's connection.
    """
    jar = job._p_jar
    if jar is None or job._p_serial == z64:
        return False
    present = manager.get()
    mark = local.mark
    if not all(mark is not None and mark.is_all_of(one) for one in present._resources):
        return False
    hooks = *present.getBeforeCommitHooks(), *present.getAfterCommitHooks()
    expects = any(connection._readCurrent for connection in jar.connections.values())
    return not (hooks or expects)


def _gives_way(transaction: Any, connection: Any, other: Any) -> bool:
    """Have a connection leave a transaction if the job's code has changed nothing by it."""
    if local.mark is None or not local.mark.is_all_of(connection):
        return False
    local.mark.set_by(other)
    connection.abort(transaction)
    transaction._unjoin(connection)
    return True


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
    """A participant in a transaction that lets no commit pass, and every abort.

    A synchronizer is not told whether a commit or an abort is coming, and an abort must not fail.
    So an error that speaks against the commit takes part in the transaction, and is raised there.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error
        # Usually it comes last: participants that have not begun take an abort for an error. But
        # two connections of one storage wait for each other in `tpc_begin` already.
        self._comes_first = isinstance(error, TwoConnectionsError)

    def sortKey(self) -> str:
        """The place in the order of the participants."""
        return "" if self._comes_first else "\U0010ffff"

    def tpc_begin(self, transaction: Any) -> None:
        """Object."""
        if self._comes_first:
            for connection in connections(transaction):
                # A connection that has begun needs it for the abort.
                transaction.set_data(connection, TransactionMetaData())
        raise self._error

    def abort(self, transaction: Any) -> None:
        """Nothing was done."""

    tpc_abort = abort


class Watch:
    """A synchronizer that fails a commit which would wait for itself."""

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
