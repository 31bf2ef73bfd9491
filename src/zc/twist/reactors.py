"""Twisted's reactors in separate threads: which one to use, and how to clean up after it."""

import contextlib
import threading
from typing import Any

try:
    from twisted.internet.pollreactor import PollReactor as _Reactor
except ImportError:
    # Windows, where `select` has no limit of 1,024 descriptors.
    from twisted.internet.selectreactor import SelectReactor as _Reactor

__all__ = ["AnyReactor", "close_wakers"]


#: Seconds for which a thread that wakes a reactor waits for one that closes its wakers.
LONGEST_CLOSING = 0.5


class AnyReactor(_Reactor):
    """A reactor of Twisted that other threads may wake even while its wakers are being closed."""

    def __init__(self) -> None:
        #: Held by a thread that wakes the reactor or closes its wakers. A signal handler may do so
        #: in the middle of that.
        self.waking = threading.RLock()
        super().__init__()

    def wakeUp(self) -> None:
        """Wake the thread of the reactor, from any other."""
        # Closing takes no time. Who holds the lock for longer is a thread that a signal handler
        # keeps, or one that there is not any more in a process that was forked.
        held = self.waking.acquire(timeout=LONGEST_CLOSING)
        try:
            super().wakeUp()
        finally:
            if held:
                self.waking.release()


def close_wakers(reactor: Any) -> None:
    """Close the descriptors by which threads wake a Twisted reactor, which never closes them.

    The reactor must have ended, and never be run again. Except with an `AnyReactor`, no thread may
    be left that might wake it: it would write to a closed descriptor, which the system may have
    given to somebody else.
    """
    with getattr(reactor, "waking", contextlib.nullcontext()):
        reactor.waker = None
        for reader in list(getattr(reactor, "_internalReaders", ())):
            reactor._removeInternalReader(reader)
            reader.connectionLost(None)
