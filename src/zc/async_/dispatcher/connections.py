"""The connections of workers, which jobs cannot close.

A connection that a job closed would be given to another worker while this one still uses it.
"""

from typing import Any

from zc.async_.interfaces import AsyncError


def open_for_worker(db: Any) -> Any:
    """A connection for the transaction manager of this thread. It is closed by its opener only."""
    connection = db.open()
    connection.close = _refuse
    return connection


def close_for_worker(connection: Any) -> None:
    """Close a connection that was opened here, in the thread that uses it."""
    # A database that is closed gives its connections a `close` of its own.
    if vars(connection).get("close") is _refuse:
        del connection.close
    connection.close()


def _refuse(primary: bool = True) -> None:
    raise AsyncError(
        "the connection of a job is its worker's: do not close it, or open one of your own with "
        "job._p_jar.db().open(transaction.TransactionManager())"
    )
