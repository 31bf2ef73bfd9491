"""What a pooler of connections, in transaction mode, does with notices: it passes none."""

import struct

from tests.torture.proxy import Proxy

#: The type of PostgreSQL's message that is a notice.
NOTICE = b"A"


class Pooler(Proxy):
    """A proxy before PostgreSQL that drops notices while it `drops` them."""

    drops = True

    async def _pass_replies(self, reader, writer):
        await super()._pass_replies(_WithoutNotices(self, reader), writer)


class _WithoutNotices:
    """Reads messages of the server: a byte, the length with itself, and the rest."""

    def __init__(self, pooler, reader):
        self._pooler = pooler
        self._reader = reader
        self._got = b""

    async def read(self, size):
        while True:
            chunk = await self._reader.read(size)
            if not chunk:
                return b""
            passed = self._filter(chunk)
            if passed:
                return passed

    def _filter(self, chunk):
        self._got += chunk
        passed = b""
        while len(self._got) >= 5:
            (length,) = struct.unpack(">I", self._got[1:5])
            if len(self._got) < 1 + length:
                break
            message, self._got = self._got[: 1 + length], self._got[1 + length :]
            if not (self._pooler.drops and message[:1] == NOTICE):
                passed += message
        return passed
