"""The callbacks of a job: how they are added, found, and begun.

A callback is a job, or a proxy that chooses one (`zc.async_.job.proxies`). Callbacks that are added
before the job is claimed are part of its record. Later ones go into its sidecar, which may be
written while the job runs. For one that is added when the job is completed, a late one, a job of
the system is put that calls `resumeCallbacks`. `zc.async_.running.callback_runs` performs them all.
"""

from collections.abc import Iterator
from typing import Any

from zc.async_.interfaces import CALLBACKS, COMPLETED, NEW, PENDING, BadStatusError
from zc.async_.job import checks, mainprogram
from zc.async_.job import sidecar as sidecars
from zc.async_.job.proxies import ConditionalCallbackProxy, TakesCallbacks
from zc.async_.job.record import NUMBERS, JobRecord
from zc.async_.running import At, callback_runs, tries
from zc.async_.storing import growing
from zc.twist.showing import show


class Callbacks(TakesCallbacks, JobRecord):
    """The part of a job that has callbacks, and may be one."""

    # Of the rest of the job.
    failure_log_level: Any
    retry_policy_factory: Any

    def new_job(self, callable: Any) -> Any:
        """A job of the library's own, whatever adapters there are."""
        raise NotImplementedError

    # -- adding

    def addCallback(
        self,
        callback: Any,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if not isinstance(callback, ConditionalCallbackProxy):
            callback = self.as_job(callback)
        mainprogram.warn_of_callback(callback)
        checks.check_late_callback(self, callback)
        callback.set_up_as_callback(self, failure_log_level, retry_policy_factory)
        if self._takes_early_callbacks():
            self.early_callbacks, self.further_early_callbacks = growing.extended(
                self.early_callbacks, self.further_early_callbacks, callback
            )
        else:
            self._add_to_sidecar(callback)
        return callback

    def _takes_early_callbacks(self) -> bool:
        """Whether a callback goes into this record: no thread writes it now."""
        sidecar = sidecars.find(self)
        # After those that were added to an earlier run a new one must not come before them.
        return self._status_id in (NUMBERS[NEW], NUMBERS[PENDING]) and not (
            sidecar is not None and sidecar.callbacks
        )

    def _add_to_sidecar(self, callback: Any) -> None:
        sidecars.need(self).add_callback(callback)
        if self._p_jar is not None:
            # Whoever completes the job meanwhile makes this transaction conflict, and its next try
            # finds the job completed.
            self._p_jar.readCurrent(self)
        if self._status_id == NUMBERS[COMPLETED]:
            callback.runs_on_its_own = True
            self.start_callbacks()

    def set_up_as_callback(
        self, parent: Any, failure_log_level: int | None, retry_policy_factory: Any
    ) -> None:
        """Become a callback of `parent`; BadStatusError if it is in use already."""
        if self._status_id != NUMBERS[NEW] or self._parent is not None:
            raise BadStatusError(f"{show(self)} is in use already: add a new job as the callback")
        self._parent = parent
        if failure_log_level is not None:
            self.failure_log_level = failure_log_level
        if retry_policy_factory is not None:
            self.retry_policy_factory = retry_policy_factory

    # -- finding

    @property
    def callbacks(self) -> tuple[Any, ...]:
        """See `zc.async_.interfaces.IJob`."""
        return tuple(self.callbacks_from(0))

    def callbacks_from(self, position: int) -> Iterator[Any]:
        """The callbacks without the first `position` ones."""
        early = self.early_callbacks, self.further_early_callbacks
        yield from growing.items(*early, position)
        sidecar = sidecars.find(self)
        if sidecar is not None:
            position = max(0, position - growing.length(*early))
            late = sidecar.callbacks, sidecar.further_callbacks
            yield from growing.items(*late, position)

    def renewed_callbacks(self) -> int:
        """How often a callback that had been done with got something to call."""
        sidecar = sidecars.find(self)
        return 0 if sidecar is None else sidecar.renewed

    def is_callback(self) -> bool:
        """Whether it is a callback, or a job of the system, which is treated as one."""
        return self.is_of_system or isinstance(self._parent, (Callbacks, ConditionalCallbackProxy))

    # -- beginning

    def start_callbacks(self) -> None:
        """Have the callbacks performed by any dispatcher of the queue, or here if there is none."""
        queue = self.queue
        if queue is None:
            # Each callback is a transaction of its own, and one that fails is aborted.
            callback_runs.manager_of(self).commit()
            callback_runs.run_callbacks(self)
        else:
            self._leave_callbacks()
            queue.put(self.make_system_job(self.resumeCallbacks))

    def go_on_with_callbacks_at(self, when: At, left: bool) -> None:
        """Have any dispatcher go on with the callbacks at `when`.

        `left`: whether nobody is at them meanwhile.
        """
        if left:
            self._leave_callbacks()
        job = self.make_system_job(self.resumeCallbacks)
        job.wait_until_moment(when, when.delay)
        self.queue.put(job)

    def _leave_callbacks(self) -> None:
        if self._status_id == NUMBERS[CALLBACKS] and not self.left_callbacks:
            self.left_callbacks = True

    def make_system_job(self, method: Any) -> Any:
        """A job of a method of this one that any dispatcher runs, past filters and sizes."""
        job = self.new_job(method)
        job.is_of_system = True
        return job

    def resumeCallbacks(self) -> None:
        """See `zc.async_.interfaces.IJob`."""
        callback_runs.run_callbacks(self)

    def perform_as_callback(self, result: Any) -> None:
        """Be called as a callback, without those behind it."""
        tries.perform(self, result)
