"""Connections of asyncio whose other end is lost, with sockets as they are."""

import asyncio
import socket
import sys

import pytest

from zc.async_.zeo import transports

#: Whether this Python's transports have the fault.
FAULTY = (3, 12) <= sys.version_info < (3, 13, 6)


class Protocol(asyncio.Protocol):
    """One that takes attributes, as ZEO's do."""


async def lost_connection(listener):
    """A connection that was lost in this round of the loop, and written to in the same round."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(Protocol, *listener.getsockname())
    listener.accept()[0].close()
    descriptor = transport.get_extra_info("socket").fileno()
    transport.abort()
    transport.writelines([b"too late"])
    return descriptor


def prepared_loop():
    """The loop that runs, prepared."""
    loop = asyncio.get_running_loop()
    transports.prepare_loop(loop)
    return loop


def registered(loop, descriptor):
    return descriptor in loop._selector.get_map()


def run(prepared):
    """Lose a connection; return whether its descriptor is registered afterwards."""

    async def lose():
        loop = asyncio.get_running_loop()
        if prepared:
            transports.prepare_loop(loop)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            descriptor = await lost_connection(listener)
            await asyncio.sleep(0)
            left = registered(loop, descriptor)
            loop._remove_writer(descriptor)
            return left

    return asyncio.run(lose())


@pytest.mark.skipif(not FAULTY, reason="a Python without the fault")
def test_this_python_leaves_the_descriptor_of_a_lost_connection_registered():
    assert run(prepared=False)


def test_nothing_is_registered_that_was_written_to_a_lost_connection():
    assert not run(prepared=True)


def test_all_that_is_written_before_a_loss_gets_through():
    async def write():
        loop = prepared_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, _ = await loop.create_connection(Protocol, *listener.getsockname())
            with listener.accept()[0] as other:
                # More than the system takes at once.
                lines = [bytes([number]) * 100_000 for number in range(50)]
                transport.writelines(lines)
                transport.close()
                other.setblocking(False)
                got = bytearray()
                while chunk := await loop.sock_recv(other, 1 << 20):
                    got += chunk
        assert got == b"".join(lines)

    asyncio.run(write())


def test_a_connection_is_asked_whether_the_other_end_is_still_there():
    async def connect():
        loop = prepared_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, _ = await loop.create_connection(Protocol, *listener.getsockname())
            one = transport.get_extra_info("socket")
            found = one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            listener.accept()[0].close()
            transport.abort()
            await asyncio.sleep(0)
            return found, idle

    assert asyncio.run(connect()) == (1, transports.KEEP_ALIVE["TCP_KEEPIDLE"])


def test_a_protocol_whose_first_attempts_failed_is_prepared_once():
    async def connect():
        loop = prepared_loop()
        protocol = Protocol()
        for _ in range(3):
            transports._prepared(protocol)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, _ = await loop.create_connection(lambda: protocol, *listener.getsockname())
            listener.accept()[0].close()
            transport.abort()
            await asyncio.sleep(0)
        return vars(protocol)

    assert asyncio.run(connect()) == {}


def test_connections_that_are_no_tcp_are_prepared_as_well(tmp_path):
    async def connect():
        loop = prepared_loop()
        path = str(tmp_path / "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            transport, _ = await loop.create_unix_connection(Protocol, path)
            with listener.accept()[0] as other:
                transport.writelines([b"one ", b"two"])
                got = other.recv(100)
            transport.abort()
            await asyncio.sleep(0)
        return got

    assert asyncio.run(connect()) == b"one two"
