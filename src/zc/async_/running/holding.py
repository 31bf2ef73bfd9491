"""Whether a thread may still work on the job that it runs.

A claimed job belongs to the worker that has its claim token. An unclaimed one belongs to the thread
that marked it as active; other threads may do so at the same time.
"""

from typing import Any

import zc.async_.clock
import zc.async_.relstorage
import zc.async_.zeo
from zc.async_ import utils
from zc.async_.interfaces import ACTIVE, ASSIGNED, NEW, AsyncError, ReassignedError
from zc.async_.running.contract import RunnableJob
from zc.async_.running.participants import Mark
from zc.async_.threadlocal import local
from zc.twist.showing import show


class ConnectionClosedError(AsyncError):
    """A job has closed the connection that it was loaded from: nothing can be stored."""


class Hold:
    """The hold that one run has of a job, in the transaction manager of the job's connection."""

    def __init__(self, job: RunnableJob, token: int | None, manager: Any) -> None:
        """`token`: what the job's token must be; None for a job that nobody claimed."""
        self.job = job
        self.manager = manager
        self._token = token
        #: When this run of an unclaimed job began (microseconds).
        self._start: int | None = None
        #: Whether the answer to a commit was lost, and the commit was not done when this thread
        #: looked for it. The storage may still have been at work on it.
        self._unsure = False

    @property
    def is_claimed(self) -> bool:
        """Whether a dispatcher claimed the job for this run."""
        return self._token is not None

    def check(self) -> None:
        """Check that the job is still ours to run. An unclaimed one is marked as active.

        Raises `ReassignedError`.
        """
        job = self.job
        self.check_is_ours()
        if self._token is None:
            if self._start is None:
                self._start = zc.async_.clock.microseconds()
            job.activate_unclaimed(self._start, local.claimed)
            local.mark = Mark(job)

    def check_is_ours(self) -> None:
        """Raise `ReassignedError` if the job is somebody else's, or has ended."""
        job = self.job
        if self._token is None:
            self._check_unclaimed()
        elif job.claim_token != self._token or job.status != ACTIVE or self._was_done_after_all():
            raise ReassignedError(f"{show(job)} is no longer the business of this worker")

    def _check_unclaimed(self) -> None:
        """Check, before another try, that nobody else has run the job meanwhile.

        Two dispatchers may resume the callbacks of a job at the same time. Commits of this run
        itself are no obstacle.
        """
        job = self.job
        if job.status in (NEW, ASSIGNED):
            return
        ours = ACTIVE, self._start, local.claimed
        if (job.status, job.start_moment, job.runner_claim) != ours or self._was_done_after_all():
            raise ReassignedError(f"somebody else has run {show(job)}")

    def _was_done_after_all(self) -> bool:
        """Whether the job waits for another one, or is about to.

        Then a commit was done after all: its answer was lost, and it could not be seen yet when
        this thread looked for it. Whoever handles the interruption goes on from there.
        """
        job = self.job
        return bool(job.waits_for_result() or (self._unsure and job.returned_job is not None))

    def commit_start(self) -> None:
        """Commit that the job has begun: then whoever comes after a crash knows of it.

        Raises `ReassignedError`.
        """
        self.check()
        self.job.provide_sidecar()
        self.manager.commit()

    def note_committed(self) -> None:
        """Note that a commit of this run is done, and is known to be."""
        self._unsure = False

    def was_committed(self, serial: bytes | None, error: Exception) -> bool:
        """Whether a commit was done, and only its answer was lost.

        `serial`: that of the job before the commit; `error`: what the commit raised. Each commit of
        a try writes the job, and nobody else writes it meanwhile.
        """
        conflict = isinstance(error, utils.TRANSIENT_ERRORS)
        if serial is None or (conflict and not isinstance(error, utils.DISCONNECTED_ERRORS)):
            return False
        job = self.job

        def look() -> bool:
            self.manager.abort()
            if job._p_jar is not None:
                # The client's cache is older than the commit, or the server is still at work on it.
                zc.async_.zeo.catch_up(job._p_jar.db())
                zc.async_.relstorage.catch_up(job._p_jar.db(), [job._p_oid])
            self.manager.begin()
            job._p_activate()
            ours = (
                job.start_moment == self._start
                if self._token is None
                else job.claim_token == self._token
            )
            return bool(ours and job._p_serial != serial)

        found = bool(utils.try_until_reachable(look, f"looking at {show(job)}", self.manager))
        self._unsure = not found
        return found

    def check_is_open(self) -> None:
        """Raise `ConnectionClosedError` if the job has closed its connection."""
        jar = self.job._p_jar
        if jar is not None and jar.opened is None:
            # Asked before a commit: that would keep the lock of the storage.
            raise ConnectionClosedError(
                "a job has closed its connection: leave that to who opened it"
            )
