"""Waits for the end of what a lost connection may still be doing in the server."""

from collections.abc import Iterable
from typing import Any

from zc.async_.interfaces import OutOfReachError
from zc.async_.relstorage.storages import of_database
from zc.async_.relstorage.watching import is_watched

#: Seconds to wait for it at once. The error that follows means that another try is due.
PATIENCE = 10


def catch_up(database: Any, oids: Iterable[bytes]) -> None:
    """Wait until no commit is under way that changes one of some objects.

    When the connection to the server is lost in a commit, the server may not know it yet, and
    commit, or wait for the locks of others. It holds a lock for each object that it changes. After
    this, transactions that begin see the objects as that commit has left them, done or not. For any
    thread; does nothing for other storages.

    Blocks, and raises `OutOfReachError`, or a TransientError if it takes too long.
    """
    storage = of_database(database)
    if storage is None or not is_watched(storage):
        return
    adapter = storage._adapter

    def wait(_connection: Any, cursor: Any) -> int:
        cursor.execute("SELECT set_config('lock_timeout', %s, TRUE)", (f"{PATIENCE}s",))
        for oid in oids:
            # One by one, so that nobody waits for one of them who has another.
            number = int.from_bytes(oid, "big")
            cursor.execute("SELECT pg_advisory_lock_shared(%s)", (number,))
            cursor.execute("SELECT pg_advisory_unlock_shared(%s)", (number,))
        newest: int = adapter.txncontrol.get_tid(cursor)
        return newest

    newest = adapter.connmanager.open_and_call(wait)
    if storage._options.ro_replica_conf:
        _check_replica(adapter, newest)


def _check_replica(adapter: Any, newest: int) -> None:
    """Raise `OutOfReachError` if the server that objects are loaded from lacks a commit."""
    manager = adapter.connmanager
    connection, cursor = manager.open_for_load()
    try:
        seen = adapter.txncontrol.get_tid(cursor)
    finally:
        manager.rollback_and_close(connection, cursor)
    if seen < newest:
        raise OutOfReachError("the replica that objects are loaded from is behind its server")
