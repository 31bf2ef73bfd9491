"""Has the connections of a RelStorage tell what their errors mean."""

import threading
import weakref
from typing import Any

from zc.async_.relstorage.storages import of_database

_lock = threading.Lock()

#: What manages the connections of each RelStorage that is watched: all its instances have the same.
_watched: "weakref.WeakSet[Any]" = weakref.WeakSet()


def watch(database: Any) -> None:
    """Have the RelStorages of a database, and of its group, raise errors that say what they mean.

    For any thread, any number of times. Does nothing to storages of other kinds, or with another
    driver than psycopg2.
    """
    for one in database.databases.values():
        storage = of_database(one)
        if storage is not None:
            _watch(storage)


def is_watched(storage: Any) -> bool:
    """Whether a RelStorage is watched. Then it is in PostgreSQL."""
    return storage._adapter.connmanager in _watched


def _watch(storage: Any) -> None:
    manager = storage._adapter.connmanager
    if getattr(manager.driver, "__name__", None) != "psycopg2":
        return
    with _lock:
        if manager in _watched:
            return
        # Where there is no RelStorage with psycopg2, these cannot be imported.
        from zc.async_.relstorage.driver import connection_class
        from zc.async_.relstorage.renewing import Renewing

        manager.driver.connect = connection_class(manager.driver.connect)
        renewing = Renewing(manager.driver.connect)
        manager.add_on_load_opened(renewing)
        manager.add_on_store_opened(renewing)
        _watched.add(manager)
