"""The reactor of monitor servers, in its own thread."""

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred

from zc.twist.reactors import AnyReactor, close_wakers

#: How long (real seconds) to wait for a call in the thread, and for its end.
PATIENCE = 10.0


class Running:
    """A reactor that runs in its own thread."""

    def __init__(self) -> None:
        self.reactor: Any = AnyReactor()
        self._lock = threading.Lock()
        #: Whether it can no longer be woken. Under the lock.
        self._ended = False
        started = threading.Event()
        self.reactor.callWhenRunning(started.set)
        self.thread = threading.Thread(
            target=self.reactor.run, args=(False,), name="zc.monitor reactor", daemon=True
        )
        self.thread.start()
        started.wait(PATIENCE)

    def do(self, function: Callable[..., Any], *args: Any) -> None:
        """Call something in the reactor's thread, unless it has ended. For any thread."""
        with self._lock:
            if not self._ended:
                self.reactor.callFromThread(function, *args)

    def end(self) -> None:
        """Stop the reactor, and close the descriptors by which it is woken."""
        self.do(self.reactor.stop)
        self.thread.join(PATIENCE)
        if not self.thread.is_alive():
            with self._lock:
                self._ended = True
            close_wakers(self.reactor)


#: Only for code that holds the lock of `zc.monitor.server`.
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
    """Call a function in the reactor's thread; return its result, or the result of its Deferred."""
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
