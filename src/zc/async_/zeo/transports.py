"""What the connections of a ZEO client need of their transports.

From Python 3.12 on (3.13.6 has it mended), `writelines` of asyncio's transports registers the file
descriptor of a connection that was just lost with the loop, if something is written before the
loop has dealt with the loss. The descriptor is then closed, and the registration stays. The next
connection is given the same descriptor; the loop takes it to be registered already, and never hears
of it: the client waits for its connection without end. And what is written after the end of the
stream was read, and before the loss is told, raises a TypeError; it is told to whoever made that
call of the server, in place of the loss. ZEO writes by `writelines` only.
"""

import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any

#: Options of connections by TCP, where the system has them: after 15 s of silence, ask every 5 s
#: whether the other end is still there, and take the connection as lost after three questions.
#: It is the system that answers, not the server, which may be as slow as it likes.
KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def prepare_loop(loop: Any) -> None:
    """Have all connections that a loop will make prepared. From the thread of the loop."""
    for name in ("create_connection", "create_unix_connection"):
        setattr(loop, name, functools.partial(_create, getattr(loop, name)))


def prepare(transport: Any) -> None:
    """Make a transport sound, and have the loss of its other end noticed.

    From the thread of its loop, best before anything has got hold of its methods.
    """
    # Transports of other loops than asyncio's own have no such fault and may refuse.
    with contextlib.suppress(AttributeError):
        transport.writelines = functools.partial(_unless_closing, transport, transport.writelines)
    _keep_alive(transport.get_extra_info("socket"))


def prepare_connected(protocol: Any) -> None:
    """As `prepare`, for a protocol of ZEO that may have a connection already. From its loop."""
    transport = getattr(protocol.sm_protocol, "transport", None)
    if transport is None:
        return
    # It has got hold of the transport's method, and is called by these two.
    for name in ("write_message", "write_message_iter"):
        write = getattr(protocol, name)
        setattr(protocol, name, functools.partial(_unless_closing, transport, write))
    _keep_alive(transport.get_extra_info("socket"))


def _create(create: Any, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
    return create(lambda: _prepared(protocol_factory()), *args, **kwargs)


def _prepared(protocol: Any) -> Any:
    # It has this already if an earlier attempt with the same protocol failed.
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
