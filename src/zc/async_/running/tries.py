"""Running a job: tries, commits, failures and callbacks.

`run` is what a call of a job does, in a worker's thread or elsewhere: everything happens in the
transaction manager of the job's connection. The job's changes, its result and its status are one
transaction; so is every callback's.
"""

import contextlib
import functools
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import transaction
import ZEO.Exceptions
from twisted.internet.defer import Deferred
from ZODB.POSException import POSKeyError, ReadConflictError
from ZODB.utils import z64

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.zeo
import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    AsyncError,
    BadStatusError,
    ReassignedError,
)
from zc.async_.running import answers, asking, awaiting, notes, receipts
from zc.async_.running.answers import At
from zc.async_.running.awaiting import CannotWaitError
from zc.async_.running.callback_runs import LONGEST_SLEEP, PostponedError, manager_of, run_callbacks
from zc.async_.running.missing import MissingCodeError, find_callable, log_missing, next_try
from zc.async_.running.participants import Mark, TwoConnectionsError, Watch
from zc.async_.running.reporting import log_result
from zc.async_.storing import UnstorableError, storable
from zc.async_.threadlocal import local
from zc.twist.showing import show

#: Microseconds from the put for which an object of another database may be missing, and between
#: two looks for it.
COMMIT_PATIENCE = 10_000_000
MOMENT = 200_000

_AGAIN = object()


