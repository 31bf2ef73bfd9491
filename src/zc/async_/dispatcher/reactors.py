"""Reactors for dispatchers.

The reactors of Twisted use `time.time`: if the clock is set back by an hour, a call due in a second
comes in an hour and a second. And its `SelectReactor` gets no events in a process with more than
1,024 open files and connections: `select` does not accept higher descriptors.
"""

import contextlib
import time
from typing import Any

import twisted.internet.error

from zc.twist.reactors import AnyReactor


class Reactor(AnyReactor):
    """A Twisted reactor that is not affected by a changed clock or by many open files."""

    #: A reactor gets all times from here.
    seconds = staticmethod(time.monotonic)


def may_lose_time(reactor: Any) -> bool:
    """Whether calls of a reactor may come late or early when somebody sets the clock.

    All reactors of Twisted have `seconds`. One without it is not Twisted's, and taken to be safe.
    """
    return getattr(reactor, "seconds", None) not in (None, time.monotonic)


def stop(reactor: Any) -> None:
    """Stop a reactor, unless it was stopped already. From its thread."""
    # Somebody else may have stopped it meanwhile.
    with contextlib.suppress(twisted.internet.error.ReactorNotRunning):
        reactor.stop()
