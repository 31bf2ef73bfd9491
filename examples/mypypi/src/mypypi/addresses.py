"""Which addresses are fetched.

People give the addresses of pages, and strangers' servers send redirections. So nothing is fetched
but public addresses by http and https: not this machine, not its network. What a name leads to is
looked up once, checked, and connected to: a name that leads elsewhere at the second look (DNS
rebinding) gains nothing. Only the host and port of the configured index may be anywhere.
"""

import ipaddress
import re
import socket
import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

import httpcore

from mypypi.errors import Refused, Unreachable

#: Characters that an address may have.
MAX_LENGTH = 2000

_PORTS = {"http": 80, "https": 443}

#: What is left as it is in an address: the rest is percent-encoded.
_SAFE = "/?#[]@!$&'()*+,;=:~%-._"


def checked(url: str) -> str:
    """An address in its usual form: ASCII, and without a fragment. Raises `Refused`."""
    # Some programs leave these out, and some do not.
    if len(url) > MAX_LENGTH or re.search(r"[\x00-\x20\x7f\\]", url):
        raise Refused("that is no address of a page")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError as error:
        raise Refused("that is no address of a page") from error
    if parts.scheme not in _PORTS:
        raise Refused("only http and https addresses are fetched")
    if not host or parts.username is not None or parts.password is not None:
        raise Refused("an address has a host, and no user or password before it")
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != _PORTS[parts.scheme]:
        host = f"{host}:{port}"
    path = urllib.parse.quote(parts.path or "/", safe=_SAFE)
    query = urllib.parse.quote(parts.query, safe=_SAFE)
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))


def host_and_port(url: str) -> tuple[str, int]:
    """Where an address, which was checked, leads to."""
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        # These lead to the IPv4 address that they contain.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner is not None:
            ip = inner
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to public addresses and to one that is trusted, and has all end in time."""

    def __init__(self, seconds: float, trusted: tuple[str, int] | None) -> None:
        """`seconds` from now on; `trusted`: a host, as it is in addresses, and its port."""
        self._end = time.monotonic() + seconds
        self._trusted = trusted
        self._backend = httpcore.SyncBackend()

    def left(self) -> float:
        """Seconds. Raises `Unreachable` if there is nothing left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unreachable("it took too long")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See `httpcore.NetworkBackend`."""
        error: Exception | None = None
        for address in self._look_up(host, port):
            try:
                # By the address, not by the name: see above.
                stream = self._backend.connect_tcp(
                    address, port, self.left(), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as caught:
                error = caught
            else:
                return TimedStream(stream, self)
        raise error or Unreachable(f"{host} has no address")

    def _look_up(self, host: str, port: int) -> list[str]:
        try:
            # How long this may take is said by the system (resolv.conf).
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"there is no host {host}") from error
        found_addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if (host, port) != self._trusted and not all(map(is_public, found_addresses)):
            raise Refused(f"{host} is not on the public internet")
        return found_addresses


class TimedStream(httpcore.NetworkStream):
    """A connection on which each wait ends when the time of the whole fetch is over.

    A server that sends a byte now and then never lets a usual timeout end.
    """

    def __init__(self, stream: httpcore.NetworkStream, backend: GuardedBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `httpcore.NetworkStream`, as for the rest."""
        return self._stream.read(max_bytes, self._backend.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._backend.left())
        return TimedStream(stream, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
