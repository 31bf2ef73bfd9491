"""What the snapshot of a RelStorage shows.

`lastTransaction` of a database must not be asked: it has a RelStorage of its own, which no
connection uses. That would begin a transaction of PostgreSQL, which never ends, and tell ever after
what it saw then.
"""

from typing import Any

from ZODB.utils import p64

from zc.async_.relstorage.storages import of_connection


def newest_seen(connection: Any) -> bytes | None:
    """The newest transaction that a connection sees or has committed; None for other storages."""
    storage = of_connection(connection)
    return None if storage is None else p64(storage.highest_visible_tid)
