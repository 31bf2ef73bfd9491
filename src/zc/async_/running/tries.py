"""Running a job: tries, commits, failures and callbacks.

`run` is what a call of a job does, in a worker's thread or elsewhere: everything happens in the
transaction manager of the job's connection. The job's changes, its result and its status are one
transaction; so is every callback's.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import transaction
from ZODB.POSException import POSKeyError

import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import ASSIGNED, CALLBACKS, NEW, BadStatusError, ReassignedError
from zc.async_.running import notes, participants, receipts
from zc.async_.running.around import Around
from zc.async_.running.asking import Asking
from zc.async_.running.awaiting import CannotWaitError
from zc.async_.running.callback_runs import manager_of, run_callbacks
from zc.async_.running.contract import RunnableJob
from zc.async_.running.ending import Ending
from zc.async_.running.failing import AGAIN, Failing
from zc.async_.running.holding import ConnectionClosedError, Hold
from zc.async_.running.missing import MissingCodeError, find_callable
from zc.async_.running.participants import TwoConnectionsError, Watch, has_nothing_left
from zc.async_.running.reporting import tell_ending
from zc.async_.running.returned import InvalidEndError
from zc.async_.storing import UnstorableError, callables, storable
from zc.async_.threadlocal import local
from zc.twist.showing import show

#: Errors for which no policy is asked: another try would not help.
_HOPELESS_ERRORS = (UnstorableError, CannotWaitError, InvalidEndError, TwoConnectionsError)


def run(job: RunnableJob, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a job that the caller owns: one that is in no queue, or a callback. See `IJob`."""
    if job.status not in (NEW, ASSIGNED):
        raise BadStatusError(
            f"a job is called once, and while no queue has it; this is {show(job)}"
        )
    run = _Run(job, None, args, kwargs)
    with _watching(run.manager):
        _commit_before(run.manager)
        with notes.Noting(run.manager, job):
            return _in_job(job, lambda: _with_callbacks(job, run.go))


@contextlib.contextmanager
def _watching(manager: Any) -> Iterator[None]:
    """Fail a commit that would wait for itself. In workers the fence does that."""
    if local.claimed is not None:
        yield
        tell_ending(False)
        return
    watch = Watch()
    managers = [manager]
    if manager not in (transaction.manager, transaction.manager.manager):
        managers.append(transaction.manager)
    for one in managers:
        one.registerSynch(watch)
    try:
        yield
    finally:
        for one in managers:
            one.unregisterSynch(watch)


def _commit_before(manager: Any) -> None:
    """Commit the caller's changes: neither a failure of the job nor a new try may undo them."""
    if participants.are_there(manager.get()):
        manager.commit()
        manager.begin()


def perform(callback: Any, result: Any) -> None:
    """Run a callback, but not those behind it: see `callback_runs`."""
    _in_job(callback, _Run(callback, None, (result,), {}, may_postpone=True).go_again)


def run_claimed(job: RunnableJob, token: int) -> Any:
    """Run a job that a dispatcher claimed and made active, in a worker's thread.

    Returns the Deferred or coroutine that the job waits for, if any, else None. Raises
    `ReassignedError` if the job is not this worker's, or no longer so.
    """
    run = _Run(job, token, (), {})
    _in_claimed_job(job, token, run.go if token == 1 else run.go_again)
    return run.ending.deferred


def finish_deferred(
    job: RunnableJob, token: int, value: Any, attach: Callable[[Any], Any] | None = None
) -> Any:
    """End a job whose Deferred has fired with `value`, in a worker's thread.

    `attach`: called with it in each transaction that is tried; returns the result.
    """
    run = _Run(job, token, (), {})
    _in_claimed_job(job, token, lambda: run.ending.end_anew(value, attach))
    return run.ending.deferred


def _in_claimed_job(job: RunnableJob, token: int, call: Any) -> None:
    local.claimed = job._p_oid, job._p_jar.db().database_name, token
    try:
        _in_job(job, lambda: _with_callbacks(job, call))
    finally:
        local.claimed = None


def _with_callbacks(job: RunnableJob, call: Any) -> Any:
    result = call()
    if utils.try_until_reachable(
        lambda: job.status == CALLBACKS and not job.is_suspended(),
        "looking at a job",
        manager_of(job),
    ):
        run_callbacks(job)
    return result


def _in_job(job: RunnableJob, call: Any) -> Any:
    previous = local.job, local.mark
    local.job, local.mark = job, None
    try:
        return call()
    finally:
        local.job, local.mark = previous


