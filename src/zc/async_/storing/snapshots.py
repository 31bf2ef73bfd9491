"""How far the present transaction of a connection sees."""

from typing import Any

from ZODB.utils import z64

import zc.async_.relstorage


def can_see(connection: Any, tid: bytes) -> bool:
    """Whether a connection sees what a transaction committed. If nobody knows, it does."""
    newest = zc.async_.relstorage.newest_seen(connection)
    if newest is not None:
        return tid <= newest
    # Not `_storage`: after a savepoint that is a temporary one.
    sees_before = getattr(connection._normal_storage, "_start", None)
    return sees_before is None or bool(tid < sees_before)


def last_transaction(connection: Any) -> bytes:
    """The last transaction that the process, or for RelStorage the connection, knows of.

    Not older than what the connection itself has committed; the earliest possible if the database
    was closed. Asks no server.
    """
    newest = zc.async_.relstorage.newest_seen(connection)
    if newest is not None:
        return newest
    # Not the database's: somebody may close that at any moment, as a connection of
    # `ZODB.connection` does when it closes. This one then has no storage.
    storage = connection._normal_storage
    return z64 if storage is None else storage.lastTransaction() or z64
