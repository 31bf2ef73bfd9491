"""Jobs: calls that are stored, and their results.

One record holds what every job needs; others may want to write into its sidecar while it runs (see
`zc.async_.job.sidecar`). Attributes that have their usual value are not stored.
"""

import logging
import types
from typing import Any

import persistent
import zope.component
import zope.interface

import zc.async_.clock
import zc.async_.interfaces
import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import (
    ACTIVE,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    BadStatusError,
)
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import ids, mainprogram, mistyped, yielding
from zc.async_.job import sidecar as sidecars
from zc.async_.job.arguments import KeyedView
from zc.async_.job.call import Call
from zc.async_.job.callbacks import (
    CallbackProxy,
    ConditionalCallbackProxy,
    SuccessFailureCallbackProxy,
    success_or_failure,
)
from zc.async_.job.composition import part_ended, run_parallel, run_serial
from zc.async_.job.display import shown_call
from zc.async_.job.record import FIRST_NUMBER, NUMBERS, JobRecord
from zc.async_.running import (
    At,
    NeverRetry,
    RetryCommonForever,
    RetryCommonFourTimes,
    callback_runs,
    interruptions,
    make_policy,
    reporting,
    tries,
)
from zc.async_.storing import callables, growing, originals, storable
from zc.twist import showing
from zc.twist.showing import show

_set = persistent.Persistent.__setattr__


