"""Keeps the ZEO clients of this process on their servers.

A ZEO client connects anew by itself when its server was away, but it may wait without end for a
connection that comes to nothing: with Python 3.12 and 3.13 because of a fault of asyncio (see
`transports`), with any Python when a server, or what is between, accepts a connection and then says
no more. Here each attempt to connect is watched over (see `attempts`).

A client whose server is away answers from its cache: who has to know better catches up (see
`catching_up`).
"""

from zc.async_.zeo.catching_up import catch_up
from zc.async_.zeo.watching import watch

__all__ = ["catch_up", "watch"]
