"""The reactor of monitor servers, in a thread of its own."""

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred

from zc.twist.reactors import AnyReactor, close_wakers

#: Real seconds that the thread is given to do what it is asked, and to end.
PATIENCE = 10.0


class Running:
    """A reactor that runs in a thread of its own."""

    def __init__(self) -> None:
        self.reactor: Any = AnyReactor()
        self._lock = threading.Lock()
        #: Whether it can be woken no more. Under the lock.
        self._ended = False
        started = threading.Event()
        self.reactor.callWhenRunning(started.set)
        self.thread = threading.Thread(
            target=self.reactor.run, args=(False,), name="zc.monitor reactor", daemon=True
        )
        self.thread.start()
        started.wait(PATIENCE)

    def do(self, function: Callable[..., Any], *args: Any) -> None:
        """Have something done in the reactor's thread, unless it has ended. For any thread."""
        with self._lock:
            if not self._ended:
                self.reactor.callFromThread(function, *args)

    def end(self) -> None:
        """Stop the reactor, and close what it keeps open for being woken."""
        self.do(self.reactor.stop)
        self.thread.join(PATIENCE)
        if not self.thread.is_alive():
            with self._lock:
                self._ended = True
            close_wakers(self.reactor)


#: For whoever holds the lock of `zc.monitor.server`.
_running: Running | None = None


def acquire() -> Running:
    """The reactor, started if it does not run."""
    global _running
    if _running is None or not _running.thread.is_alive():
        _running = Running()
    return _running


def release() -> None:
    """Stop the reactor, if it runs."""
    global _running
    running, _running = _running, None
    if running is not None:
        running.end()


def call(running: Running, function: Callable[[], Any]) -> Any:
    """Call a function in the reactor's thread; return what it returns, or its Deferred brings."""
    done = threading.Event()
    outcome: list[Any] = []

    def called() -> None:
        maybeDeferred(function).addBoth(outcome.append).addBoth(lambda _none: done.set())

    running.do(called)
    if not done.wait(PATIENCE):
        raise RuntimeError("the reactor of the monitor does not answer")
    (result,) = outcome
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result
