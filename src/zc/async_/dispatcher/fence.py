"""Keeps a worker from committing anything for a job that has become somebody else's."""

from typing import Any

from zc.async_.interfaces import ReassignedError


class Fence:
    """A synchronizer of a worker's transaction manager.

    Before every commit, the job's own intermediate ones included, it sees that the token of the
    job is still the worker's, and that the storage will check that nobody changes the job
    meanwhile. Only the worker's thread uses it.
    """

    def __init__(self) -> None:
        self._job: Any = None
        self._token = 0
        #: Whether a transaction has begun and not ended.
        self.in_transaction = False

    def enclose(self, job: Any, token: int) -> None:
        """Guard the transactions from the present one on."""
        self._job, self._token = job, token

    def open(self) -> None:
        """Guard nothing."""
        self._job = None

    def newTransaction(self, transaction: Any) -> None:
        """A transaction begins."""
        self.in_transaction = True
        # Not `beforeCompletion`: that is called for aborts, too, and must not raise.
        transaction.addBeforeCommitHook(self._check)

    def beforeCompletion(self, transaction: Any) -> None:
        """A transaction is about to end."""

    def afterCompletion(self, transaction: Any) -> None:
        """A transaction has ended."""
        self.in_transaction = False

    def _check(self) -> None:
        job = self._job
        if job is None:
            return
        if job._token != self._token:
            raise ReassignedError(f"{job!r} was given to somebody else")
        jar = job._p_jar
        if job._p_changed:
            return
        jar.readCurrent(job)
        if jar._needs_to_join and jar.transaction_manager.get()._resources:
            # What is committed is in other databases, whose storages check nothing of this one:
            # take part in the commit by writing the job.
            job._p_changed = True
