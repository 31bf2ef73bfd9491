"""The timers of a dispatcher, which are on time whatever clock its reactor uses.

Twisted's reactors use the wall clock: if it is set back by an hour, their calls come an hour late;
if it is set forward, they come at once. So a timer that comes too early is set again for the rest.
And a separate thread looks every second whether one is late, and makes the reactor call it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from zc.async_.dispatcher.reactors import may_lose_time

#: Seconds between two checks whether a timer is late.
LOOK_INTERVAL = 1.0

#: Seconds by which a timer may be late or early before something is done about it.
TOLERANCE = 0.5


class _Timer(NamedTuple):
    #: The object that the reactor's `callLater` returned.
    delayed: Any
    #: When it is due, by `time.monotonic`.
    due: float
    call: Callable[[], Any]


class Timers:
    """Timers by name, on a reactor. Only from the reactor's thread, except `stop`."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._watched = may_lose_time(reactor)
        # The checking thread reads this while the reactor's thread writes: replaced, never changed.
        self._timers: dict[str, _Timer] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def set(self, name: str, seconds: float, call: Callable[[], Any]) -> None:
        """Call `call` after `seconds`. An earlier timer of that name is cancelled."""
        self.cancel(name)
        self._set(name, time.monotonic() + seconds, seconds, call)
        if self._watched and self._thread is None:
            self._thread = threading.Thread(target=self._look, name="zc.async timers", daemon=True)
            self._thread.start()

    def _set(self, name: str, due: float, seconds: float, call: Callable[[], Any]) -> None:
        delayed = self._reactor.callLater(seconds, self._called, name)
        self._timers = {**self._timers, name: _Timer(delayed, due, call)}

    def is_set(self, name: str) -> bool:
        """Whether a timer of that name is still to come."""
        return name in self._timers

    def cancel(self, name: str) -> None:
        """Cancel a timer, if there is one of that name."""
        timer = self._take(name)
        if timer is not None and timer.delayed.active():
            timer.delayed.cancel()

    def cancel_all(self) -> None:
        """Cancel all timers."""
        for name in self._timers:
            self.cancel(name)

    def stop(self) -> None:
        """Let the checking thread end, if there is one. For any thread."""
        self._stopped.set()

    def _take(self, name: str) -> _Timer | None:
        timer = self._timers.get(name)
        if timer is not None:
            self._timers = {n: t for n, t in self._timers.items() if n != name}
        return timer

    def _called(self, name: str) -> None:
        timer = self._take(name)
        if timer is None:
            return
        early = timer.due - time.monotonic()
        if self._watched and early > TOLERANCE:
            self._set(name, timer.due, early, timer.call)
        else:
            timer.call()

    # -- in the checking thread

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_INTERVAL):
            late = time.monotonic() - TOLERANCE
            if any(timer.due < late for timer in self._timers.values()):
                self._reactor.callFromThread(self._call_late_ones, late)

    def _call_late_ones(self, late: float) -> None:
        for name, timer in self._timers.items():
            if timer.due < late and self._timers.get(name) is timer:
                self.cancel(name)
                timer.call()
