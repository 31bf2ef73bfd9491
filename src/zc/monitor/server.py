"""Monitor servers: each has an address and the clients that connected to it.

All servers share one reactor with its own thread. It is never the reactor of a dispatcher that
polls in its reactor's thread: an operator wants answers especially while a poll is waiting.
"""

import atexit
import contextlib
import os
import socket
import stat
import threading
from typing import Any

from twisted.internet.protocol import Factory

from zc.monitor import reactors
from zc.monitor.interfaces import CannotStartError, MonitorError
from zc.monitor.protocol import MonitorProtocol

#: A port of the loopback interface, a pair of host and port, or the path of a unix socket.
Address = int | tuple[str, int] | str

#: The host for a port that is given without one.
LOOPBACK = "127.0.0.1"

#: The most clients of one server at the same time.
MOST_CLIENTS = 32

#: How many clients may wait in the system until they are accepted.
BACKLOG = 50


class Clients(Factory):
    """The clients of one server. For the thread of the reactor."""

    noisy = False

    def __init__(self, running: reactors.Running) -> None:
        self._running = running
        #: The least recently active client comes first.
        self._clients: dict[MonitorProtocol, None] = {}

    def buildProtocol(self, addr: Any) -> MonitorProtocol:
        """Make the protocol for a new client."""
        return MonitorProtocol(self._running, self)

    def admit(self, client: MonitorProtocol) -> bool:
        """Whether there is room for a client. If necessary, an idle one is disconnected."""
        if len(self._clients) >= MOST_CLIENTS:
            idle = next((one for one in self._clients if not one.is_busy), None)
            if idle is None:
                return False
            idle.abort()
            self.leave(idle)
        self._clients[client] = None
        return True

    def touch(self, client: MonitorProtocol) -> None:
        """Note that a client was active."""
        if client in self._clients:
            del self._clients[client]
            self._clients[client] = None

    def leave(self, client: MonitorProtocol) -> None:
        """Note that a client is gone."""
        self._clients.pop(client, None)

    def abort(self) -> None:
        """Disconnect all clients."""
        for client in list(self._clients):
            client.abort()


class _Server:
    """An open port. Made and closed in the thread of the reactor."""

    def __init__(self, running: reactors.Running, address: Address) -> None:
        self._clients = Clients(running)
        reactor = running.reactor
        if isinstance(address, str):
            _remove_stale(address)
            # A trial: if a socket cannot be bound, Twisted leaves its descriptor open.
            _bound(socket.AF_UNIX, address).close()
            os.unlink(address)
            # Not for other users of the system.
            self._port = reactor.listenUNIX(address, self._clients, BACKLOG, mode=0o600)
            self.address: Address = address
            return
        host, port = address if isinstance(address, tuple) else (LOOPBACK, address)
        family, *_kind, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.closing(_bound(family, place)) as bound:
            bound.listen(BACKLOG)
            self.address = bound.getsockname()[:2]
            self._port = reactor.adoptStreamPort(bound.fileno(), family, self._clients)

    def close(self) -> Any:
        """Close the port, and the connections of clients. Returns a Deferred, or None."""
        self._clients.abort()
        return self._port.stopListening()


def _bound(family: int, place: Any) -> socket.socket:
    """A socket bound to an address."""
    found = socket.socket(family)
    try:
        if family != socket.AF_UNIX and os.name == "posix":
            # Connections of an earlier process that are still closing must not block the port.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setblocking(False)
        found.bind(place)
    except BaseException:
        found.close()
        raise
    return found


def _remove_stale(path: str) -> None:
    """Remove the unix socket that a process left behind when it ended."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise CannotStartError(f"cannot listen on {path}: there is a file that is no socket")
    except FileNotFoundError:
        return
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(1)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        except OSError as error:
            raise CannotStartError(f"cannot listen on {path}: {error}") from error
        else:
            raise CannotStartError(f"cannot listen on {path}: another process does")


_lock = threading.RLock()
#: The servers of this process, by the addresses that `start` returned. Under `_lock`.
_servers: dict[Address, _Server] = {}


def start(address: Address) -> Address:
    """Open a port for clients. For any thread.

    Args:
        address: the number of a port, which is opened on the loopback interface (0 for any free
            one); a pair of host and port; or the path of a unix socket, which is open only to
            processes of this user.

    Returns the address as a pair, with the real number of the port, or the path: see `stop`.

    Raises `CannotStartError`, an OSError, if it is impossible to listen there, and TypeError or
    ValueError for a value that is not an address.
    """
    _check(address)
    with _lock:
        running = reactors.acquire()
        try:
            server = reactors.call(running, lambda: _open(running, address))
        except BaseException:
            _release_reactor()
            raise
        _servers[server.address] = server
        return server.address


def _check(address: Any) -> None:
    port = address
    if isinstance(address, str):
        if not address:
            raise ValueError("the path of a socket is empty")
        return
    if isinstance(address, tuple):
        if len(address) != 2 or not isinstance(address[0], str):
            raise TypeError(f"an address is a port, (host, port) or a path, not {address!r}")
        port = address[1]
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"an address is a port, (host, port) or a path, not {address!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, not {port}")


def _open(running: reactors.Running, address: Address) -> _Server:
    try:
        return _Server(running, address)
    except OSError as error:
        if isinstance(error, CannotStartError):
            raise
        raise CannotStartError(f"cannot listen on {address!r}: {error}") from error


def stop(address: Address | None = None) -> None:
    """Close a port, or all ports of this process, and the connections of its clients.

    For any thread except that of a command. Running commands go on, but their answers are lost.
    When this returns, the ports are free. After the last one, the thread of the reactor has ended.
    Does nothing if no port is open.

    Args:
        address: the value that `start` returned; None for all.

    Raises `MonitorError` for an address on which no server listens.
    """
    with _lock:
        if address is None:
            addresses = list(_servers)
        elif address in _servers:
            addresses = [address]
        else:
            raise MonitorError(f"no monitor server of this process listens on {address!r}")
        for one in addresses:
            server = _servers.pop(one)
            reactors.call(reactors.acquire(), server.close)
        _release_reactor()


def addresses() -> list[Address]:
    """What `start` has returned for the ports that are open. For any thread."""
    with _lock:
        return list(_servers)


def _release_reactor() -> None:
    if not _servers:
        reactors.release()


atexit.register(stop)
