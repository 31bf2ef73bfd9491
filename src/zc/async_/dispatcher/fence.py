"""Keeps a worker from committing anything for a job that was given to somebody else."""

import threading
from typing import Any

import transaction
from transaction._transaction import Status
from ZODB.POSException import POSKeyError, ReadConflictError

from zc.async_ import utils
from zc.async_.interfaces import ReassignedError
from zc.async_.running import Objection, notes, participants
from zc.twist.showing import show


class Fence:
    """A synchronizer of a worker's transaction manager.

    Before every commit, including the job's own intermediate ones, it checks that the job's token
    is still the worker's, and makes the storage check that nobody changes the job meanwhile. Only
    the worker's thread uses it.
    """

    def __init__(self) -> None:
        self._job: Any = None
        self._token = 0
        self._outpost = _Outpost(self)
        #: The thread whose commits are guarded.
        self.thread: int | None = None
        #: Whether a transaction has begun and not ended.
        self.in_transaction = False

    def enclose(self, job: Any, token: int) -> None:
        """Guard the transactions from the present one on."""
        self._job, self._token, self.thread = job, token, threading.get_ident()

    def open(self) -> None:
        """Guard nothing."""
        self._job = None

    def watch(self, manager: Any) -> None:
        """Guard also the commits of this thread by another transaction manager."""
        if manager is not transaction.manager and manager is not transaction.manager.manager:
            manager.registerSynch(self._outpost)

    def newTransaction(self, transaction: Any) -> None:
        """A transaction begins. (Not called for one that is implicit after a commit.)"""
        self.in_transaction = True

    def beforeCompletion(self, transaction: Any) -> None:
        """A transaction is about to be committed or aborted."""
        if self._job is None or transaction.status is not Status.ACTIVE:
            return
        try:
            self._check(transaction)
        except Exception as error:
            transaction.join(Objection(error))

    def afterCompletion(self, transaction: Any) -> None:
        """A transaction has ended."""
        self.in_transaction = False

    def _check(self, transaction: Any) -> None:
        job, jar = self._job, self._job._p_jar
        if not transaction._resources:
            return
        notes.add_job(transaction, job)
        participants.check(transaction)
        if job.claim_token != self._token:
            raise ReassignedError(f"{show(job)} was given to somebody else")
        if any(one is jar for one in transaction._resources):
            if not job._p_changed:
                jar.readCurrent(job)
            return
        other = participants.of_storage(transaction, jar)
        if other is None:
            self._take_part(transaction)
        else:
            self._see_by(other)

    def _see_by(self, other: Any) -> None:
        """Have another connection check the job: two connections to a storage cannot take part."""
        job = self._job
        try:
            seen = other.get(job._p_oid)
        except (POSKeyError, ReadConflictError):
            # The other connection's transaction began before the job was put.
            seen = None
        if seen is not None and seen._p_changed:
            if seen.claim_token != self._token:
                raise ReassignedError(f"{show(job)} was given to somebody else")
            return
        # With the serial that the worker knows: the other connection may see an older state.
        other.readCurrent(_AsOf(other, job._p_oid, job._p_serial))

    def _take_part(self, transaction: Any) -> None:
        """Have the job checked though all changes are in other storages.

        Those storages do not check the job. So its connection takes part without writing anything.
        """
        jar = self._job._p_jar
        if transaction._manager is not jar.transaction_manager:
            jar = self._connection_beside(transaction)
            if jar is None:
                # The transaction has nothing to do with the job's databases.
                return
        mine = jar.get(self._job._p_oid)
        mine._p_activate()
        jar.register(mine)
        jar.readCurrent(_AsOf(jar, self._job._p_oid, self._job._p_serial))

    def _connection_beside(self, transaction: Any) -> Any:
        """A connection to the job's database from the group of one that takes part, or None."""
        name = utils.database_name(self._job)
        for one in participants.connections(transaction):
            if one.db().databases.get(name) is self._job._p_jar.db():
                return one.get_connection(name)
        return None


class _AsOf:
    """The part of an object that `Connection.readCurrent` needs."""

    def __init__(self, connection: Any, oid: bytes, serial: bytes) -> None:
        self._p_jar = connection
        self._p_oid = oid
        self._p_serial = serial


class _Outpost:
    """A synchronizer of the other transaction managers that a worker's thread uses."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    def newTransaction(self, transaction: Any) -> None:
        """A transaction begins."""

    def beforeCompletion(self, transaction: Any) -> None:
        """A transaction is about to be committed or aborted."""
        # Another thread may use the same manager, now or later.
        if threading.get_ident() == self._fence.thread:
            self._fence.beforeCompletion(transaction)

    def afterCompletion(self, transaction: Any) -> None:
        """A transaction has ended."""