class _Run:
    """The tries of one job, until it has ended or somebody else has to go on with it."""

    def __init__(
        self,
        job: RunnableJob,
        token: int | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        may_postpone: bool = False,
    ) -> None:
        """As for `Hold` and `Failing`."""
        self.job = job
        self._args = args
        self._kwargs = kwargs
        #: That of the present try.
        self._around: Around
        self.manager = manager_of(job)
        self._asking = Asking(job, self.manager)
        self._hold = Hold(job, token, self.manager)
        self.ending = Ending(self._hold, self._asking)
        self._failing = Failing(self._hold, self._asking, self.ending, args, kwargs, may_postpone)

    def go(self) -> Any:
        """Try until there is an end; return the result, or None if somebody else goes on."""
        while True:
            result = self._try()
            if result is not AGAIN:
                return result

    def go_again(self) -> Any:
        """As `go`, for a job that may have taken effect in another database."""
        jar = self.job._p_jar
        if jar is None or len(jar.db().databases) < 2:
            return self.go()
        receipt = utils.try_until_reachable(
            lambda: receipts.find(self.job), "looking for a receipt", self.manager
        )
        if receipt is None:
            return self.go()
        utils.log.warning("%r took effect before a crash, as its receipt says", self.job)
        return self.ending.end_quietly(receipt[1])

    def _try(self) -> Any:
        job = self.job
        tell_ending(False)
        utils.try_until_reachable(self._hold.check, "looking whose a job is", self.manager)
        if not self._hold.is_claimed and job.is_callback() and self._asking.is_at_most_once():
            utils.try_until_reachable(
                self._hold.commit_start, f"starting {show(job)}", self.manager
            )
        self._around = Around(job, self.manager)
        try:
            self._around.set_up()
            call = find_callable(job)
            args, kwargs = job.stored_args, job.stored_kwargs
            is_coroutine = job.is_coroutine or callables.is_coroutine_function(call)
            if is_coroutine and self._hold.is_claimed:
                # Its code runs in the thread of the reactor.
                call, args, kwargs = job.detached_call(call)
            result = call(*args, *self._args, **{**kwargs, **self._kwargs})
            self._hold.check_is_open()
        except utils.EXPLOSIVE_ERRORS:
            self.manager.abort()
            self._around.tear_down()
            raise
        except (ReassignedError, ConnectionClosedError):
            self._give_up()
            raise
        except MissingCodeError as error:
            self._give_up()
            return self._failing.wait_for_code(error.args[0])
        except POSKeyError as error:
            if not self._failing.may_still_come():
                return self._failed("jobError")
            self._give_up()
            self._failing.wait_for_commit(error)
            return None
        except TwoConnectionsError:
            # The job's own commit raised it, and would do so the next time.
            return self._fail_at_once()
        except BaseException:
            # Also what is no Exception, such as asyncio's CancelledError: the thread handles none.
            return self._failed("jobError")
        return self._finish(result)

    def _finish(self, result: Any) -> Any:
        """Commit the callable's changes with its result, and draw the consequences."""
        tell_ending(True)
        only_result = has_nothing_left(self.job, self.manager)
        try:
            result = self.ending.look_into(result)
            noted = self.ending.commit(result)
        except utils.EXPLOSIVE_ERRORS:
            self.manager.abort()
            self._around.tear_down()
            raise
        except ReassignedError:
            self._give_up()
            raise
        except _HOPELESS_ERRORS:
            return self._fail_at_once()
        except Exception as error:
            if storable.is_about_storing(error):
                return self._fail_at_once()
            transient = isinstance(error, utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS)
            if not (only_result and transient):
                failure = zc.twist.Failure(captureVars=True)
                self.ending.forget_deferred()
                return self._failed("commitError", failure)
            self._give_up()
            return self.ending.end_anew(result)
        self._around.tear_down()
        return self.ending.go_on_after(noted)

    def _fail_at_once(self) -> Any:
        """End with the present error: another try would not help."""
        failure = zc.twist.Failure(captureVars=True)
        self._give_up()
        return self.ending.fail(failure)

    def _failed(self, method: str, failure: Any = None) -> Any:
        """Have the retry policy decide on a failure, by default the present error."""
        tell_ending(True)
        failure = failure or zc.twist.Failure(captureVars=True)
        self._give_up()
        return self._failing.decide(method, failure)

    def _give_up(self) -> None:
        self.manager.abort()
        self._around.tear_down()