def run(job: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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
    """Have a commit fail that would wait for itself. In workers the fence sees to that."""
    if local.claimed is not None:
        yield
        _tell_ending(False)
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
    """Commit what the caller has done: no failure of the job, and no new try, may undo it."""
    if manager.get()._resources:
        manager.commit()
        manager.begin()


def perform(callback: Any, result: Any) -> None:
    """Run a callback, but not those behind it: see `callback_runs`."""
    _in_job(callback, _Run(callback, None, (result,), {}, may_postpone=True).go_again)


def run_claimed(job: Any, token: int) -> Any:
    """Run a job that a dispatcher claimed and made active, in a worker's thread.

    Returns the Deferred or coroutine that the job waits for, if any, else None. Raises
    `ReassignedError` if the job is not this worker's, or no longer so.
    """
    run = _Run(job, token, (), {})
    _in_claimed_job(job, token, run.go if token == 1 else run.go_again)
    return run.deferred


def finish_deferred(job: Any, token: int, value: Any) -> Any:
    """End a job whose Deferred has fired with `value`, in a worker's thread."""
    run = _Run(job, token, (), {})
    _in_claimed_job(job, token, lambda: run.end_with_deferred(value))
    return run.deferred


def _in_claimed_job(job: Any, token: int, call: Any) -> None:
    local.claimed = job._p_oid, job._p_jar.db().database_name, token
    try:
        _in_job(job, lambda: _with_callbacks(job, call))
    finally:
        local.claimed = None


def _with_callbacks(job: Any, call: Any) -> Any:
    result = call()
    if job.status == CALLBACKS and not job._waits():
        run_callbacks(job)
    return result


def _in_job(job: Any, call: Any) -> Any:
    previous = local.job, local.mark
    local.job, local.mark = job, None
    try:
        return call()
    finally:
        local.job, local.mark = previous


def _tell_ending(ending: bool) -> None:
    """Tell a dispatcher that stops whether the code of a job has returned."""
    if local.task is not None:
        local.task.ending = ending


def _is_job(value: Any) -> bool:
    # By its class first: to ask the object itself loads it, and its connection may be closed.
    job = zc.async_.interfaces.IJob
    return bool(job.implementedBy(type(value)) or job.providedBy(value))


class InvalidEndError(AsyncError):
    """A job ended in a way that it could not be brought to an end."""


class ConnectionClosedError(AsyncError):
    """A job has closed the connection that it was loaded from: nothing can be stored."""


#: What keeps a thread from its job, or from the storage, and says nothing of a job that is read.
_TROUBLES = (
    *utils.EXPLOSIVE_ERRORS,
    *utils.DISCONNECTED_ERRORS,
    *utils.TRANSIENT_ERRORS,
    OSError,
    ZEO.Exceptions.ServerException,
)

#: Ends of a job that a policy could not do anything about.
_HOPELESS_ERRORS = (UnstorableError, CannotWaitError, InvalidEndError, TwoConnectionsError)


class _Run:
    """The tries of one job, until it has ended or somebody else has to go on with it."""

    def __init__(
        self,
        job: Any,
        token: int | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        may_postpone: bool = False,
    ) -> None:
        self.job = job
        #: Whether the caller performs callbacks, and sees to it that this one is tried again later.
        self.may_postpone = may_postpone
        #: What the job's token must be; None for a job that nobody claimed.
        self.token = token
        self.args = args
        self.kwargs = kwargs
        self.manager = manager_of(job)
        self.asking = asking.Asking(job, self.manager)
        #: When this run of an unclaimed job began (microseconds).
        self.start: int | None = None
        #: The Deferred or coroutine that the job returned, if it had no result.
        self.deferred: Any = None
        #: Whether a commit had no answer, and was not done when that was looked for. Its storage
        #: may have been at it still.
        self.unsure = False

    def go(self) -> Any:
        while True:
            result = self._try()
            if result is not _AGAIN:
                return result

    def go_again(self) -> Any:
        """As `go`, for a job that may have taken effect in another database."""
        jar = self.job._p_jar
        if jar is None or len(jar.db().databases) < 2:
            return self.go()
        receipt = utils.never_fail_to(
            lambda: receipts.find(self.job), "looking for a receipt", self.manager
        )
        if receipt is None:
            return self.go()
        utils.log.warning("%r took effect before a crash, as its receipt says", self.job)
        return self._end_quietly(receipt[1])

    def _try(self) -> Any:
        job = self.job
        _tell_ending(False)
        utils.never_fail_to(self._check, "looking whose a job is", self.manager)
        if self.token is None and job._is_callback() and self.asking.is_at_most_once():
            utils.never_fail_to(self._commit_start, f"starting {show(job)}", self.manager)
        setup_info = None
        try:
            setup_info = job.setUp()
            call = find_callable(job)
            result = call(*job._args, *self.args, **{**job._kwargs, **self.kwargs})
            self._check_is_open()
        except utils.EXPLOSIVE_ERRORS:
            self.manager.abort()
            self._tear_down(setup_info)
            raise
        except (ReassignedError, ConnectionClosedError):
            self._give_up(setup_info)
            raise
        except MissingCodeError as error:
            self._give_up(setup_info)
            return self._wait_for_code(error.args[0])
        except POSKeyError as error:
            if not self._may_still_come():
                return self._failed("jobError", setup_info)
            self._give_up(setup_info)
            utils.log.info("%r waits for an object that is being committed: %s", job, error)
            self._put_back(answers.after(MOMENT), lambda: None)
            return None
        except TwoConnectionsError:
            # Of its own commit: it would be the same the next time.
            return self._fail_at_once(setup_info)
        except BaseException:
            # Of others than exceptions, such as asyncio's CancelledError, the thread knows nothing.
            return self._failed("jobError", setup_info)
        return self._finish(result, setup_info)

    def _finish(self, result: Any, setup_info: Any) -> Any:
        """Commit what the callable did, with its result, and what follows from that."""
        _tell_ending(True)
        only_result = self._has_nothing_left()
        try:
            result = self._look_into(result)
            noted = self._commit_result(result)
        except utils.EXPLOSIVE_ERRORS:
            self.manager.abort()
            self._tear_down(setup_info)
            raise
        except ReassignedError:
            self._give_up(setup_info)
            raise
        except _HOPELESS_ERRORS:
            return self._fail_at_once(setup_info)
        except Exception as error:
            if storable.is_about_storing(error):
                return self._fail_at_once(setup_info)
            transient = isinstance(error, utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS)
            if not (only_result and transient):
                failure = zc.twist.Failure(captureVars=True)
                self.deferred = None
                return self._failed("commitError", setup_info, failure)
            self._give_up(setup_info)
            return self._end_anew(result)
        self._tear_down(setup_info)
        return self._go_on_after(noted)

    def _fail_at_once(self, setup_info: Any) -> Any:
        """End with the present error, which no policy could do anything about."""
        failure = zc.twist.Failure(captureVars=True)
        self._give_up(setup_info)
        return self._end_failed(failure)

    def _has_nothing_left(self) -> bool:
        """Whether all that the callable did has been committed by itself, if it did anything.

        What is not stored then is its result, for which alone it must not run again.
        """
        jar = self.job._p_jar
        if jar is None or self.job._p_serial == z64:
            return False
        present = self.manager.get()
        mark = local.mark
        if not all(mark is not None and mark.is_all_of(one) for one in present._resources):
            return False
        hooks = *present.getBeforeCommitHooks(), *present.getAfterCommitHooks()
        expects = any(connection._readCurrent for connection in jar.connections.values())
        return not (hooks or expects)

    def _commit_result(self, result: Any) -> Any:
        """Note and commit what the callable returned; return what counts as the result."""
        result = self._note(result)
        receipts.leave(self.job)
        serial = self.job._p_serial
        try:
            self.manager.commit()
        except Exception as error:
            if storable.is_about_storing(error) or isinstance(error, ReassignedError):
                raise
            if not self._was_committed(serial, error):
                raise
        self.unsure = False
        return result

    def _end_anew(self, result: Any) -> Any:
        """Store the result of a callable of which nothing else is to be committed."""

        def end() -> Any:
            self.manager.begin()
            self._check()
            return self._commit_result(result)

        try:
            noted = utils.never_fail_to(
                end, f"storing the result of {show(self.job)}", self.manager
            )
        except (*utils.EXPLOSIVE_ERRORS, ReassignedError):
            raise
        except Exception:
            return self._end_failed(zc.twist.Failure(captureVars=True))
        return self._go_on_after(noted)

    def _go_on_after(self, result: Any) -> Any:
        """Do what follows from a result that is committed."""
        if self.job._joins is not None:
            return self._join(result)
        if self.deferred is not None and self.token is None:
            waited_for, self.deferred = self.deferred, None
            return self._wait_for_deferred(waited_for)
        self._tell(result)
        return result

    def _join(self, inner: Any) -> Any:
        """Have the job that was returned complete this one.

        In a transaction of its own, since others write that job: a conflict with them must not make
        the callable run again. Whoever comes after a crash does it instead.
        """
        job = self.job

        def join() -> Any:
            self.manager.begin()
            self._check_is_ours()
            if job._joins is not None:
                try:
                    job._join()
                except _TROUBLES:
                    raise
                except Exception:
                    # The other job cannot be read.
                    return zc.twist.Failure()
                self.manager.commit()
            return None

        # What the callable did is committed: a storage that refuses this must not fail the job.
        problem = utils.never_fail(join, f"having {show(job)} wait for another", self.manager)
        if problem is not None:
            return self._end_failed(problem)
        if job._waits_for_result():
            return inner
        self._tell(job.result)
        return job.result

    def _wait_for_deferred(self, waited_for: Any) -> Any:
        """Wait here, as long as that is not in vain, and end with what comes of it."""
        _tell_ending(False)
        try:
            value = awaiting.wait_for(waited_for)
        except CannotWaitError:
            return self._end_failed(zc.twist.Failure())
        return self._end_anew(value)

    def _was_committed(self, serial: bytes | None, error: Exception) -> bool:
        """Whether the commit was done and only its answer was lost. `serial`: of the job before it.

        Each commit of a try writes the job, which is nobody else's meanwhile.
        """
        conflict = isinstance(error, utils.TRANSIENT_ERRORS)
        if serial is None or (conflict and not isinstance(error, utils.DISCONNECTED_ERRORS)):
            return False
        job = self.job

        def look() -> bool:
            self.manager.abort()
            if job._p_jar is not None:
                # What was known before the commit says nothing of it.
                zc.async_.zeo.catch_up(job._p_jar.db())
            self.manager.begin()
            job._p_activate()
            ours = job._start == self.start if self.token is None else job._token == self.token
            return bool(ours and job._p_serial != serial)

        found = bool(utils.never_fail_to(look, f"looking at {show(job)}", self.manager))
        self.unsure = not found
        return found

    def _check(self) -> None:
        """See that the job is still ours to run, and that it is active."""
        job = self.job
        self._check_is_ours()
        if self.token is None:
            job._set_status(ACTIVE)
            if self.start is None:
                self.start = zc.async_.clock.microseconds()
            job._start = self.start
            # Stored only if the job commits before its end: who comes after a crash needs it.
            job._runner = local.claimed
            local.mark = Mark(job)

    def _check_is_ours(self) -> None:
        job = self.job
        if self.token is None:
            self._check_unclaimed()
        elif job._token != self.token or job.status != ACTIVE or self._was_done_after_all():
            raise ReassignedError(f"{show(job)} is no longer the business of this worker")

    def _was_done_after_all(self) -> bool:
        """Whether the job waits for another one, or is about to.

        So it does, or it has ended, if a commit whose answer was lost, and which could not be seen
        yet when it was looked for, was done all the same. Who comes to handle the interruption goes
        on from there.
        """
        job = self.job
        return bool(job._waits_for_result() or (self.unsure and job._joins is not None))

    def _commit_start(self) -> None:
        self._check()
        self.job._provide_sidecar()
        self.manager.commit()

    def _may_still_come(self) -> bool:
        """Whether an object that is not there may be part of the commit that put the job.

        Of several databases, one after the other finishes a commit.
        """
        job = self.job
        if self.token is None or len(job._p_jar.db().databases) < 2:
            return False
        put = job._arrival or job._entry_key
        return bool(zc.async_.clock.microseconds() - put < COMMIT_PATIENCE)

    def _check_unclaimed(self) -> None:
        """See, before another try, that nobody else has run the job meanwhile.

        Two dispatchers may resume the callbacks of a job at the same time. What this run itself
        committed is no obstacle.
        """
        job = self.job
        if job.status in (NEW, ASSIGNED):
            return
        ours = ACTIVE, self.start, local.claimed
        if (job.status, job._start, job._runner) != ours or self._was_done_after_all():
            raise ReassignedError(f"somebody else has run {show(job)}")

    def _give_up(self, setup_info: Any) -> None:
        self.manager.abort()
        self._tear_down(setup_info)

    def _tear_down(self, setup_info: Any) -> None:
        try:
            self.job.tearDown(setup_info)
        except utils.EXPLOSIVE_ERRORS:
            raise
        except BaseException:
            utils.log.critical("tearDown of %r failed", self.job, exc_info=True)
            self.manager.abort()

    # -- a good end of the call

    def _look_into(self, result: Any) -> Any:
        """What the callable returned, or what that has come to already."""
        if inspect.iscoroutine(result) and self.token is None:
            result = awaiting.begin(result)
        if isinstance(result, Deferred):
            result = awaiting.value_of(result)
        # A failure that is returned is a result; what the job did stays.
        return awaiting.to_result(result)

    def _note(self, result: Any) -> Any:
        """Record in the job what its callable returned; return what counts as the result."""
        job = self.job
        if job._joins is not None:
            # Of an earlier run, of which an older release knew nothing.
            job._joins = None
        if job.status == PENDING:
            raise InvalidEndError(f"{show(job)} has put itself into a queue, where it cannot end")
        while _is_job(result):
            # The connection that it comes from may be closed: it is not looked at there.
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
        self._end_with(result)
        return result

    def _own(self, inner: Any) -> Any:
        """A job that was returned, as the connection of the job that returned it has it."""
        jar, theirs = self.job._p_jar, inner._p_jar
        if jar is None or theirs is None or storable.are_together(jar, theirs):
            return inner
        name, oid = theirs.db().database_name, inner._p_oid
        if self._has_nothing_left():
            # What was committed since this transaction began is seen, too.
            self.manager.begin()
            self._check()
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
        """Have the job wait, now if nobody else can see the other one yet, else in a moment."""
        job = self.job
        if job._p_jar is None or inner._p_jar is None or inner._p_serial == z64:
            job._wait_for(inner)
        else:
            job._joins = inner

    def _end_with(self, result: Any) -> None:
        self.asking.note_at_end()
        self.job._end_with(result)

    def _defer(self, deferred: Any) -> None:
        if self.token is None:
            try:
                awaiting.check()
            except CannotWaitError:
                if inspect.iscoroutine(deferred):
                    deferred.close()
                raise
        self.deferred = deferred
        # So that the fence of this transaction holds: the record says that the job goes on.
        self.job._p_changed = True

    def _tell(self, result: Any) -> None:
        if self.job.status in (CALLBACKS, COMPLETED):
            log_result(self.job, result)

    # -- a bad end

    def _failed(self, method: str, setup_info: Any, failure: Any = None) -> Any:
        """Have the retry policy decide; return `_AGAIN` or the failure."""
        _tell_ending(True)
        failure = failure or zc.twist.Failure(captureVars=True)
        self.manager.abort()
        self._tear_down(setup_info)
        self.manager.begin()
        answer = self.asking.ask(method, failure)
        self.manager.begin()
        if isinstance(answer, At):
            return self._try_at(answer, failure)
        return _AGAIN if answer else self._end_failed(failure)

    def _try_at(self, when: At, failure: Any) -> Any:
        """See that there is another try at that time, by whoever comes along."""
        job = self.job
        wait = max(0, when - zc.async_.clock.microseconds())
        if self._waits_here() and wait > LONGEST_SLEEP:
            utils.log.error("%r is in no queue that it could wait in: it fails", job)
            return self._end_failed(failure)
        if self.may_postpone:
            self._renew(self.asking.note)
            raise PostponedError(when)
        if not self._waits_here():
            self._put_back(when, self.asking.note)
            return None
        time.sleep(wait / 1_000_000)
        self.manager.begin()
        return _AGAIN

    def _waits_here(self) -> bool:
        """Whether the job can only be tried again by this thread: nobody else would."""

        def look() -> bool:
            called = self.job._is_callback() and not self.may_postpone and self.token is None
            return self.job.queue is None or called

        return bool(utils.never_fail_to(look, "looking where a job is", self.manager))

    def _wait_for_code(self, error: Any) -> Any:
        """Have the job tried again later, unless it has waited long enough or cannot wait."""
        self.manager.begin()
        job = self.job
        when = None if self._waits_here() else next_try(job)
        missing = job._missing
        self.manager.abort()
        log_missing(job, error, when)
        if when is None:
            return self._end_failed(zc.twist.Failure(error))
        note = functools.partial(self._note_missing, missing)
        if self.may_postpone:
            self._renew(note)
            raise PostponedError(when)
        self._put_back(when, note)
        return None

    def _end_failed(self, failure: Any) -> Any:
        return self._end_quietly(zc.twist.sanitize(failure), failure)

    def _check_is_open(self) -> None:
        jar = self.job._p_jar
        if jar is not None and jar.opened is None:
            # Before a commit, which would keep the lock of the storage.
            raise ConnectionClosedError(
                "a job has closed its connection: leave that to who opened it"
            )

    def _end_quietly(self, result: Any, told: Any = None) -> Any:
        """Store a result that no transaction of the job goes with; tell of it, or of `told`."""

        def end() -> None:
            self.manager.begin()
            self._check()
            self._end_with(result)
            self.manager.commit()

        self._check_is_open()
        utils.never_fail(end, f"storing the result of {show(self.job)}", self.manager)
        log_result(self.job, result if told is None else told)
        return result

    def _put_back(self, when: At, note: Callable[[], Any]) -> None:
        """Have a job wait in its queue; `note` writes down why."""

        def put_back() -> None:
            self.manager.begin()
            self._check()
            note()
            if self.args:
                self.job._args = [*self.job._args, *self.args]
            if self.kwargs:
                self.job._kwargs = {**self.job._kwargs, **self.kwargs}
            answers.reschedule(self.job, when)
            self.manager.commit()

        utils.never_fail(put_back, f"rescheduling {show(self.job)}", self.manager)

    def _renew(self, note: Callable[[], Any]) -> None:
        """Have a callback be new again, for whoever performs the callbacks then."""

        def renew() -> None:
            self.manager.begin()
            self._check()
            note()
            self.job._set_status(NEW)
            self.job._runner = None
            self.manager.commit()

        utils.never_fail(renew, f"postponing {show(self.job)}", self.manager)

    def _note_missing(self, missing: Any) -> None:
        self.job._missing = missing

    # -- the end of a Deferred

    def end_with_deferred(self, value: Any) -> None:
        self._end_anew(value)
