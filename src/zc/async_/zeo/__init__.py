"""Keeps the ZEO clients of this process connected with their servers.

A ZEO client reconnects by itself when its server was away. But it may wait forever for a connection
that never works. With Python 3.12 and 3.13 the cause is a bug of asyncio (see `transports`). With
any Python it happens when a server, or a proxy before it, accepts a connection and then sends
nothing more. So each attempt to connect is watched here (see `attempts`).

A client whose server is away answers from its cache. Code that needs the newest state catches up
first (see `catching_up`).
"""

from zc.async_.zeo.catching_up import catch_up
from zc.async_.zeo.watching import watch, watch_storage

__all__ = ["catch_up", "watch", "watch_storage"]
