"""The worker's end of the connection with its supervisor."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from zc.async_.worker import messages


class Channel:
    """Sends messages from any thread, and hears those of the supervisor in a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: of a socket, which now belongs to this."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._reader = self._socket.makefile("rb")
        #: Held by a thread that sends.
        self._sending = threading.Lock()
        # A process that a job forks must not keep the connection open.
        os.register_at_fork(after_in_child=self._close_in_child)

    def receive(self) -> dict[str, Any] | None:
        """Wait for a message, and return it; None if the supervisor is gone."""
        try:
            line = self._reader.readline(messages.MAX_LINE)
        except OSError:
            line = b""
        return messages.decode(line) if line else None

    def listen(self, hear: Callable[[dict[str, Any] | None], None]) -> None:
        """Have `hear` called with each message, and with None at the end, in another thread."""

        def listen() -> None:
            while (message := self.receive()) is not None:
                hear(message)
            hear(None)

        threading.Thread(target=listen, name="zc.async supervisor", daemon=True).start()

    def say(self, say: str, **values: Any) -> None:
        """Send a message. If the supervisor does not read, the message is lost; this never waits.

        A supervisor that is suspended must not hold up its workers.
        """
        line = messages.encode(say, **values)
        # The system takes a small message as a whole, or not at all.
        with self._sending, contextlib.suppress(OSError):
            self._socket.send(line, socket.MSG_DONTWAIT)

    def _close_in_child(self) -> None:
        # Not by the reader, whose lock another thread of the parent may have.
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())
