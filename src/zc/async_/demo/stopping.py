"""Handles Ctrl-C and SIGTERM: they take effect at places where stopping loses nothing."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from zc.async_.demo import DemoError


class Stopped(DemoError):
    """A signal asked the demo to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}", 128 + number)


class Stop:
    """Whether a signal asked the demo to stop. Only for the main thread.

    The signal handler only stores the number: an exception in the middle of a commit would close
    the database under the workers.
    """

    _number: int | None = None

    def check(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._number is not None:
            raise Stopped(self._number)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside of the context, in the main thread. The second one kills."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self._heed) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                # None: the handler was not set by Python, which cannot restore it.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _heed(self, number: int, frame: Any) -> None:
        self._number = number
        signal.signal(number, signal.SIG_DFL)
