"""Keeps a worker from committing anything for a job that has become somebody else's."""

from typing import Any

from transaction._transaction import Status

import zc.async_.notes
from zc.async_.interfaces import ReassignedError
from zc.twist.showing import show


class Fence:
    """A synchronizer of a worker's transaction manager.

    Before every commit, the job's own intermediate ones included, it sees that the token of the
    job is still the worker's, and that the storage will check that nobody changes the job
    meanwhile. Only the worker's thread uses it.
    """

    def __init__(self) -> None:
        self._job: Any = None
        self._token = 0
        #: Whether a transaction was begun and has not ended.
        self.in_transaction = False

    def enclose(self, job: Any, token: int) -> None:
        """Guard the transactions from the present one on."""
        self._job, self._token = job, token

    def open(self) -> None:
        """Guard nothing."""
        self._job = None

    def newTransaction(self, transaction: Any) -> None:
        """A transaction begins. Nobody is told of those that come by themselves after a commit."""
        self.in_transaction = True

    def beforeCompletion(self, transaction: Any) -> None:
        """A transaction is about to be committed or aborted.

        Which of them is not told, and an abort must not fail: so what speaks against a commit takes
        part in the transaction, and has its say there.
        """
        if self._job is None or transaction.status is not Status.ACTIVE:
            return
        try:
            self._check(transaction)
        except Exception as error:
            transaction.join(_Objection(error))

    def afterCompletion(self, transaction: Any) -> None:
        """A transaction has ended."""
        self.in_transaction = False

    def _check(self, transaction: Any) -> None:
        job = self._job
        if not transaction._resources:
            return
        zc.async_.notes.add_job(transaction, job)
        if job._token != self._token:
            raise ReassignedError(f"{show(job)} was given to somebody else")
        jar = job._p_jar
        if job._p_changed:
            return
        jar.readCurrent(job)
        if jar._needs_to_join:
            # What is committed is in other databases, whose storages check nothing of this one:
            # take part in the commit by writing the job.
            job._p_changed = True


class _Objection:
    """A participant that lets no commit pass, and every abort."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def sortKey(self) -> str:
        """Comes last: an abort is an error in the eyes of those that have not begun."""
        return "\U0010ffff"

    def tpc_begin(self, transaction: Any) -> None:
        """Object."""
        raise self._error

    def abort(self, transaction: Any) -> None:
        """Nothing was done."""

    tpc_abort = abort
