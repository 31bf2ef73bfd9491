"""Ends dispatchers for good: waits for their threads, and removes them from the process."""

import time
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import blockingCallFromThread
from twisted.python.threadable import isInIOThread

from zc.async_.dispatcher import is_own_thread, join_workers
from zc.async_.interfaces import AsyncError
from zc.async_.process import registry
from zc.async_.stopping import signals, threads
from zc.twist.reactors import close_wakers


class NotStoppedError(AsyncError):
    """A dispatcher, or some of its jobs, did not end in the given time.

    Attributes:
        problems: one text for each of them.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return (
            "not all has ended yet: wait longer, or give the dispatcher a longer "
            "shutdown_grace_period\n" + "\n".join(self.problems)
        )


def stop_all(dispatchers: Iterable[Any], seconds: float) -> Deferred | None:
    """Stop dispatchers and forget them. See `zc.async_.configure.stop`."""
    dispatchers = list(dispatchers)
    for dispatcher in dispatchers:
        if is_own_thread(dispatcher):
            raise AsyncError(
                "a thread of the dispatcher cannot wait for its end: call this in another, such "
                "as the main thread"
            )
    waited_for = [_stop(dispatcher, seconds) for dispatcher in dispatchers]
    deferreds = [deferred for deferred in waited_for if deferred is not None]
    return DeferredList(deferreds, consumeErrors=True) if deferreds else None


def _stop(dispatcher: Any, seconds: float) -> Deferred | None:
    if dispatcher.thread is None:
        return _stop_on_installed_reactor(dispatcher, seconds)
    end = time.monotonic() + dispatcher.shutdown_grace_period + seconds
    threads.stop(dispatcher, seconds)
    if dispatcher.thread.is_alive():
        raise NotStoppedError([f"Dispatcher {dispatcher.UUID} failed to stop."])
    signals.restore_signal_handlers(dispatcher)
    threads.forget_exit_handler(dispatcher)
    # It may have crashed, or its database may have been closed.
    dispatcher.abandon()
    _join(dispatcher, end - time.monotonic())
    close_wakers(dispatcher.reactor)
    _forget(dispatcher)
    return None


def _stop_on_installed_reactor(dispatcher: Any, seconds: float) -> Deferred | None:
    reactor = dispatcher.reactor
    if not reactor.running or isInIOThread():
        # This does not wait for jobs that go on: the reactor has other things to do.
        deferred = dispatcher.stop_on_reactor()
        if deferred is None:
            _forget(dispatcher)
        else:
            deferred.addCallback(lambda _result: _forget(dispatcher))
        return deferred
    end = time.monotonic() + dispatcher.shutdown_grace_period + seconds
    blockingCallFromThread(reactor, dispatcher.stop_on_reactor)
    _join(dispatcher, end - time.monotonic())
    _forget(dispatcher)
    return None


def _join(dispatcher: Any, seconds: float) -> None:
    problems = join_workers(dispatcher, seconds)
    if problems:
        raise NotStoppedError(problems)


def _forget(dispatcher: Any) -> None:
    if registry.get(dispatcher.UUID) is dispatcher:
        registry.pop(dispatcher.UUID)
