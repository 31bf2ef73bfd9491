"""Jobs: calls that are stored, and their results.

`Job` is the public face. What it calls is in `zc.async_.job.call`, when it may start in
`conditions`, what is stored of it in `record`, its callbacks in `callbacks`, and its steps from put
to completion in `life`.
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
from zc.async_.interfaces import ACTIVE
from zc.async_.job import checks, ids, mistyped
from zc.async_.job import sidecar as sidecars
from zc.async_.job.arguments import KeyedView
from zc.async_.job.call import Call
from zc.async_.job.composition import run_parallel, run_serial
from zc.async_.job.display import shown_call
from zc.async_.job.life import Life
from zc.async_.job.proxies import (
    ConditionalCallbackProxy,
    SuccessFailureCallbackProxy,
    success_or_failure,
)
from zc.async_.job.record import FIRST_NUMBER, NUMBERS
from zc.async_.running import (
    NeverRetry,
    RetryCommonForever,
    RetryCommonFourTimes,
    interruptions,
    make_policy,
    tries,
)
from zc.async_.storing import callables, originals
from zc.twist import showing

_set = persistent.Persistent.__setattr__


@zope.interface.implementer(zc.async_.interfaces.IJob)
class Job(Call, Life):
    """See `zc.async_.interfaces.IJob`."""

    def __init__(self, callable: Any, /, *args: Any, **kwargs: Any) -> None:
        if type(self).callable is Call.callable:
            self.stored_callable = callables.to_stored(callable)
            if callables.is_coroutine_function(callable):
                self.is_coroutine = True
        else:
            # A subclass has more to do.
            self.callable = callable
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
        checks.check_late(self, "the retry_policy_factory", factory)
        self.stored_policy_factory = factory

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

    def leave_thread(self) -> None:
        """Leave nothing of a try in the thread, even if a subclass's setUp or tearDown raised."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return tries.run(self, args, kwargs)

    def as_job(self, item: Any) -> "Job":
        """See `zc.async_.job.as_job`."""
        return as_job(item)

    def new_job(self, callable: Any) -> "Job":
        """A plain job, whatever adapters there are."""
        return Job(callable)

    def make_job(self, item: Any, *args: Any) -> "Job":
        """A job of `item`, with `args` before what it is called with."""
        return as_job(item).bind_first(*args)

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
        """The policy. It is not stored for this look: it may never be asked."""
        if type(self).getRetryPolicy is not Job.getRetryPolicy:
            return self.getRetryPolicy()
        return make_policy(self) if self.kept_policy is None else self.kept_policy

    @property
    def _retry_policy(self) -> Any:
        """The policy that was stored; None if nobody has asked or got one so far."""
        return self.kept_policy

    @_retry_policy.setter
    def _retry_policy(self, value: Any) -> None:
        self.kept_policy = value

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
        shown = utils.new_showing()
        head = shown.text(self)
        try:
            return showing.cut(f"<{head} ``{shown_call(self, len(head), shown)}``>")
        except (AttributeError, TypeError, ValueError, originals.NotBroughtOverError):
            # A subclass that has no callable, say: a repr that raises hides the real problem.
            return f"<{head}>"


#: The attributes that all jobs have.
_attributes = frozenset(dir(Job))


def as_job(item: Any) -> Job:
    """`item` as a job: itself, its adapter to `IJob`, or a `Job` of it.

    Functions are adapted by components alone.
    """
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
