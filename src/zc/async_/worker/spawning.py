"""Starts the processes of workers, listens to them, and notices when they end.

A worker shares a pair of sockets with the supervisor. Each notices the death of the other by the
end of that connection; the supervisor also by the signal of the system. For the thread of the
reactor.
"""

import logging
import math
import os
import socket
import subprocess
import sys
from typing import Any

import zope.interface
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver

from zc.async_.worker import messages, notify, pythonpath
from zc.async_.worker.settings import Settings
from zc.async_.worker.slot import IWorkerProcess, SlotTakenError
from zc.async_.worker.statefolder import StateFolder, note_holder

#: Names the file of the identity: see `zc.async_.process`.
UUID_VARIABLE = "ZC_ASYNC_UUID"

#: Has the number of the worker, for the application.
NUMBER_VARIABLE = "ZC_ASYNC_WORKER"

#: Seconds that may pass between the end of a process and that of its connection.
LAST_WORDS = 1.0

_log = logging.getLogger("zc.async.worker")


class Spawner:
    """Makes processes, and has them looked after."""

    def __init__(self, reactor: Any, folder: StateFolder) -> None:
        self._reactor = reactor
        self._folder = folder
        #: Those that have not been seen to end.
        self._processes: list[_Process] = []

    def spawn(self, number: int, settings: Settings, listener: Any) -> "_Process":
        """Start a process. See `zc.async_.worker.slot.Slot`."""
        lock = self._folder.lock_slot(number)
        if lock is None:
            raise SlotTakenError(self._folder.holder(number))
        try:
            process = self._start(number, settings, lock, listener)
        finally:
            # The process has its own copy.
            os.close(lock)
        self._processes.append(process)
        return process

    def _start(self, number: int, settings: Settings, lock: int, listener: Any) -> "_Process":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = theirs.fileno(), lock
            arguments = map(str, (number, *descriptors))
            popen = subprocess.Popen(
                [sys.executable, "-m", "zc.async_.worker.child", *arguments],
                stdin=subprocess.DEVNULL,
                env=self._environment(number),
                pass_fds=descriptors,
                # Ctrl-C at the terminal is for the supervisor alone: neither the worker nor what
                # its jobs have started is to be interrupted by it.
                start_new_session=True,
            )
            note_holder(lock, popen.pid)
            process = _Process(popen, listener, self._reactor)
            ours.setblocking(False)
            self._reactor.adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, _OneConnection(process)
            )
        process.say(messages.BEGIN, settings=settings.to_plain())
        return process

    def _environment(self, number: int) -> dict[str, str]:
        environment = pythonpath.environment(
            {name: value for name, value in os.environ.items() if name not in notify.VARIABLES}
        )
        environment[UUID_VARIABLE] = self._folder.uuid_path(number)
        environment[NUMBER_VARIABLE] = str(number)
        return environment

    def look(self) -> None:
        """See which processes have ended."""
        for process in list(self._processes):
            process.look()
        self._processes = [process for process in self._processes if not process.has_ended]


@zope.interface.implementer(IWorkerProcess)
class _Process(LineOnlyReceiver):
    """A process, and the connection with it."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = messages.MAX_LINE

    def __init__(self, popen: "subprocess.Popen[bytes]", listener: Any, reactor: Any) -> None:
        self.pid = popen.pid
        self.has_ended = False
        self._popen = popen
        self._listener = listener
        self._reactor = reactor
        self._connected = True
        #: When the process was first seen to have ended.
        self._ended_at: float | None = None

    # -- orders

    def drain(self, seconds: float) -> None:
        """See `IWorkerProcess`."""
        self.say(messages.DRAIN, seconds=seconds if seconds < math.inf else None)

    def terminate(self) -> None:
        """See `IWorkerProcess`."""
        self._popen.terminate()

    def kill(self) -> None:
        """See `IWorkerProcess`."""
        self._popen.kill()

    def say(self, say: str, **values: Any) -> None:
        """Send a message; in vain, if nobody is there any more."""
        if self._connected:
            self.transport.write(messages.encode(say, **values))

    # -- the connection

    def lineReceived(self, line: bytes) -> None:
        """See `LineOnlyReceiver`."""
        try:
            message = messages.decode(line)
        except ValueError:
            _log.error("process %d says what is no message: %r", self.pid, line[:100])
            return
        self._listener.said(message)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """See `LineOnlyReceiver`."""
        self._connected = False
        self.look()

    # -- its end

    def look(self) -> None:
        """Tell the listener if the process has ended, after all that it said."""
        if self.has_ended or self._popen.poll() is None:
            return
        now = self._reactor.seconds()
        if self._connected and now < self._seen_to_end(now) + LAST_WORDS:
            # What it said last is still on its way.
            return
        self.has_ended = True
        if self._connected:
            # A process that it left behind keeps the connection open.
            self.transport.abortConnection()
        self._listener.ended(self._popen.returncode)

    def _seen_to_end(self, now: float) -> float:
        if self._ended_at is None:
            self._ended_at = now
        return self._ended_at


class _OneConnection(Factory):
    """Gives a connection that exists its protocol."""

    noisy = False

    def __init__(self, process: _Process) -> None:
        self._process = process

    def buildProtocol(self, addr: Any) -> _Process:
        """See `Factory`."""
        return self._process