@zope.interface.implementer(zc.async_.interfaces.IJob)
class Job(Call, JobRecord):
    """See `zc.async_.interfaces.IJob`."""

    def __init__(self, callable: Any, /, *args: Any, **kwargs: Any) -> None:
        self.stored_callable = callables.to_stored(callable)
        if args:
            self.stored_args = list(args)
        if kwargs:
            self.stored_kwargs = kwargs

    def __setattr__(self, name: str, value: Any) -> None:
        # Without `super`: attributes are set a dozen times in the life of a job.
        if name not in _attributes and name[0] != "_" and type(self) is Job:
            # Subclasses know what they do.
            mistyped.refuse_if_mistyped(name)
        _set(self, name, value)

    @property
    def id(self) -> str | None:
        """See `zc.async_.interfaces.IJob`."""
        return ids.make_id(self)

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_callable_root")
        super().__setstate__(state)
        number = self.__dict__.get("_status_id", FIRST_NUMBER)
        if number < FIRST_NUMBER:
            # An older version of this release counted from 0. That is no change of the record.
            self.__dict__["_status_id"] = number + FIRST_NUMBER

    @property
    def annotations(self) -> KeyedView:
        """See `zc.async_.interfaces.IJob`."""
        return sidecars.annotations_of(self)

    # -- what is told, and to whom

    @property
    def failure_log_level(self) -> int | None:
        """See `zc.async_.interfaces.IJob`."""
        return self._failure_log_level

    @failure_log_level.setter
    def failure_log_level(self, value: int | None) -> None:
        self._failure_log_level = value

    @property
    def retry_policy_factory(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        factory = self.stored_policy_factory
        if isinstance(factory, tuple):
            return callables.from_stored(factory[0])
        return factory

    @retry_policy_factory.setter
    def retry_policy_factory(self, value: Any) -> None:
        # A tuple of the stored form, since a name of an adapter is a string, too.
        is_name = value is None or isinstance(value, str)
        factory = value if is_name else (callables.to_stored(value),)
        storable.check_late(self, "the retry_policy_factory", factory)
        self.stored_policy_factory = factory

    # -- callbacks

    @property
    def callbacks(self) -> tuple[Any, ...]:
        """See `zc.async_.interfaces.IJob`."""
        return tuple(self.callbacks_from(0))

    def addCallbacks(
        self,
        success: Any = None,
        failure: Any = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> CallbackProxy:
        """See `zc.async_.interfaces.IAbstractJob`."""
        proxy = CallbackProxy.of(as_job, success, failure)
        self.addCallback(proxy, failure_log_level, retry_policy_factory)
        return proxy

    def addCallback(
        self,
        callback: Any,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        callback = callback if isinstance(callback, ConditionalCallbackProxy) else as_job(callback)
        mainprogram.warn_of_callback(callback)
        storable.check_late_callback(self, callback)
        callback.set_up_as_callback(self, failure_log_level, retry_policy_factory)
        sidecar = sidecars.find(self)
        if self._status_id in (NUMBERS[NEW], NUMBERS[PENDING]) and not (
            # Else it would come before those that were added to an earlier run.
            sidecar is not None and sidecar.callbacks
        ):
            self.early_callbacks, self.further_early_callbacks = growing.extended(
                self.early_callbacks, self.further_early_callbacks, callback
            )
        else:
            self._add_late_callback(callback)
        return callback

    def _add_late_callback(self, callback: Any) -> None:
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

    def make_system_job(self, method: Any) -> "Job":
        """A job of a method of this one that any dispatcher runs, past filters and sizes."""
        job = Job(method)
        job.is_of_system = True
        return job

    def noteEnd(self) -> None:
        """Note that this part of a parallel job has ended. For jobs of the system."""
        part_ended(self)

    def resumeCallbacks(self) -> None:
        """See `zc.async_.interfaces.IJob`."""
        callback_runs.run_callbacks(self)

    # -- running and ending

    @property
    def result(self) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if self._status_id == NUMBERS[ACTIVE]:
            return self.awaited_job if self.returned_job is None else self.returned_job
        return self._result

    def setUp(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""

    def tearDown(self, setup_info: Any) -> None:
        """See `zc.async_.interfaces.IJob`."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return tries.run(self, args, kwargs)

    def perform_as_callback(self, result: Any) -> None:
        """Be called as a callback, without those behind it."""
        tries.perform(self, result)

    def fail(self, error: Any = None) -> None:
        """See `zc.async_.interfaces.IJob`."""
        if self._status_id >= NUMBERS[CALLBACKS]:
            raise BadStatusError(f"{show(self)} has ended already")
        self.end_as_failed(error)
        if self._status_id == NUMBERS[CALLBACKS]:
            self.start_callbacks()

    def end_as_failed(self, error: Any = None) -> None:
        """As `fail`, for who goes on with the callbacks himself."""
        failure = zc.twist.Failure(BeginByPassedError() if error is None else error)
        self.claim_token += 1
        if self._status_id == NUMBERS[PENDING]:
            self._parent.withdraw(self)
        self.end_with(failure)
        self._see_callbacks()
        reporting.log_result(self, failure)

    def end_unstarted(self, error: Exception) -> None:
        """End a waiting job whose entry has been dealt with."""
        self.set_status(NEW)
        self.fail(error)

    def wait_for_job(self, inner: Any) -> None:
        """Take over the result of `inner` when it completes."""
        self.awaited_job = inner
        inner.addCallback(Job(self.receiveResult))
        yielding.begin_to_wait(self)

    def noteAwaited(self) -> None:
        """Have those who wait for this job give up places that it needs. For jobs of the system."""
        yielding.note_above(self)

    def join_returned_job(self) -> None:
        """Wait for the job that this one returned, or end with its result."""
        inner, self.returned_job = self.returned_job, None
        if inner.status == COMPLETED:
            self.end_with(inner.result)
        else:
            self.wait_for_job(inner)

    def make_job(self, item: Any, *args: Any) -> "Job":
        """A job of `item`, with `args` before what it is called with."""
        return as_job(item).bind_first(*args)

    def receiveResult(self, result: Any) -> None:
        """Take over the result of the job that this one returned (a callback of that job)."""
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

    # -- interruptions

    def getRetryPolicy(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        policy = self.kept_policy
        if policy is None:
            policy = make_policy(self)
            if self._is_free_to_write():
                self.kept_policy = policy
        return policy

    def look_at_policy(self) -> Any:
        """The policy, which is not kept for that: it may never be asked."""
        if type(self).getRetryPolicy is not Job.getRetryPolicy:
            return self.getRetryPolicy()
        return make_policy(self) if self.kept_policy is None else self.kept_policy

    @property
    def _retry_policy(self) -> Any:
        """The policy that was asked, or that somebody got; None if there is none so far."""
        return self.kept_policy

    @_retry_policy.setter
    def _retry_policy(self, value: Any) -> None:
        self.kept_policy = value

    def is_callback(self) -> bool:
        """Whether it is a callback, or a job of the system, which is treated as one."""
        return self.is_of_system or isinstance(self._parent, (Job, ConditionalCallbackProxy))

    def effective_log_level(self) -> int:
        """The level at which its failure is logged."""
        if self._failure_log_level is not None:
            return self._failure_log_level
        return logging.CRITICAL if self.is_callback() else logging.ERROR

    def handleInterrupt(self) -> None:
        """See `zc.async_.interfaces.IJob`."""
        interruptions.handle_interrupt(self)

    def handleCallbackInterrupt(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return interruptions.handle_callback_interrupt(self)

    # -- for people

    def __repr__(self) -> str:
        head = utils.custom_repr(self)
        try:
            return showing.cut(f"<{head} ``{shown_call(self, len(head))}``>")
        except (AttributeError, TypeError, ValueError, originals.NotBroughtOverError):
            # A subclass that has no callable, say: a repr that raises hides the real problem.
            return f"<{head}>"


#: Those that jobs have anyway.
_attributes = frozenset(dir(Job))


def as_job(item: Any) -> Job:
    """`item` as a job: itself, its adapter to `IJob`, or a `Job` of it."""
    if isinstance(item, Job):
        return item
    if type(item) is types.FunctionType:
        # The same without asking the function for `__conform__`: a tenth of what a put costs.
        job: Any = zope.component.queryAdapter(item, zc.async_.interfaces.IJob)
    else:
        job = zc.async_.interfaces.IJob(item, None)
    return Job(item) if job is None else job


def serial(*jobs: Any, postprocess: Any = None) -> Job:
    """A job that runs the given jobs (or callables) one after the other.

    `postprocess`, a callable or a job, is called with the jobs once all have completed; its result
    is the result. By default that is the tuple of the jobs. A job that failed does not keep the
    others from running: look at their results. To add a job, append it to the `args` of the job
    returned: before it starts, from one of its jobs, or from a callback added to one of them before
    that one began.
    """
    return _composed(run_serial, jobs, postprocess)


def parallel(*jobs: Any, postprocess: Any = None) -> Job:
    """A job that puts the given jobs (or callables) into its queue all at once.

    Otherwise as `serial`.
    """
    return _composed(run_parallel, jobs, postprocess)


def _composed(run: Any, jobs: tuple[Any, ...], postprocess: Any) -> Job:
    after = None if postprocess is None else as_job(postprocess)
    return Job(run, *map(as_job, jobs), postprocess=after)


__all__ = [
    "ConditionalCallbackProxy",
    "Job",
    "NeverRetry",
    "RetryCommonForever",
    "RetryCommonFourTimes",
    "SuccessFailureCallbackProxy",
    "as_job",
    "parallel",
    "serial",
    "success_or_failure",
]
