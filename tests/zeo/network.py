"""A network with the faults that keep a ZEO client from its server."""

import asyncio
import contextlib

from tests.torture.proxy import Proxy

#: Seconds after which connections end whose data were dropped.
DROPPED = 3


class RoughProxy(Proxy):
    """A proxy that does with new connections, and with what comes, as its `mode` says.

    "pass"; "closing": connections are closed as soon as they are there; "hang": they are accepted
    and that is all; "drop": what comes is thrown away, and some seconds later the connection ends.
    """

    mode = "pass"
    #: Connections are mute from a request on that has this word, or for `delay` seconds if given.
    mute_word = None
    delay = None
    #: Connections that came, in all.
    accepted = 0

    async def _accept(self, reader, writer):
        self.accepted += 1
        if self.mode == "closing":
            writer.transport.abort()
        elif self.mode == "hang":
            self._writers.add(writer)
            with contextlib.suppress(OSError):
                while await reader.read(1 << 16):
                    pass
            self._writers.discard(writer)
            writer.transport.abort()
        else:
            await super()._accept(reader, writer)
        # The transport is closed in the loop's next round.
        await asyncio.sleep(0)

    async def _pass_requests(self, reader, writer):
        await super()._pass_requests(_Reader(self, reader), writer)

    async def _pass_replies(self, reader, writer):
        await super()._pass_replies(_Reader(self, reader), writer)


class _Reader:
    """Does to what comes what the proxy says."""

    def __init__(self, proxy, reader):
        self._proxy = proxy
        self._reader = reader

    async def read(self, size):
        chunk = await self._reader.read(size)
        if chunk and self._proxy.mode == "drop":
            await asyncio.sleep(DROPPED)
            return b""
        if self._proxy.mute_word is not None and self._proxy.mute_word in chunk:
            if self._proxy.delay is None:
                return await self._swallow()
            await asyncio.sleep(self._proxy.delay)
        return chunk

    async def _swallow(self):
        while await self._reader.read(1 << 16):
            pass
        return b""
