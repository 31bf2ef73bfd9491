"""Tells systemd, or whoever else listens at NOTIFY_SOCKET, how the service is.

The protocol is that of `sd_notify`: datagrams of lines NAME=VALUE.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping

_log = logging.getLogger("zc.async.worker")

#: The variables of the protocol. They are meant for this process, and not for its children.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends messages, if anybody listens. It never blocks, and never raises."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        # A "@" stands for the zero byte of a name that is in no file system.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        elif address:
            _log.warning("cannot notify %r: it is no path, and no @NAME", address)
        #: Seconds within which a WATCHDOG=1 has to come; None: nobody waits for it.
        self.watchdog: float | None = None
        if self._socket is not None:
            self.watchdog = _watchdog(environment)

    def ready(self) -> None:
        """All is up."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` ends this."""
        # systemd compares it with the time of its own signal.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """A line for people."""
        self._send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """A sign of life, for the watchdog."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Send no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except BlockingIOError:
            _log.debug("the notify socket is full, %s is dropped", lines[0])
        except OSError as error:
            _log.warning("cannot notify %r: %s", self._address, error)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
        process = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return microseconds / 1_000_000 if microseconds > 0 and process == os.getpid() else None
