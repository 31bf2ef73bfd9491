"""The connections of workers, which jobs cannot close, and those that jobs open.

If a job could close the worker's connection, another worker would get it while this one still uses
it. Commits by a connection that a job opened are guarded like commits by the worker's own.
"""

import functools
import threading
from typing import Any

import zc.async_.relstorage
from zc.async_.interfaces import AsyncError
from zc.async_.storing import oids
from zc.async_.threadlocal import local

_lock = threading.Lock()


class _Refusal:
    """Replaces the `close` of a connection."""

    def __init__(self, connection: Any) -> None:
        self._close = connection.close

    def __call__(self, primary: bool = True) -> None:
        if primary:
            raise AsyncError(
                "the connection of a job is its worker's: do not close it, or open one of your own "
                "with job._p_jar.db().open(transaction.TransactionManager())"
            )
        # Its database is closed, or the worker closes the first of its connections.
        self._close(primary)


class _Opening:
    """Replaces the `open` of a database of workers.

    A connection opened in a worker's thread is guarded by its fence, with any transaction manager.
    """

    def __init__(self, database: Any) -> None:
        self._open = database.open

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        connection = self._open(*args, **kwargs)
        if local.fence is not None:
            local.fence.watch(connection.transaction_manager)
        return connection


def _watch_openings(database: Any) -> None:
    with _lock:
        if "open" not in vars(database):
            database.open = _Opening(database)


def open_for_worker(db: Any) -> Any:
    """Open a connection for the transaction manager of this thread.

    Only the caller can close it and the connections to other databases that join it later.
    """
    for database in list(db.databases.values()):
        _watch_openings(database)
    connection = db.open()
    _guard(connection)
    return connection


def close_for_worker(connection: Any) -> None:
    """Close a connection that was opened here, in the thread that uses it."""
    for one in (connection, *connection.connections.values()):
        vars(one).pop("close", None)
        vars(one).pop("get_connection", None)
        zc.async_.relstorage.leave_turns(one)
    if connection.opened is not None:
        connection.close()


def _guard(connection: Any) -> None:
    oids.guard(connection)
    zc.async_.relstorage.take_turns(connection)
    connection.close = _Refusal(connection)
    connection.get_connection = functools.partial(
        _get_guarded, connection, connection.get_connection
    )


def _get_guarded(connection: Any, get_connection: Any, database_name: str) -> Any:
    known = dict(connection.connections)
    got = get_connection(database_name)
    _watch_openings(got.db())
    _keep(known, connection.connections)
    if "close" not in vars(got):
        _guard(got)
    return got


def _keep(known: dict[str, Any], connections: dict[str, Any]) -> None:
    """Keep the known connections of a group in place.

    A connection from the pool that was the first of another group brings the others of that group
    with it. If they replaced ours, our transactions would have two connections to one storage.
    """
    for name, ours in known.items():
        other = connections[name]
        if other is not ours:
            connections[name] = ours
            other.close(False)
