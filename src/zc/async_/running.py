"""Running a job: tries, commits, failures and callbacks.

`run` is what a call of a job does, in a worker's thread or elsewhere: everything happens in the
transaction manager of the job's connection. The job's changes, its result and its status are one
transaction; so is every callback's.
"""

import datetime
import inspect
from typing import Any

import transaction
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.storable
import zc.twist
from zc.async_ import utils
from zc.async_.callbacks import CallbackProxy, pass_through, performed
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    AsyncError,
    BadStatusError,
    ReassignedError,
)
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.threadlocal import local

_AGAIN = object()


def manager_of(job: Any) -> Any:
    """The transaction manager of a job's connection; this thread's if it has none."""
    jar = job._p_jar
    return transaction.manager if jar is None else jar.transaction_manager


def run(job: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a job that the caller owns: one that is in no queue, or a callback. See `IJob`."""
    if job.status not in (NEW, ASSIGNED):
        raise BadStatusError(f"a job is called once, and while no queue has it; this is {job!r}")
    return _in_job(job, _Run(job, None, args, kwargs).go)


def run_claimed(job: Any, token: int) -> Any:
    """Run a job that a dispatcher claimed and made active, in a worker's thread.

    Returns the Deferred or coroutine that the job waits for, if any, else None. Raises
    `ReassignedError` if the job is not this worker's, or no longer so.
    """
    run = _Run(job, token, (), {})
    _in_job(job, run.go)
    return run.deferred


def finish_deferred(job: Any, token: int, value: Any) -> Any:
    """End a job whose Deferred has fired with `value`, in a worker's thread."""
    run = _Run(job, token, (), {})
    _in_job(job, lambda: run.end_with_deferred(value))
    return run.deferred


def _in_job(job: Any, call: Any) -> Any:
    previous = local.job
    local.job = job
    try:
        return call()
    finally:
        local.job = previous


class CannotWaitError(AsyncError):
    """A job that no dispatcher runs, such as a callback, returned a Deferred or coroutine."""


class _Run:
    """The tries of one job, until it has ended or somebody else has to go on with it."""

    def __init__(
        self, job: Any, token: int | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.job = job
        #: What the job's token must be; None for a job that nobody claimed.
        self.token = token
        self.args = args
        self.kwargs = kwargs
        self.manager = manager_of(job)
        self.data_cache: dict[str, Any] = {}
        #: When the last try of an unclaimed job began (microseconds).
        self.start: int | None = None
        #: The Deferred or coroutine that the job returned, if it had no result.
        self.deferred: Any = None

    def go(self) -> Any:
        while True:
            result = self._try()
            if result is not _AGAIN:
                return result

    def _try(self) -> Any:
        job = self.job
        self._check()
        setup_info = None
        try:
            setup_info = job.setUp()
            result = job.callable(*job._args, *self.args, **{**job._kwargs, **self.kwargs})
        except utils.EXPLOSIVE_ERRORS:
            self.manager.abort()
            self._tear_down(setup_info)
            raise
        except ReassignedError:
            self._give_up(setup_info)
            raise
        except Exception:
            return self._failed("jobError", setup_info)
        try:
            result = self._note(result)
            self.manager.commit()
        except utils.EXPLOSIVE_ERRORS:
            self.manager.abort()
            self._tear_down(setup_info)
            raise
        except ReassignedError:
            self._give_up(setup_info)
            raise
        except (zc.async_.storable.UnstorableError, CannotWaitError):
            # Nothing that a policy could do something about.
            failure = zc.twist.Failure(captureVars=True)
            self._give_up(setup_info)
            return self._end_failed(failure)
        except Exception:
            self.deferred = None
            return self._failed("commitError", setup_info)
        self._tear_down(setup_info)
        self._after(result)
        return result

    def _check(self) -> None:
        """See that the job is still ours to run, and that it is active."""
        job = self.job
        if self.token is not None:
            if job._token != self.token or job.status != ACTIVE:
                raise ReassignedError(f"{job!r} is no longer the business of this worker")
        else:
            self._check_unclaimed()
            job._set_status(ACTIVE)
            job._start = self.start = zc.async_.clock.microseconds()

    def _check_unclaimed(self) -> None:
        """See, before another try, that nobody else has run the job meanwhile.

        Two dispatchers may resume the callbacks of a job at the same time. What this run itself
        committed is no obstacle.
        """
        job = self.job
        if job.status not in (NEW, ASSIGNED) and (job.status, job._start) != (ACTIVE, self.start):
            raise ReassignedError(f"somebody else has run {job!r}")

    def _give_up(self, setup_info: Any) -> None:
        self.manager.abort()
        self._tear_down(setup_info)

    def _tear_down(self, setup_info: Any) -> None:
        try:
            self.job.tearDown(setup_info)
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception:
            utils.log.critical("tearDown of %r failed", self.job, exc_info=True)
            self.manager.abort()

    # -- a good end of the call

    def _note(self, result: Any) -> Any:
        """Record in the job what its callable returned; return what counts as the result."""
        job = self.job
        if isinstance(result, Deferred):
            result = _value_of(result)
        while zc.async_.interfaces.IJob.providedBy(result):
            if result.status != COMPLETED:
                job._wait_for(result)
                return result
            result = result.result
        if isinstance(result, Deferred) or inspect.iscoroutine(result):
            self._defer(result)
            return None
        if job._p_jar is not None:
            zc.async_.storable.check("the result", result, job._p_jar)
        self._end_with(result)
        return result

    def _end_with(self, result: Any) -> None:
        if self.data_cache:
            self._update_policy()
        self.job._end_with(result)

    def _defer(self, deferred: Any) -> None:
        if self.token is None:
            if inspect.iscoroutine(deferred):
                deferred.close()
            raise CannotWaitError(
                f"{self.job!r} returned a Deferred or coroutine, which only a dispatcher can wait "
                "for: put the job into a queue"
            )
        self.deferred = deferred
        # So that the fence of this transaction holds: the record says that the job goes on.
        self.job._p_changed = True

    def _after(self, result: Any) -> None:
        job = self.job
        if job.status in (CALLBACKS, COMPLETED):
            log_result(job, result)
        if job.status == CALLBACKS:
            run_callbacks(job)

    # -- a bad end

    def _failed(self, method: str, setup_info: Any) -> Any:
        """Have the retry policy decide; return `_AGAIN` or the failure."""
        failure = zc.twist.Failure(captureVars=True)
        self.manager.abort()
        self._tear_down(setup_info)
        self.manager.begin()
        answer = self._ask_policy(method, failure)
        self.manager.begin()
        if answer is True:
            return _AGAIN
        if answer is not False and self.job.queue is None:
            utils.log.error("%r is in no queue that it could wait in: it fails", self.job)
            answer = False
        if answer is False:
            return self._end_failed(failure)
        self._try_later(answer)
        return None

    def _ask_policy(self, method: str, failure: Any) -> Any:
        job = self.job
        try:
            # The database may be out of reach: that says nothing of the policy.
            policy = utils.never_fail_to(self._policy, "loading a retry policy", self.manager)
            answer = getattr(policy, method)(failure, self.data_cache)
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception:
            utils.log.critical("retry policy of %r raised: the job fails", job, exc_info=True)
            return False
        answer = _normalized(answer)
        if answer is not False and _too_late(job, answer):
            utils.log.info("%r is not tried again: its begin_by has passed", job)
            return False
        return answer

    def _policy(self) -> Any:
        self.job._p_activate()
        return self.job.getRetryPolicy()

    def _end_failed(self, failure: Any) -> Any:
        def end() -> None:
            self.manager.begin()
            self._check()
            self._end_with(stored)
            self.manager.commit()

        stored = zc.twist.sanitize(failure)
        utils.never_fail(end, f"storing the failure of {self.job!r}", self.manager)
        log_result(self.job, failure)
        if self.job.status == CALLBACKS:
            run_callbacks(self.job)
        return stored

    def _try_later(self, when: datetime.timedelta | datetime.datetime) -> None:
        def put_back() -> None:
            self.manager.begin()
            self._check()
            self._update_policy()
            if self.args:
                self.job._args = [*self.job._args, *self.args]
            if self.kwargs:
                self.job._kwargs = {**self.job._kwargs, **self.kwargs}
            reschedule(self.job, when)
            self.manager.commit()

        utils.never_fail(put_back, f"rescheduling {self.job!r}", self.manager)

    def _update_policy(self) -> None:
        policy = self.job.getRetryPolicy()
        policy.updateData(self.data_cache)
        self.job._policy = policy

    # -- the end of a Deferred

    def end_with_deferred(self, value: Any) -> None:
        def end() -> None:
            self.manager.begin()
            self._check()
            self._note(value)
            self.manager.commit()

        try:
            utils.never_fail_to(end, f"storing the result of {self.job!r}", self.manager)
        except (*utils.EXPLOSIVE_ERRORS, ReassignedError):
            raise
        except Exception:
            self._end_failed(zc.twist.Failure(captureVars=True))
            return
        self._after(value)


def _value_of(deferred: Any) -> Any:
    """What a Deferred has fired with; the Deferred itself if it has not."""
    if not deferred.called:
        return deferred
    values: list[Any] = []
    deferred.addBoth(values.append)
    if not values:
        return deferred
    return to_result(values[0])


def to_result(value: Any) -> Any:
    """The value of a Deferred as a result: a failure as one that can be stored."""
    if isinstance(value, Failure) and not isinstance(value, zc.twist.Failure):
        return zc.twist.sanitize(value)
    return value


def reschedule(job: Any, when: datetime.timedelta | datetime.datetime | None) -> None:
    """Put a job that somebody has into its queue again: at once, after a while or at a time."""
    queue = job.queue
    if queue is None:
        raise AsyncError(f"{job!r} has no queue, so it cannot be tried at another time")
    if when is None or _time_of(when) <= zc.async_.clock.microseconds():
        queue.putBack(job)
    else:
        queue._put_later(job, _time_of(when))


Answer = bool | datetime.timedelta | datetime.datetime


def _normalized(answer: Any) -> Answer:
    """What a retry policy answered, as it is meant."""
    return answer if isinstance(answer, (datetime.timedelta, datetime.datetime)) else bool(answer)


def _time_of(answer: Answer) -> int:
    """When a retry policy wants the job to be tried again (microseconds)."""
    if isinstance(answer, datetime.datetime):
        return zc.async_.clock.to_microseconds(answer)
    now = zc.async_.clock.microseconds()
    if isinstance(answer, datetime.timedelta):
        return now + zc.async_.clock.interval_microseconds(answer)
    return now


def _too_late(job: Any, answer: Answer) -> bool:
    """Whether the job must have begun before the time of the retry."""
    deadline = job._deadline()
    return deadline is not None and _time_of(answer) >= deadline


def handle_interrupt(job: Any) -> None:
    """Ask the retry policy of a job whose process is gone, and do as it says."""
    if job.status in (CALLBACKS, COMPLETED):
        # Its worker came to the result all the same, perhaps without seeing a late callback.
        run_callbacks(job)
        return
    if job.status not in (ASSIGNED, ACTIVE) or job._waits():
        return
    answer = _ask_after_interruption(job)
    if answer is False:
        job.fail()
    elif _too_late(job, answer):
        job.fail(BeginByPassedError())
    else:
        # Its old worker must not commit anything more, even before somebody claims the job.
        job._token += 1
        reschedule(job, None if answer is True else answer)


def _ask_after_interruption(job: Any) -> Answer:
    try:
        policy = job.getRetryPolicy()
        answer = policy.interrupted()
    except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        utils.log.critical("retry policy of %r raised: the job fails", job, exc_info=True)
        return False
    job._policy = policy
    return _normalized(answer)


# -- callbacks


def run_callbacks(job: Any) -> None:
    """Perform the callbacks that have not had their turn, and complete the job.

    Commits after each.
    """
    manager = manager_of(job)
    while True:
        callback = next((c for c in job.callbacks if not performed(c)), None)
        if callback is not None:
            _perform(callback, job.result, manager)
            manager.begin()
            continue
        for callback in job.callbacks:
            _resume(callback)
        if job.status != CALLBACKS:
            return
        utils.never_fail(lambda: _complete(job, manager), f"completing {job!r}", manager)


def _resume(callback: Any) -> None:
    """Go on with the callbacks of a callback whose process is gone."""
    while isinstance(callback, CallbackProxy):
        callback = callback.job
    if callback is not None and callback.status == CALLBACKS:
        run_callbacks(callback)


def _complete(job: Any, manager: Any) -> None:
    manager.begin()
    if job.status == CALLBACKS and all(performed(callback) for callback in job.callbacks):
        job._complete()
        manager.commit()


def _perform(callback: Any, result: Any, manager: Any) -> None:
    while isinstance(callback, CallbackProxy):
        callback = _choose(callback, result, manager)
        if callback is None:
            return
    if performed(callback):
        return
    if utils.tracelog.isEnabledFor(10):
        utils.tracelog.debug("starting callback %r to %r", callback, callback.parent)
    try:
        callback(result)
    except ReassignedError:
        # Either somebody else has performed it, and there is nothing to do, or it is the business
        # of this worker no more.
        manager.begin()
        if not performed(callback):
            raise


def _choose(proxy: CallbackProxy, result: Any, manager: Any) -> Any:
    """Commit the choice first: the chosen job then has its own transaction and tries."""

    def choose() -> Any:
        manager.begin()
        chosen = proxy.getJob(result)
        manager.commit()
        return chosen

    return utils.never_fail(choose, f"choosing a callback of {proxy.parent!r}", manager)


def note_completed_elsewhere(job: Any) -> None:
    """Tell the worker of this thread that another job was completed by what it runs."""
    if local.completed is not None and job._p_oid is not None:
        local.completed.append(job)


def log_result(job: Any, result: Any) -> None:
    """Log the end of a job: failures among the events, the rest in the trace."""
    if isinstance(result, zc.twist.Failure):
        if getattr(job, "_callable", None) == _PASS_THROUGH:
            return
        level = job._effective_log_level()
        if utils.log.isEnabledFor(level):
            text = result.getTraceback(detail="verbose", elideFrameworkCode=False)
            utils.log.log(level, "%r failed:\n%s", job, text)
    elif utils.tracelog.isEnabledFor(20):
        utils.tracelog.info("%r succeeded with result:\n%s", job, utils.custom_repr(result))


_PASS_THROUGH = f"{pass_through.__module__}:{pass_through.__qualname__}"
