"""The end of a run: the result is stored and committed, and the consequences are drawn.

The changes of the callable and its result are one transaction. Once that is committed, or if the
callable has changed nothing, it must not run again: storing the result is then tried until it
succeeds.
"""

from collections.abc import Callable
from typing import Any

import ZEO.Exceptions
from ZODB.POSException import StorageError

import zc.async_.relstorage
import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import CALLBACKS, COMPLETED, ReassignedError
from zc.async_.running import awaiting, receipts
from zc.async_.running.asking import Asking
from zc.async_.running.awaiting import CannotWaitError
from zc.async_.running.holding import Hold
from zc.async_.running.reporting import log_result, tell_ending
from zc.async_.running.returned import Returned
from zc.async_.storing import storable
from zc.twist.showing import show

#: Errors of the thread or the storage, which say nothing about the job that was read.
_TROUBLES = (
    *utils.EXPLOSIVE_ERRORS,
    *utils.DISCONNECTED_ERRORS,
    *utils.TRANSIENT_ERRORS,
    OSError,
    ZEO.Exceptions.ServerException,
    StorageError,
)


class Ending:
    """Brings one run of a job to its end."""

    def __init__(self, hold: Hold, asking: Asking) -> None:
        self._job = hold.job
        self._manager = hold.manager
        self._hold = hold
        self._returned = Returned(hold, asking)

    @property
    def deferred(self) -> Any:
        """The Deferred or coroutine that the job waits for, if it had no result."""
        return self._returned.deferred

    def forget_deferred(self) -> None:
        """Wait no longer for what the job returned: another try, or a failure, takes its place."""
        forgotten, self._returned.deferred = self._returned.deferred, None
        awaiting.close(forgotten)

    def look_into(self, result: Any) -> Any:
        """What the callable returned; for a Deferred that has fired, its value."""
        return self._returned.look_into(result)

    def commit(self, result: Any) -> Any:
        """Note in the job what the callable returned, and commit; return what counts as the result.

        Raises the error of a result that cannot be stored, or of the commit.
        """
        result = self._returned.note(result)
        receipts.leave(self._job)
        serial = self._job._p_serial
        try:
            self._commit()
        except Exception as error:
            if storable.is_about_storing(error) or isinstance(error, ReassignedError):
                raise
            if not self._hold.was_committed(serial, error):
                raise
        self._hold.note_committed()
        return result

    def _commit(self) -> None:
        """Commit; RelStorage does not look at once for what others have committed.

        A worker begins its next transaction soon. `go_on_after` and `Around.tear_down` do so if
        somebody is going to read anything before.
        """
        jar = self._job._p_jar if self._hold.is_claimed else None
        if jar is None:
            self._manager.commit()
            return
        zc.async_.relstorage.look_once(jar)
        try:
            self._manager.commit()
        finally:
            zc.async_.relstorage.look_once(jar, False)

    def end_anew(self, result: Any, attach: Callable[[Any], Any] | None = None) -> Any:
        """Store a result alone: the changes of the callable are committed, or there are none.

        `attach`: makes of `result` what is stored, in each transaction that is tried. If it raises
        an error that another try does not help against, the job fails with that. Returns what
        `go_on_after` does; raises `ReassignedError`.
        """

        def end() -> Any:
            self._manager.begin()
            self._hold.check()
            return self.commit(result if attach is None else attach(result))

        try:
            noted = utils.try_until_reachable(
                end, f"storing the result of {show(self._job)}", self._manager
            )
        except (*utils.EXPLOSIVE_ERRORS, ReassignedError):
            raise
        except Exception:
            return self.fail(zc.twist.Failure(captureVars=True))
        return self.go_on_after(noted)

    def go_on_after(self, result: Any) -> Any:
        """Draw the consequences of a result that is committed.

        Returns the result as far as it is known: if the job waits for another, that job.
        """

        def look() -> None:
            # After the commit it may be a ghost, and the database out of reach.
            self._job._p_activate()
            if self._hold.is_claimed and self._job.status != COMPLETED:
                self._manager.begin()
                self._job._p_activate()

        utils.try_until_reachable(look, "looking at a job", self._manager)
        if self._job.returned_job is not None:
            return self._join(result)
        if self._returned.deferred is not None and not self._hold.is_claimed:
            waited_for, self._returned.deferred = self._returned.deferred, None
            return self._wait_for_deferred(waited_for)
        self._tell(result)
        return result

    def _join(self, inner: Any) -> Any:
        """Have the job wait for the one that it returned.

        This is a transaction of its own, since others write that job: a conflict with them must not
        make the callable run again. After a crash, whoever handles the interruption does it.
        """
        job = self._job

        def join() -> Any:
            self._manager.begin()
            self._hold.check_is_ours()
            if job.returned_job is not None:
                try:
                    job.join_returned_job()
                except _TROUBLES:
                    raise
                except Exception:
                    # The other job cannot be read.
                    return zc.twist.Failure()
                self._manager.commit()
            return None

        # The callable's changes are committed: a storage that refuses this must not fail the job.
        problem = utils.never_fail(join, f"having {show(job)} wait for another", self._manager)
        if problem is not None:
            return self.fail(problem)
        if job.waits_for_result():
            return inner
        self._tell(job.result)
        return job.result

    def _wait_for_deferred(self, waited_for: Any) -> Any:
        """Wait in this thread for the value, and end with it."""
        tell_ending(False)
        try:
            value = awaiting.wait_for(waited_for)
        except CannotWaitError:
            return self.fail(zc.twist.Failure())
        return self.end_anew(value)

    def _tell(self, result: Any) -> None:
        if self._job.status in (CALLBACKS, COMPLETED):
            log_result(self._job, result)

    def fail(self, failure: Any) -> Any:
        """End the job with a failure; return the failure as it was stored."""
        self.forget_deferred()
        return self.end_quietly(zc.twist.sanitize(failure), failure)

    def end_quietly(self, result: Any, told: Any = None) -> Any:
        """Store a result alone, and log it, or log `told` instead.

        Returns the result. Raises `ReassignedError`, or `ConnectionClosedError` if the job has
        closed its connection.
        """

        def end() -> None:
            self._manager.begin()
            self._hold.check()
            self._returned.end_with(result)
            self._manager.commit()

        self._hold.check_is_open()
        utils.never_fail(end, f"storing the result of {show(self._job)}", self._manager)
        log_result(self._job, result if told is None else told)
        return result
