"""Repairs the transports of ZEO connections: a bug of asyncio, and silent losses.

From Python 3.12 on (fixed in 3.13.6), `writelines` of asyncio's transports has a bug. If it writes
to a connection that was just lost, before the loop has handled the loss, it registers the file
descriptor with the loop. The descriptor is then closed, but the registration stays. The next
connection gets the same descriptor. The loop takes it for registered already and never gets events
for it, so the client waits for its connection forever. Also, a write after the end of the stream
was read, and before the loss is reported, raises a TypeError. The caller of the server's method
gets this error in place of the loss. ZEO writes by `writelines` only.
"""

import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any

#: Options of TCP connections, where the system has them: after 15 s of silence, ask every 5 s
#: whether the other end is still there, and take the connection as lost after three questions
#: without an answer. The other system answers, not the server, which may be as slow as it likes.
KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def prepare_loop(loop: Any) -> None:
    """Make a loop prepare all connections that it will make. From the thread of the loop."""
    for name in ("create_connection", "create_unix_connection"):
        setattr(loop, name, functools.partial(_create, getattr(loop, name)))


def prepare(transport: Any) -> None:
    """Repair `writelines` of a transport, and make sure that the loss of its other end is noticed.

    From the thread of its loop, best before any code has taken a reference to its methods.
    """
    # Transports of other loops than asyncio's own lack the bug, and may refuse the attribute.
    with contextlib.suppress(AttributeError):
        transport.writelines = functools.partial(_unless_closing, transport, transport.writelines)
    _keep_alive(transport.get_extra_info("socket"))


def prepare_connected(protocol: Any) -> None:
    """Like `prepare`, for a ZEO protocol that may have a connection already. From its loop."""
    transport = getattr(protocol.sm_protocol, "transport", None)
    if transport is None:
        return
    # The protocol already refers to the transport's method, and calls it from these two.
    for name in ("write_message", "write_message_iter"):
        write = getattr(protocol, name)
        setattr(protocol, name, functools.partial(_unless_closing, transport, write))
    _keep_alive(transport.get_extra_info("socket"))


def _create(create: Any, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
    return create(lambda: _prepared(protocol_factory()), *args, **kwargs)


def _prepared(protocol: Any) -> Any:
    # The protocol has this already if an earlier attempt with it failed.
    if "connection_made" not in vars(protocol):
        protocol.connection_made = functools.partial(_connection_made, protocol)
    return protocol


def _connection_made(protocol: Any, transport: Any) -> None:
    prepare(transport)
    del protocol.connection_made
    protocol.connection_made(transport)


def _unless_closing(transport: Any, write: Callable[[Any], None], data: Any) -> None:
    if not transport.is_closing():
        write(data)


def _keep_alive(connection: Any) -> None:
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Some systems refuse some options, and so do the sockets of some loops.
    with contextlib.suppress(OSError, TypeError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
