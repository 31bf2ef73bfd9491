"""Reactors that count seconds as they pass.

Those of Twisted count by `time.time`: where the clock is set back by an hour, what is to be called
in a second is called in an hour and a second.
"""

import contextlib
import time
from typing import Any

import twisted.internet.error
import twisted.internet.selectreactor


class SelectReactor(twisted.internet.selectreactor.SelectReactor):
    """Twisted's reactor of that name, which a clock that is set does not disturb."""

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
