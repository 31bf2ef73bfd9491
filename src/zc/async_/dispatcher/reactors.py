"""Reactors for dispatchers.

Those of Twisted count by `time.time`: where the clock is set back by an hour, what is to be called
in a second is called in an hour and a second. And its `SelectReactor` is deaf in a process that has
more than 1,024 files and connections open: `select` takes no descriptor of a higher number.
"""

import contextlib
import time
from typing import Any

import twisted.internet.error

from zc.twist.reactors import AnyReactor


class Reactor(AnyReactor):
    """A reactor of Twisted that neither a clock that is set disturbs, nor many open files."""

    #: All that a reactor knows of time it asks here.
    seconds = staticmethod(time.monotonic)


def may_lose_time(reactor: Any) -> bool:
    """Whether calls of a reactor may come late, or early, where the clock is set.

    One that tells no seconds, as Twisted's all do, is none of Twisted.
    """
    return getattr(reactor, "seconds", None) not in (None, time.monotonic)


def stop(reactor: Any) -> None:
    """Stop a reactor, unless it has been. From its thread."""
    # Somebody may have stopped it meanwhile, or may wait for its end as we do.
    with contextlib.suppress(twisted.internet.error.ReactorNotRunning):
        reactor.stop()
