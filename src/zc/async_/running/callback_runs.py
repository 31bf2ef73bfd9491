"""Performing the callbacks of a job whose result is known, in the order in which they were added.

Each callback is a transaction of its own. The callbacks of a callback come before the next one. A
callback that is to be tried later holds up those after it, but no worker: the job is left alone
until a job of the system goes on with it. The same happens while another worker is at a callback.
Late callbacks, of jobs that were completed already, are performed by such a job, too.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import transaction

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED, NEW, ReassignedError
from zc.async_.running import answers
from zc.async_.running.answers import At
from zc.async_.running.awaiting import AbandonedError
from zc.async_.running.chains import is_proxy, owner_of, performed
from zc.async_.running.contract import RunnableJob
from zc.async_.running.reporting import note_completed_elsewhere
from zc.async_.threadlocal import local
from zc.twist.showing import show

#: How long (microseconds) until somebody looks again whether another worker has ended a callback.
PATIENCE = 1_000_000

#: The longest time (microseconds) that a job in no queue, or its callbacks, may wait for a try.
LONGEST_SLEEP = 60_000_000


class PostponedError(Exception):
    """The callbacks of a job cannot go on before `when`."""

    def __init__(self, when: At, elsewhere: bool = False) -> None:
        super().__init__(when)
        self.when = when
        #: Whether the reason is that another worker is at them.
        self.elsewhere = elsewhere


def manager_of(job: RunnableJob) -> Any:
    """The transaction manager of a job's connection; this thread's if it has none."""
    jar = job._p_jar
    return transaction.manager if jar is None else jar.transaction_manager


def run_callbacks(job: RunnableJob) -> None:
    """Perform the callbacks that have not had their turn, and complete the job.

    Commits after each.
    """
    manager = manager_of(job)
    while True:
        try:
            _go_on(job, manager)
            return
        except PostponedError as postponed:
            if _leave(job, postponed, manager):
                return
            manager.begin()


def _go_on(job: RunnableJob, manager: Any) -> None:
    # Each job is a callback of the one before. No recursion: such chains may be long.
    chain = [_Place(job)]
    while chain:
        place = chain[-1]
        job = place.job
        callback, ended = utils.try_until_reachable(place.look, "looking at callbacks", manager)
        if ended is not None:
            chain.append(_Place(ended))
            continue
        if callback is not None:
            _perform(callback, job.result, manager)
        elif job.status == CALLBACKS:
            complete = functools.partial(_complete, job, manager)
            if not utils.never_fail(complete, f"completing {show(job)}", manager):
                place.position = 0
        else:
            chain.pop()
        manager.begin()


class _Place:
    """How far the callbacks of a job are."""

    def __init__(self, job: RunnableJob) -> None:
        self.job = job
        #: How many of the first are known to be done: they are not looked at again.
        self.position = 0
        self._renewed = 0

    def look(self) -> tuple[Any, Any]:
        """The next callback, and the job behind it if that has ended; each may be None.

        Afterwards the job itself is loaded.
        """
        callback = self._next_callback()
        chosen = _chosen(callback)
        has_ended = chosen is not None and chosen.status in (CALLBACKS, COMPLETED)
        self.job._p_activate()
        return callback, chosen if has_ended else None

    def _next_callback(self) -> Any:
        """The first callback that is not done, or None."""
        renewed = self.job.renewed_callbacks()
        if renewed != self._renewed:
            self._renewed = renewed
            self.position = 0
        for callback in self.job.callbacks_from(self.position):
            if not _is_done(callback):
                return callback
            self.position += 1
        return None


def _is_done(callback: Any) -> bool:
    """Whether a callback and what is behind it have ended, or are on their own."""
    chosen = _chosen(callback)
    if chosen is None or not chosen.is_callback():
        # It may have been put into a queue.
        return performed(callback)
    if chosen.status in (ACTIVE, CALLBACKS):
        return bool(chosen.is_suspended())
    if chosen.status == COMPLETED:
        # A callback that was added while it ran did not make it conflict.
        return not any(c.status == NEW and not c.runs_on_its_own for c in chosen.callbacks_from(0))
    return performed(callback)


def _chosen(callback: Any) -> Any:
    """The job behind a callback; None if a proxy has not chosen yet."""
    while is_proxy(callback):
        callback = callback.job
    return callback


def _leave(job: RunnableJob, postponed: PostponedError, manager: Any) -> bool:
    """Have a dispatcher go on with a job later; return False if this thread has to."""

    def leave() -> bool:
        manager.begin()
        if job.queue is None:
            return False
        job.go_on_with_callbacks_at(postponed.when, left=not postponed.elsewhere)
        manager.commit()
        return True

    if utils.never_fail(leave, f"postponing the callbacks of {show(job)}", manager):
        return True
    wait = max(0, postponed.when - zc.async_.clock.microseconds())
    time.sleep(min(wait, LONGEST_SLEEP) / 1_000_000)
    return False


def _complete(job: RunnableJob, manager: Any) -> bool:
    """Return whether the job is, or was, completed."""
    manager.begin()
    if job.status != CALLBACKS:
        return True
    if not all(map(_is_done, job.callbacks_from(0))):
        return False
    job.complete()
    manager.commit()
    if job.left_callbacks:
        # No agent lists it any more.
        note_completed_elsewhere(job)
    return True


def _perform(callback: Any, result: Any, manager: Any) -> None:
    while is_proxy(callback):
        callback = _choose(callback, result, manager)
        if callback is None:
            return

    def look(tell: Callable[[], Any]) -> Any:
        # What was loaded before the last commit may have been forgotten.
        return utils.try_until_reachable(tell, "looking at a callback", manager)

    if look(lambda: callback.status) == ACTIVE:
        # It committed its start.
        if look(callback.runner_lives):
            raise PostponedError(answers.after(PATIENCE), elsewhere=True)
        _handle_interrupt(callback, manager)
    if look(lambda: performed(callback)):
        return
    if utils.tracelog.isEnabledFor(10):
        utils.tracelog.debug("starting callback %r to %r", callback, owner_of(callback))
    try:
        callback.perform_as_callback(result)
    except AbandonedError:
        raise
    except ReassignedError:
        # Somebody else has performed it, and there is nothing to do. Or it is this worker's no
        # longer. Or a commit of this worker was done after all: then whoever goes on with the job
        # goes on with the callback, too, once its runner has it no more.
        manager.begin()
        if look(lambda: not performed(callback) or _is_left_by_us(callback)):
            raise


def _is_left_by_us(callback: Any) -> bool:
    """Whether this thread began a callback that still has to be gone on with."""
    ours = callback.runner_claim is not None and callback.runner_claim == local.claimed
    return bool(ours and callback.status == ACTIVE and not callback.is_suspended())


def _handle_interrupt(callback: Any, manager: Any) -> None:
    """Ask the policy of an interrupted callback, which is new or has failed afterwards."""

    def handle() -> Any:
        manager.begin()
        answer = callback.handleCallbackInterrupt()
        manager.commit()
        return answer

    answer = utils.never_fail(handle, f"the interruption of {show(callback)}", manager)
    if isinstance(answer, At) and answer > zc.async_.clock.microseconds():
        raise PostponedError(answer)


def _choose(proxy: Any, result: Any, manager: Any) -> Any:
    """Commit the choice first: the chosen job then has its own transaction and tries."""

    def choose() -> Any:
        manager.begin()
        chosen = proxy.getJob(result)
        manager.commit()
        return chosen

    return utils.never_fail(choose, f"choosing a callback of {show(proxy.parent)}", manager)
