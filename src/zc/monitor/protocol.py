"""The conversation with one client.

A protocol belongs to the thread of its reactor. It performs one line at a time, each in a separate
thread. This thread sends its answer through an `_Outlet`, which makes it wait while the client
reads slowly.
"""

import threading
from collections.abc import Callable
from typing import Any

import zope.interface
from twisted.internet.interfaces import IPushProducer
from twisted.protocols.basic import LineOnlyReceiver

from zc.monitor import commanding
from zc.monitor.interfaces import ConnectionEndedError

#: The most bytes of a line.
LONGEST_LINE = 1 << 16

#: With this number of lines sent ahead by the client, reading pauses.
MOST_LINES = 100

#: How long (seconds) a client may leave an answer unread before it is taken as gone.
PATIENCE = 60.0

#: How many bytes of an answer may wait for the client before the command waits.
MOST_UNREAD = 1 << 18


@zope.interface.implementer(IPushProducer)
class _Outlet:
    """Sends the output of a command. `send` is for its thread, the rest for the reactor's."""

    def __init__(self, protocol: "MonitorProtocol") -> None:
        self._protocol = protocol
        self._condition = threading.Condition()
        #: How many bytes the reactor has not got yet. Under the condition.
        self._unread = 0
        self._paused = False
        self._ended = False

    def send(self, data: bytes) -> None:
        """Send data. Raises `ConnectionEndedError` if the client is gone or does not read."""
        with self._condition:
            ready = self._condition.wait_for(
                lambda: self._ended or (not self._paused and self._unread < MOST_UNREAD), PATIENCE
            )
            if self._ended or not ready:
                self._ended = True
                raise ConnectionEndedError("the client is gone, or does not read its answer")
            self._unread += len(data)
        self._protocol.call_from_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        with self._condition:
            self._unread -= len(data)
            self._condition.notify_all()
        self._protocol.write(data)

    def pauseProducing(self) -> None:
        """The client reads slowly."""
        with self._condition:
            self._paused = True

    def resumeProducing(self) -> None:
        """The client has read all that was sent."""
        with self._condition:
            self._paused = False
            self._condition.notify_all()

    def stopProducing(self) -> None:
        """The client is gone."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()


class MonitorProtocol(LineOnlyReceiver):
    """See the module."""

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_LINE
    #: Set by Twisted once there is a connection.
    transport: Any

    def __init__(self, running: Any, clients: Any) -> None:
        """`running`: the reactor, see `zc.monitor.reactors`. `clients`: the clients of the server;
        it is told when this one begins and ends.
        """
        self._running = running
        self._clients = clients
        self._lines: list[str] = []
        self._last = ""
        self._outlet: _Outlet | None = None
        self._interactive = False
        self._connected = False

    @property
    def is_busy(self) -> bool:
        """Whether a command is being performed."""
        return self._outlet is not None

    # -- called by Twisted

    def connectionMade(self) -> None:
        """A client has connected."""
        self._connected = True
        if not self._clients.admit(self):
            self.write(b"Too many connections. Try again later.\n")
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The client is gone."""
        self._connected = False
        self._lines = []
        if self._outlet is not None:
            self._outlet.stopProducing()
        self._clients.leave(self)

    def lineReceived(self, line: bytes) -> None:
        """A line has come, perhaps one of many."""
        # Terminals send other bytes too: those that are not text become escapes.
        self._lines.append(line.decode("utf-8", "backslashreplace"))
        if len(self._lines) == MOST_LINES:
            self.transport.pauseProducing()
        self._next()

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is too long."""
        self._end_with(f"Line too long: there is a limit of {LONGEST_LINE} bytes.\n")

    # -- one line after the other

    def _next(self) -> None:
        if self._outlet is not None or not self._lines or not self._connected:
            return
        line = self._lines.pop(0).strip()
        if len(self._lines) == MOST_LINES - 1:
            self.transport.resumeProducing()
        if not line:
            line = self._last if self._interactive else ""
        if not line:
            self._answered(self._interactive)
            return
        self._last = line
        self._clients.touch(self)
        self._outlet = _Outlet(self)
        self.transport.registerProducer(self._outlet, True)
        thread = threading.Thread(
            target=self._perform,
            args=(line, self._outlet, self._interactive),
            name=f"zc.monitor {line.split()[0][:40]}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:
            # The system refuses another thread.
            self._end_with("There is no thread for this command. Try again later.\n")

    def _perform(self, line: str, outlet: _Outlet, interactive: bool) -> None:
        """Perform a command. This is the whole work of its thread."""
        connection = commanding.Connection(outlet, interactive)
        try:
            commanding.perform(line, connection)
        except ConnectionEndedError:
            self.call_from_thread(self.abort)
            return
        self.call_from_thread(self._answered, connection.interactive)

    def _answered(self, interactive: bool) -> None:
        self._release()
        self._clients.touch(self)
        self._interactive = interactive
        if not self._connected:
            return
        if not interactive:
            self.transport.loseConnection()
            return
        self._next()

    def _end_with(self, text: str) -> None:
        self._lines = []
        if self._outlet is not None:
            # Further output of the command is too late.
            self._outlet.stopProducing()
            self._release()
        self.write(text.encode())
        self.transport.loseConnection()
        self._connected = False

    def _release(self) -> None:
        if self._outlet is not None:
            self._outlet = None
            if self._connected:
                self.transport.unregisterProducer()

    # -- for commands and the server

    def call_from_thread(self, call: Callable[..., Any], *args: Any) -> None:
        """Call something in the reactor's thread."""
        self._running.do(call, *args)

    def write(self, data: bytes) -> None:
        """Send data, unless the client is gone."""
        if self._connected:
            self.transport.write(data)

    def abort(self) -> None:
        """Close the connection at once."""
        if self._connected:
            self.transport.abortConnection()
