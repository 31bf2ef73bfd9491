"""Ending a dispatcher with its threads."""

import time
from typing import Any

import zc.async_.subscribers
from zc.async_.dispatcher import join_workers
from zc.async_.stopping import NotStoppedError
from zc.async_.testing.reactor import Reactor
from zc.twist.reactors import close_wakers

#: Real seconds that the reactor's thread is given to end.
PATIENCE = 3
#: Real seconds that all workers together are given to end after that.
PATIENCE_WITH_JOBS = 3


class TearDownDispatcherError(NotStoppedError):
    """A dispatcher, or jobs of it, did not stop. See `NotStoppedError`."""

    def __str__(self) -> str:
        return "\n" + "\n".join(self.problems)


def tear_down_dispatcher(dispatcher: Any) -> None:
    """Stop a dispatcher, one too whose reactor has crashed, and wait until its threads have ended.

    Signal handlers that were installed for it are restored. It stays registered in the process: see
    `zc.async_.dispatcher.pop`. For the thread of the test.

    Raises `TearDownDispatcherError` if the dispatcher or a job goes on; call it again once the
    reason is gone.
    """
    problems = _stop_reactor(dispatcher)
    zc.async_.subscribers.restore_signal_handlers(dispatcher)
    if not problems:
        dispatcher.abandon()
        problems = join_workers(dispatcher, PATIENCE_WITH_JOBS)
    if not problems:
        zc.async_.subscribers.forget_exit_handler(dispatcher)
        close_wakers(dispatcher.reactor)
    if problems:
        raise TearDownDispatcherError(problems)


def _stop_reactor(dispatcher: Any) -> list[str]:
    if isinstance(dispatcher.reactor, Reactor):
        alive = _stop_virtual(dispatcher.reactor, dispatcher.shutdown_grace_period)
    else:
        zc.async_.subscribers.stop(dispatcher, PATIENCE)
        alive = dispatcher.thread is not None and dispatcher.thread.is_alive()
    return [f"Dispatcher ({dispatcher.UUID}, {dispatcher.thread}) failed to stop."] if alive else []


def _stop_virtual(reactor: Reactor, grace_period: float) -> bool:
    """Return whether the reactor still runs."""
    reactor.stop()
    reactor.time_flies(grace_period)
    # Where polls are made in threads, one may be under way: that takes real time.
    end = time.monotonic() + PATIENCE
    while reactor.running and reactor.wait_until_asked(end - time.monotonic()):
        reactor.time_flies(0)
    return reactor.running
