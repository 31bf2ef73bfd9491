"""What happens after a failed try: the retry policy decides on another try, now, later or never.

A job that is to be tried later waits in its queue. If it cannot go back there, whoever performs
callbacks waits for it, or else this thread.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import zc.async_.clock
import zc.async_.relstorage
import zc.twist
from zc.async_ import utils
from zc.async_.running import answers
from zc.async_.running.answers import At
from zc.async_.running.asking import Asking
from zc.async_.running.callback_runs import LONGEST_SLEEP, PostponedError
from zc.async_.running.ending import Ending
from zc.async_.running.holding import Hold
from zc.async_.running.missing import log_missing, next_try
from zc.twist.showing import show

#: How long after the put (microseconds) an object of another database may be missing, and how long
#: it takes from one look for it to the next.
COMMIT_PATIENCE = 10_000_000
MOMENT = 200_000

#: Stands for a result: this thread is to try the job again at once.
AGAIN = object()


class Failing:
    """Decides what becomes of a job after a failed try, and does it."""

    def __init__(
        self,
        hold: Hold,
        asking: Asking,
        ending: Ending,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        may_postpone: bool,
    ) -> None:
        """`args` and `kwargs`: those of this call, which a try by another thread needs, too.

        `may_postpone`: whether the caller performs callbacks, and tries this one again later.
        """
        self._job = hold.job
        self._manager = hold.manager
        self._hold = hold
        self._asking = asking
        self._ending = ending
        self._args = args
        self._kwargs = kwargs
        self._may_postpone = may_postpone
        self._tries = 0

    def decide(self, method: str, failure: Any) -> Any:
        """Have the retry policy decide by its `method`, after the failed try was aborted.

        Returns `AGAIN`, the failure that the job ended with, or None if it has gone back into its
        queue. Raises `PostponedError` if the caller, who performs callbacks, has to try this one
        again.
        """
        self._tries += 1
        self._manager.begin()
        answer = self._asking.ask(method, failure)
        self._manager.begin()
        if isinstance(answer, At):
            return self._try_at(answer, failure)
        if not answer:
            return self._ending.fail(failure)
        self._manager.abort()
        zc.async_.relstorage.pause(failure.value, self._tries)
        self._manager.begin()
        return AGAIN

    def _try_at(self, when: At, failure: Any) -> Any:
        """Have the job tried again at that time, by this or another thread."""
        job = self._job
        wait = max(0, when - zc.async_.clock.microseconds())
        if self._waits_here() and wait > LONGEST_SLEEP:
            utils.log.error("%r is in no queue that it could wait in: it fails", job)
            return self._ending.fail(failure)
        if self._may_postpone:
            self._renew(self._asking.note)
            raise PostponedError(when)
        if not self._waits_here():
            self._put_back(when, self._asking.note)
            return None
        time.sleep(wait / 1_000_000)
        self._manager.begin()
        return AGAIN

    def _waits_here(self) -> bool:
        """Whether the job can only be tried again by this thread: nobody else would."""

        def look() -> bool:
            called = (
                self._job.is_callback() and not self._may_postpone and not self._hold.is_claimed
            )
            return self._job.queue is None or called

        return bool(utils.try_until_reachable(look, "looking where a job is", self._manager))

    def wait_for_code(self, error: Any) -> Any:
        """Have a job whose code is missing tried again later; it fails if it has waited enough.

        `error`: the `MissingCallableError`. Returns the failure that the job ended with, or None.
        Raises `PostponedError` as `decide` does.
        """
        self._manager.begin()
        job = self._job
        when = None if self._waits_here() else next_try(job)
        missing = job.missing_code
        self._manager.abort()
        log_missing(job, error, when)
        if when is None:
            return self._ending.fail(zc.twist.Failure(error))
        note = functools.partial(job.note_missing_code, missing)
        if self._may_postpone:
            self._renew(note)
            raise PostponedError(when)
        self._put_back(when, note)
        return None

    def may_still_come(self) -> bool:
        """Whether a missing object may be part of the commit that put the job.

        Several databases finish a commit one after the other.
        """
        job = self._job
        if not self._hold.is_claimed or len(job._p_jar.db().databases) < 2:
            return False
        put = job.arrival_key or job.entry_key
        return bool(zc.async_.clock.microseconds() - put < COMMIT_PATIENCE)

    def wait_for_commit(self, error: Exception) -> None:
        """Have the job tried again in a moment; `error` tells which object may still come."""
        utils.log.info("%r waits for an object that is being committed: %s", self._job, error)
        self._put_back(answers.after(MOMENT), lambda: None)

    def _put_back(self, when: At, note: Callable[[], Any]) -> None:
        """Have a job wait in its queue; `note` writes down why."""

        def put_back() -> None:
            self._manager.begin()
            self._hold.check()
            note()
            self._job.keep_arguments(self._args, self._kwargs)
            answers.reschedule(self._job, when)
            self._manager.commit()

        utils.never_fail(put_back, f"rescheduling {show(self._job)}", self._manager)

    def _renew(self, note: Callable[[], Any]) -> None:
        """Have a callback be new again, for whoever performs the callbacks then."""

        def renew() -> None:
            self._manager.begin()
            self._hold.check()
            note()
            self._job.renew()
            self._manager.commit()

        utils.never_fail(renew, f"postponing {show(self._job)}", self._manager)
