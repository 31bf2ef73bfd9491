"""What a callable returned, and what follows for its job.

A value is the job's result. For another job, a Deferred or a coroutine the job waits.
"""

import inspect
from typing import Any

from twisted.internet.defer import Deferred
from ZODB.POSException import ReadConflictError
from ZODB.utils import z64

import zc.async_.interfaces
from zc.async_.interfaces import COMPLETED, PENDING, AsyncError
from zc.async_.running import awaiting
from zc.async_.running.asking import Asking
from zc.async_.running.awaiting import CannotWaitError
from zc.async_.running.holding import Hold
from zc.async_.running.participants import has_nothing_left
from zc.async_.storing import UnstorableError, storable
from zc.twist.showing import show


class InvalidEndError(AsyncError):
    """A job returned something, or did something to itself, after which it cannot end."""


class Returned:
    """Writes into a job what its callable returned. Commits nothing."""

    def __init__(self, hold: Hold, asking: Asking) -> None:
        self._job = hold.job
        self._hold = hold
        self._asking = asking
        #: The Deferred or coroutine that the job returned, if it had no result.
        self.deferred: Any = None

    def look_into(self, result: Any) -> Any:
        """What the callable returned; for a Deferred that has fired, its value."""
        if inspect.iscoroutine(result) and not self._hold.is_claimed:
            result = awaiting.begin(result)
        if isinstance(result, Deferred):
            result = awaiting.value_of(result)
        # A failure that is returned is a result: the job's changes stay.
        return awaiting.to_result(result)

    def note(self, result: Any) -> Any:
        """Record in the job what its callable returned; return what counts as the result.

        Raises `InvalidEndError`, `CannotWaitError`, or the error of a result that cannot be stored.
        """
        job = self._job
        if job.returned_job is not None:
            # An older release left it there after an earlier run.
            job.note_returned(None)
        if job.status == PENDING:
            raise InvalidEndError(f"{show(job)} has put itself into a queue, where it cannot end")
        while _is_job(result):
            # Not looked at by the connection it comes from, which may be closed.
            result = self._own(result)
            if result is job:
                raise InvalidEndError(f"{show(job)} returned itself, and would wait for ever")
            if result.status != COMPLETED:
                self._wait_for(result)
                return result
            result = result.result
        if isinstance(result, Deferred) or inspect.iscoroutine(result):
            self._defer(result)
            return None
        if job._p_jar is not None:
            storable.check("the result", result, job._p_jar)
        self.end_with(result)
        return result

    def end_with(self, result: Any) -> None:
        """End the job with a result, and store what its retry policy remembers."""
        self._asking.note_at_end()
        self._job.end_with(result)

    def _own(self, inner: Any) -> Any:
        """A job that was returned, as the connection of the job that returned it has it."""
        jar, theirs = self._job._p_jar, inner._p_jar
        if jar is None or theirs is None or storable.are_together(jar, theirs):
            return inner
        name, oid = theirs.db().database_name, inner._p_oid
        if has_nothing_left(self._job, self._hold.manager):
            # So that commits since the beginning of this transaction are seen, too.
            self._hold.manager.begin()
            self._hold.check()
        try:
            own = jar.get_connection(name).get(oid)
            own._p_activate()
        except (KeyError, ReadConflictError) as error:
            raise UnstorableError(
                f"the result, {show(inner)}, belongs to another connection and is not committed, "
                "or was so after this transaction had begun: return a job that was put by "
                "job._p_jar, or leave nothing uncommitted"
            ) from error
        return own

    def _wait_for(self, inner: Any) -> None:
        """Have the job wait: now if nobody else sees the other one yet, else after the commit."""
        job = self._job
        if job._p_jar is None or inner._p_jar is None or inner._p_serial == z64:
            job.wait_for_job(inner)
        else:
            job.note_returned(inner)

    def _defer(self, deferred: Any) -> None:
        if not self._hold.is_claimed:
            try:
                awaiting.check()
            except CannotWaitError:
                awaiting.close(deferred)
                raise
        self.deferred = deferred
        # The record is written, so that the fence holds for this transaction.
        self._job._p_changed = True


def _is_job(value: Any) -> bool:
    # By its class first: to ask the object itself loads it, and its connection may be closed.
    job = zc.async_.interfaces.IJob
    return bool(job.implementedBy(type(value)) or job.providedBy(value))
