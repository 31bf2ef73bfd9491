"""The signs of life that a worker gives to its supervisor."""

from collections.abc import Callable
from typing import Any

from zc.async_.worker import messages
from zc.async_.worker.channel import Channel
from zc.async_.worker.dispatching import Dispatching

#: Seconds between two signs of life, and between two looks whether the dispatcher is ready.
INTERVAL = 1.0
FIRST_INTERVAL = 0.05


class Vitals:
    """Says that the dispatcher is ready, and then again and again that it lives.

    This is done on its reactor: if that hangs, there is silence.
    """

    def __init__(
        self,
        dispatching: Dispatching,
        channel: Channel,
        reactor: Any,
        leave: Callable[[], None],
    ) -> None:
        """`leave`: called if the dispatcher has ended though nobody told it to."""
        self._leave = leave
        self._dispatching = dispatching
        self._channel = channel
        self._reactor = reactor
        self._memory = _memory_of_process()
        self._is_ready = False

    def begin(self) -> None:
        """Look whether the dispatcher is ready, and go on from there."""
        if not self._is_ready and self._dispatching.is_ready():
            self._is_ready = True
            self._channel.say(messages.READY)
        if self._dispatching.has_ended():
            self._leave()
        elif self._is_ready:
            self._say_alive()
        interval = INTERVAL if self._is_ready else FIRST_INTERVAL
        self._reactor.callLater(interval, self.begin)

    def _say_alive(self) -> None:
        self._channel.say(
            messages.ALIVE,
            jobs=self._dispatching.jobs_ended,
            memory=self._memory(),
            silence=self._dispatching.silence(),
        )


def _memory_of_process() -> Callable[[], int | None]:
    """What tells the memory (bytes) of this process."""
    try:
        import psutil
    except ImportError:
        return lambda: None
    process = psutil.Process()
    return lambda: int(process.memory_info().rss)
