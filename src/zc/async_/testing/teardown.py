"""Ends a dispatcher with its threads."""

import math
import time
from typing import Any

from zc.async_.dispatcher import join_workers
from zc.async_.stopping import NotStoppedError, signals, threads
from zc.async_.testing.reactor import Reactor
from zc.twist.reactors import close_wakers

#: How long (real seconds) to wait for the end of the reactor's thread.
PATIENCE = 3
#: How long (real seconds) to wait after that for all workers together.
PATIENCE_WITH_JOBS = 3


class TearDownDispatcherError(NotStoppedError):
    """A dispatcher, or some of its jobs, did not stop. See `NotStoppedError`."""

    def __str__(self) -> str:
        return "\n" + "\n".join(self.problems)


def tear_down_dispatcher(dispatcher: Any) -> None:
    """Stop a dispatcher, even after its reactor crashed, and wait until its threads have ended.

    Restores the signal handlers that it replaced. The dispatcher stays registered in the process:
    see `zc.async_.dispatcher.pop`. For the thread of the test.

    Raises `TearDownDispatcherError` if the dispatcher or a job goes on. Call this again once the
    cause is gone.
    """
    problems = _stop_reactor(dispatcher)
    signals.restore_signal_handlers(dispatcher)
    if not problems:
        dispatcher.abandon()
        problems = join_workers(dispatcher, PATIENCE_WITH_JOBS)
    if not problems:
        threads.forget_exit_handler(dispatcher)
        close_wakers(dispatcher.reactor)
    if problems:
        raise TearDownDispatcherError(problems)


def _stop_reactor(dispatcher: Any) -> list[str]:
    if isinstance(dispatcher.reactor, Reactor):
        alive = _stop_virtual(dispatcher.reactor, dispatcher.shutdown_grace_period)
    else:
        threads.stop(dispatcher, PATIENCE)
        alive = dispatcher.thread is not None and dispatcher.thread.is_alive()
    return [f"Dispatcher ({dispatcher.UUID}, {dispatcher.thread}) failed to stop."] if alive else []


def _stop_virtual(reactor: Reactor, grace_period: float) -> bool:
    """Return whether the reactor still runs."""
    reactor.stop()
    # Without end: only the jobs' own end is waited for.
    reactor.time_flies(grace_period if grace_period < math.inf else 0)
    # A poll in another thread may be under way: that takes real time.
    end = time.monotonic() + PATIENCE
    while reactor.running and reactor.wait_until_asked(end - time.monotonic()):
        reactor.time_flies(0)
    return reactor.running
