"""Finds the RelStorage behind a database or a connection."""

import sys
from typing import Any

#: How many wrappers a storage may have.
_MOST_WRAPPERS = 10


def unwrapped(storage: Any) -> Any:
    """The RelStorage that a storage is, or that it wraps; None if there is none."""
    # If nobody has imported the module, there is no such storage.
    module = sys.modules.get("relstorage.storage")
    if module is None:
        return None
    for _wrapper in range(_MOST_WRAPPERS):
        if isinstance(storage, module.RelStorage):
            return storage
        # A storage that compresses or encrypts.
        storage = getattr(storage, "base", None)
    return None


def of_database(database: Any) -> Any:
    """The RelStorage of an open database, None if it has another storage."""
    return unwrapped(getattr(database, "storage", None))


def of_connection(connection: Any) -> Any:
    """The RelStorage of a ZODB connection, which no other connection has; or None."""
    # Not `_storage`: after a savepoint that is a temporary one.
    return unwrapped(getattr(connection, "_normal_storage", None))
