"""Waiting, in the thread that runs a job, for the value of a Deferred or coroutine.

A claimed job needs no thread for that: its dispatcher waits. For callbacks, and for jobs that are
called by hand, only the thread that runs them can wait.
"""

import inspect
import sys
import threading
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python import threadable
from twisted.python.failure import Failure

import zc.twist
from zc.async_.interfaces import AsyncError, ReassignedError
from zc.async_.threadlocal import local

#: How long (seconds) a job that is called by hand waits if no reactor runs, and for a reactor to
#: answer. May be changed when a process starts.
PATIENCE = 60

#: How often (seconds) it is checked whether there is still something to wait for.
LOOK = 1


class CannotWaitError(AsyncError):
    """Nobody can wait for the Deferred or coroutine that a job returned."""


class AbandonedError(ReassignedError):
    """The dispatcher stopped while a thread of it waited for a Deferred."""


def to_result(value: Any) -> Any:
    """The value of a Deferred as a result: a failure as one that can be stored."""
    if isinstance(value, Failure) and not isinstance(value, zc.twist.Failure):
        return zc.twist.sanitize(value)
    return value


def value_of(deferred: Any) -> Any:
    """What a Deferred has fired with; the Deferred itself if it has not."""
    if not deferred.called:
        return deferred
    values: list[Any] = []

    def see(value: Any) -> Any:
        values.append(value)
        return value

    deferred.addBoth(see)
    if not values:
        # It waits for another one. Whoever waits for it gets the value nevertheless.
        return deferred
    # A failure is a result like any other: Twisted need not log it.
    deferred.addErrback(lambda failure: None)
    return to_result(values[0])


def close(waited_for: Any) -> None:
    """Give up what nobody has begun to wait for: Python warns of a coroutine that is left so."""
    if inspect.iscoroutine(waited_for):
        waited_for.close()


def begin(coroutine: Any) -> Any:
    """Run a coroutine here if there is no reactor that could; return its value, or a Deferred."""
    return value_of(Deferred.fromCoroutine(coroutine)) if find_reactor() is None else coroutine


def check() -> None:
    """Raise `CannotWaitError` if waiting here is known to be in vain."""
    if local.dispatcher is not None:
        return
    if find_reactor() is not None:
        if _is_reactor_thread():
            raise CannotWaitError(
                "a job that was called by hand in the reactor's thread returned a Deferred or "
                "coroutine, which this thread cannot both fire and wait for: put the job into a "
                "queue, or call it in another thread"
            )
    elif threading.active_count() == 1:
        raise _no_reactor()


def _no_reactor() -> CannotWaitError:
    return CannotWaitError(
        "a job that was called by hand returned a Deferred or coroutine that has no result, and no "
        "reactor runs that could bring it: put the job into a queue, or run a reactor in another "
        "thread"
    )


def _is_reactor_thread() -> bool:
    this = threading.current_thread()
    return threadable.isInIOThread() or any(d.thread is this for d in _dispatchers())


def _dispatchers() -> list[Any]:
    from zc.async_.process import registry

    return list(registry.dispatchers())


def find_reactor() -> Any:
    """The reactor in whose thread Deferreds fire; None if none runs."""
    if local.dispatcher is not None:
        return local.dispatcher.reactor
    installed = sys.modules.get("twisted.internet.reactor")
    if installed is not None and getattr(installed, "running", False):
        return installed
    for dispatcher in _dispatchers():
        if dispatcher.thread is not None and dispatcher.thread.is_alive():
            return dispatcher.reactor
    return None


class _Wait:
    """A wait for one Deferred or coroutine. `begin` is for the thread in which it fires."""

    def __init__(self, waited_for: Any) -> None:
        self._waited_for = waited_for
        self._lock = threading.Lock()
        self.begun = False
        #: Set when the value is there, or when there is nothing to wait for any more.
        self.over = threading.Event()
        self.fired = False
        self.value: Any = None

    def begin(self) -> None:
        with self._lock:
            if self.over.is_set():
                # Nobody waits any more.
                return
            self.begun = True
        if not isinstance(self._waited_for, Deferred):
            self._waited_for = Deferred.fromCoroutine(self._waited_for)
        self._waited_for.addBoth(self._note)

    def _note(self, value: Any) -> None:
        self.value, self.fired = to_result(value), True
        self.over.set()

    def give_up(self) -> None:
        """Wait no more, and begin nothing."""
        with self._lock:
            self.over.set()
        if not self.begun:
            close(self._waited_for)

    def nudge(self) -> None:
        """Have a Deferred that another thread has just fired tell its value."""
        if self._waited_for.called:
            self._waited_for.addBoth(lambda value: value)


def wait_for(waited_for: Any) -> Any:
    """The value of a Deferred or coroutine; a `zc.twist.Failure` if it fails.

    Blocks. Raises `CannotWaitError` if there will be no value, and `AbandonedError` in a worker's
    thread if the dispatcher stops meanwhile.
    """
    wait = _Wait(waited_for)
    if local.dispatcher is not None:
        _wait_in_worker(wait, local.dispatcher)
    elif (reactor := find_reactor()) is not None:
        _wait_beside(wait, reactor)
    else:
        _wait_alone(wait)
    return wait.value


def _wait_in_worker(wait: _Wait, dispatcher: Any) -> None:
    dispatcher.pausing(wait.over)
    try:
        dispatcher.reactor.callFromThread(wait.begin)
        while not wait.over.wait(LOOK) and not dispatcher.has_left():
            pass
    finally:
        wait.give_up()
        dispatcher.pauses.discard(wait.over)
    if not wait.fired:
        raise AbandonedError("the dispatcher stopped while a job waited for a Deferred")


def _wait_beside(wait: _Wait, reactor: Any) -> None:
    reactor.callFromThread(wait.begin)
    looks = 0
    while not wait.over.wait(LOOK):
        looks += 1
        if find_reactor() is not reactor or (not wait.begun and looks * LOOK >= PATIENCE):
            wait.give_up()
            raise CannotWaitError(
                "the reactor ended, or does not answer, and with it what a job waits for"
            )


def _wait_alone(wait: _Wait) -> None:
    """Wait for another thread to fire it, but not for ever: it may need a reactor."""
    wait.begin()
    for _look in range(max(1, int(PATIENCE / LOOK))):
        if wait.over.wait(LOOK):
            return
        if threading.active_count() == 1:
            break
        wait.nudge()
    if not wait.over.is_set():
        raise _no_reactor()
