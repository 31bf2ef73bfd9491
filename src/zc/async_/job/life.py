"""The life of a job: each step from one status to the next is a method here, and nowhere else.

CONTRIBUTING.rst has the whole of it as a table. A step is part of the transaction of whoever takes
it; its docstring says from which status to which it leads, and what the same transaction has to
write besides. A step does not check the status that it starts from, unless it says so: its caller
has to, since he knows what else may have happened.

A worker whose claim token is old commits nothing more. So a step that takes the job away from its
worker raises the token.
"""

from typing import Any

import zc.async_.clock
import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    BadStatusError,
)
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import sidecar as sidecars
from zc.async_.job import yielding
from zc.async_.job.callbacks import Callbacks
from zc.async_.job.composition import part_ended
from zc.async_.job.proxies import ConditionalCallbackProxy
from zc.async_.job.record import NUMBERS
from zc.async_.running import performed, reporting
from zc.async_.threadlocal import local
from zc.twist.showing import show


class Life(Callbacks):
    """The steps in the life of a job."""

    def _set_status(self, status: str) -> None:
        self._status_id = NUMBERS[status]

    # -- in a queue

    def wait_in(self, queue: Any, entry_key: int, keep_arrival: bool = False) -> None:
        """To PENDING, from NEW, ASSIGNED or ACTIVE: wait in `queue`.

        With an entry of that key, in a lane or the backlog. A job that an agent had is taken off
        its list. `keep_arrival`: whether it keeps its place in the order.
        """
        if keep_arrival:
            self.arrival_key = self.arrival_key or self.entry_key
        elif self.arrival_key is not None:
            self.arrival_key = None
        self.entry_key = entry_key
        self._parent = queue
        self._set_status(PENDING)

    def go_to_front(self) -> None:
        """Come before all jobs that were not put back. With the step to PENDING."""
        self.was_put_back = True

    def note_assigner(self, uuid: bytes | None) -> None:
        """Note which process puts the job. With the step to PENDING."""
        self.assigner_bytes = uuid

    def note_claimed(self) -> None:
        """From PENDING to NEW: a claim has taken the job out of its queue.

        With the cursor of the lane, or the backlog. `assign_to` follows.
        """
        self.note_removed()
        if self.given_up_places is not None:
            self.given_up_places = None

    def note_removed(self) -> None:
        """From PENDING to NEW: the job was taken out of its queue, and is nobody's.

        With the queue's count of entries that no longer count. Places in quotas that it had from
        an earlier claim are its no more.
        """
        self._parent = None
        self._set_status(NEW)
        self.fence_off()
        if self.was_put_back:
            self.was_put_back = False

    # -- with a worker

    def assign_to(self, agent: Any) -> None:
        """From NEW to ASSIGNED: an agent has the job. With the agent's list."""
        self._parent = agent
        self._set_status(ASSIGNED)

    def activate_at(self, now: int, places: sidecars.SidecarPlaces | None = None) -> None:
        """From ASSIGNED to ACTIVE: the job starts at `now` (microseconds).

        With the tree from `places` in which its sidecar will be.
        """
        self.provide_sidecar(places)
        self._set_status(ACTIVE)
        self.start_moment = now
        if self._unlisted:
            self._unlisted = False

    def activate_unclaimed(self, now: int, runner: tuple[bytes, str, int] | None) -> None:
        """From NEW or ASSIGNED to ACTIVE: the job is called by hand, or as a callback.

        `runner`: the claimed job in whose thread that is. It is stored only if the job commits
        before its end: whoever comes after a crash needs it. From ACTIVE for another try.
        """
        self._set_status(ACTIVE)
        self.start_moment = now
        self.runner_claim = runner

    def provide_sidecar(self, places: sidecars.SidecarPlaces | None = None) -> None:
        """Have a place for what others write while the job runs."""
        if self.sidecar_record is None and self.sidecar_place is None:
            self.sidecar_place = (places or sidecars.SidecarPlaces()).next(self)

    def fence_off(self) -> None:
        """Have the worker that has the job so far commit nothing more."""
        self.claim_token += 1

    def renew(self) -> None:
        """From ACTIVE to NEW: a callback is going to be tried again, by whoever performs it."""
        self._set_status(NEW)
        self.runner_claim = None

    # -- between two tries

    def keep_policy(self, policy: Any) -> None:
        """Keep the retry policy that was asked, and what it remembers."""
        self.kept_policy = policy

    def note_missing_code(self, missing: tuple[int, int] | None) -> None:
        """Note since when (microseconds), and how often in vain, somebody looked for the code."""
        self.missing_code = missing

    # -- waiting for another job

    def wait_for_job(self, inner: Any) -> None:
        """ACTIVE, but without a thread: take over the result of `inner` when it completes.

        With a callback of `inner`, and the places in quotas that the job gives up for it.
        """
        self.awaited_job = inner
        inner.addCallback(self.new_job(self.receiveResult))
        yielding.begin_to_wait(self)

    def note_returned(self, inner: Any) -> None:
        """ACTIVE: the callable has returned a job, which `join_returned_job` will wait for.

        With what the callable did. None takes back what an older release noted.
        """
        if inner is not self.returned_job:
            self.returned_job = inner

    def join_returned_job(self) -> None:
        """From ACTIVE: wait for the job that this one returned, or end with its result.

        In a transaction of its own: others write that job, and a conflict with them must not make
        the callable run again.
        """
        inner, self.returned_job = self.returned_job, None
        if inner.status == COMPLETED:
            self.end_with(inner.result)
        else:
            self.wait_for_job(inner)

    def take_result_of(self, inner: Any) -> None:
        """From ACTIVE to the end: with the result of a completed job that it was going to wait for.

        For whoever handles an interruption.
        """
        self.awaited_job = inner
        self.receiveResult(inner.result)

    def receiveResult(self, result: Any) -> None:
        """From ACTIVE, waiting, to the end: take over a result. A callback of the other job."""
        if not self.waits_for_result():
            # Somebody ended it meanwhile. The other job has to complete nevertheless.
            utils.log.info("%r waits no longer for a job that completed", self)
            return
        self.end_with(result)
        self._see_callbacks()
        reporting.log_result(self, result)
        if self._status_id == NUMBERS[CALLBACKS]:
            self.start_callbacks()
        else:
            reporting.note_completed_elsewhere(self)

    def noteAwaited(self) -> None:
        """Have those who wait for this job give up places that it needs. For jobs of the system."""
        yielding.note_above(self)

    # -- its end

    def end_with(self, result: Any) -> None:
        """To CALLBACKS, or to COMPLETED if there are none to perform: the job ends.

        From any status before these. With all that the job changed, if it ran.
        """
        waited = self.waits_for_result()
        self._result = result
        self.end_moment = zc.async_.clock.microseconds()
        if self.awaited_job is not None:
            self.awaited_job = None
        if self.returned_job is not None:
            self.returned_job = None
        if self.runner_claim is not None:
            self.runner_claim = None
        # That a part has ended is noted in a transaction of its own, as if by a callback.
        noted = self.part_of_tally is None or self._is_in_books()
        if noted and all(performed(callback) for callback in self.callbacks_from(0)):
            self._set_status(COMPLETED)
        else:
            self._set_status(CALLBACKS)
        if waited:
            # It is in no books that are looked through for free places.
            yielding.release(self, self.kept_quota_names)

    def fail(self, error: Any = None) -> None:
        """See `zc.async_.interfaces.IJob`. From any status before the end; BadStatusError else."""
        if self._status_id >= NUMBERS[CALLBACKS]:
            raise BadStatusError(f"{show(self)} has ended already")
        self.end_as_failed(error)
        if self._status_id == NUMBERS[CALLBACKS]:
            self.start_callbacks()

    def end_as_failed(self, error: Any = None) -> None:
        """As `fail`, for a caller who goes on with the callbacks himself."""
        failure = zc.twist.Failure(BeginByPassedError() if error is None else error)
        self.fence_off()
        if self._status_id == NUMBERS[PENDING]:
            self._parent.withdraw(self)
        self.end_with(failure)
        self._see_callbacks()
        reporting.log_result(self, failure)

    def end_unstarted(self, error: Exception) -> None:
        """From PENDING to the end: fail, for a claim that has dealt with the entry."""
        self._set_status(NEW)
        self.fail(error)

    def complete(self) -> None:
        """From CALLBACKS to COMPLETED: the callbacks have been performed.

        Conflicts with a callback that is added meanwhile.
        """
        if self.part_of_tally is not None and not self._is_in_books():
            part_ended(self)
        self._see_callbacks()
        self._set_status(COMPLETED)
        self._callbacks_end = zc.async_.clock.microseconds()

    def note_receipts(self, database_names: tuple[str, ...]) -> None:
        """Note where receipts of the end are left. With these (`zc.async_.running.receipts`)."""
        self.receipt_databases = database_names

    def undo_end(self) -> None:
        """From CALLBACKS or COMPLETED to ACTIVE: the end did not take effect everywhere.

        Callbacks are performed after the end of the transaction, so none was.
        """
        self._result = self.end_moment = self._callbacks_end = None
        self.receipt_databases = ()
        self._set_status(ACTIVE)

    def undo_completion(self) -> None:
        """From COMPLETED to CALLBACKS: one of the callbacks has to be performed once more."""
        if self._status_id == NUMBERS[COMPLETED]:
            self._callbacks_end = None
            self._set_status(CALLBACKS)

    def _see_callbacks(self) -> None:
        """Have this transaction conflict with a callback that is added meanwhile.

        For ends of which nobody keeps books, and which cost nothing to try again.
        """
        sidecars.see(self)
        for callback in self.callbacks_from(0):
            passed = isinstance(callback, ConditionalCallbackProxy) and callback.is_passed
            if passed and callback._p_jar is not None:
                # It may get something to call.
                callback._p_jar.readCurrent(callback)

    # -- the books of its agent

    def leave_books(self) -> None:
        """Note that no agent lists this job any more, so that it tells of its end itself."""
        if self.part_of_tally is not None:
            self._unlisted = True

    def _is_in_books(self) -> bool:
        """Whether its dispatcher will see its completion: this thread was given it, and has it."""
        claimed = local.claimed
        return (
            claimed is not None
            and not (self.left_callbacks or self._unlisted)
            and claimed[0] == self._p_oid
            and claimed == (self._p_oid, self._p_jar.db().database_name, self.claim_token)
        )

    def noteEnd(self) -> None:
        """Note that this part of a parallel job has ended. For jobs of the system."""
        part_ended(self)
