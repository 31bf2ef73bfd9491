"""The network between clients and a server, in this process: it can be cut.

A `Proxy` has a port of its own, and passes on what comes and goes.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from benchmarks.storages import free_port

#: Seconds that the thread is given to do what it is asked.
PATIENCE = 10

#: Bytes passed on at once.
CHUNK = 1 << 16


class Proxy:
    """See the module. Its methods may be called by any thread, and return when all is done."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.address = "127.0.0.1", free_port()
        self._target = target
        # All of this belongs to the thread of the loop.
        self._loop = asyncio.new_event_loop()
        self._listener: Any = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._requests_pass = asyncio.Event()
        self._replies_pass = asyncio.Event()
        self._trap: bytes | None = None
        #: Set when replies are held because of a request. For any thread.
        self.sprung = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Listen until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            self.open()
            yield self
        finally:
            self._call(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(PATIENCE)
            self._loop.close()

    def open(self) -> None:
        """Let everything pass."""
        self._call(self._open())

    def lead_to(self, target: tuple[str, int]) -> None:
        """Lead new connections to another server, and cut the others."""
        self._target = target
        self.cut()

    def close(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._call(self._close())

    def cut(self) -> None:
        """Cut all connections. New ones are accepted."""
        self._call(self._cut())

    def hold_replies(self) -> None:
        """From now on the server hears what it is asked, and nobody hears the answers."""
        self._call(self._hold(self._replies_pass))

    def hold_replies_from(self, word: bytes) -> None:
        """As `hold_replies`, but not before a request passes that has this word."""
        self._call(self._set_trap(word))

    def hold(self) -> None:
        """From now on nothing passes, in either direction, until `open`."""
        self._call(self._hold(self._requests_pass, self._replies_pass))

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    # -- in the thread of the loop

    async def _open(self) -> None:
        self._let_pass()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, *self.address)

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # Python 3.11 never closes a connection that it is accepting when a listener is closed
            # (gh-109564): none may be under way.
            for each in listener.sockets:
                self._loop.remove_reader(each)
            await asyncio.sleep(0)
            listener.close()
        await self._cut()

    async def _end(self) -> None:
        await self._close()
        # Connections that came in at the last moment are tasks before they can be cut.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await self._cut()
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        # Transports that were aborted are closed in the loop's next round.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        # Else what was held would go on for ever.
        self._let_pass()

    def _let_pass(self) -> None:
        self._trap = None
        self._requests_pass.set()
        self._replies_pass.set()

    async def _set_trap(self, word: bytes) -> None:
        self.sprung.clear()
        self._trap = word

    async def _hold(self, *events: asyncio.Event) -> None:
        for event in events:
            event.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, server_writer}
        if self._listener is None:
            # It came in while this was closed.
            for end in ends:
                end.transport.abort()
            return
        self._writers |= ends
        try:
            # Either direction that ends, ends the other.
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pass_requests(reader, server_writer)),
                    asyncio.ensure_future(self._pass_replies(server_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()
            await asyncio.sleep(0)

    async def _pass_requests(self, reader: Any, writer: Any) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._requests_pass.wait()
                if self._trap is not None and self._trap in chunk:
                    self._replies_pass.clear()
                    self.sprung.set()
                writer.write(chunk)
                await writer.drain()

    async def _pass_replies(self, reader: Any, writer: Any) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._replies_pass.wait()
                writer.write(chunk)
                await writer.drain()
