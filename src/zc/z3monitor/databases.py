"""Commands about the databases of a process.

Each takes the name of a database. The usual one has none: `-` stands for that, where something else
follows. Databases are found as utilities (`ZODB.interfaces.IDatabase`), as `zope.app.appsetup`
registers them, and from the one that was opened.
"""

import time
import weakref
from typing import Any

import ZEO.ClientStorage
import zope.component
from ZODB.ActivityMonitor import ActivityMonitor
from ZODB.interfaces import IDatabase

from zc.monitor.interfaces import MonitorError

#: Seconds for which `dbinfo` counts, if it is not told.
INTERVAL = 300.0

#: Stands for the database without a name.
USUAL = "-"

_no_database: Any = lambda: None  # noqa: E731  (as a reference to what is gone)

#: The database that was opened last, as long as somebody keeps it.
_opened: Any = _no_database


class NoDatabaseError(MonitorError, LookupError):
    """There is no database of this name, or it is none that a command can tell of."""


def note_opened(database: Any, count: bool = True) -> None:
    """Have commands find a database and those of its group.

    `count`: whether their activity is counted, for `dbinfo`.
    """
    global _opened
    _opened = weakref.ref(database)
    if not count:
        return
    utilities = [one for _name, one in zope.component.getUtilitiesFor(IDatabase)]
    for one in [*utilities, *database.databases.values()]:
        if one.getActivityMonitor() is None:
            one.setActivityMonitor(ActivityMonitor())


def find(name: str) -> Any:
    """The database of a name. Raises `NoDatabaseError`."""
    if name == USUAL:
        name = ""
    database = zope.component.queryUtility(IDatabase, name)
    opened = _opened()
    if database is None and opened is not None:
        database = opened.databases.get(name, None if name else opened)
    if database is None:
        raise NoDatabaseError(f"there is no database {name!r}; {_known(opened)}")
    return database


def _known(opened: Any) -> str:
    names = {name for name, _database in zope.component.getUtilitiesFor(IDatabase)}
    if opened is not None:
        names |= opened.databases.keys()
    if not names:
        return "none has been opened"
    return "there are " + ", ".join(sorted(name or USUAL for name in names))


def dbinfo(connection: Any, database: str = USUAL, seconds: str = "300") -> None:
    """Get statistics of a database

    Usage: dbinfo [DATABASE [SECONDS]]

    Prints five numbers in one line: objects loaded, objects stored and connections closed in the
    last 300 seconds, or so many as are given, up to an hour; objects in the caches of all
    connections, and how many of these are loaded. "-" is the database without a name. What a
    connection has loaded and stored counts when it is closed. If nobody counts, the first three are
    -1.
    """
    found = find(database)
    counts: tuple[int, ...] = (-1, -1, -1)
    if (activity := found.getActivityMonitor()) is not None:
        # The last moment is part of it.
        now = time.time()
        (analysis,) = activity.getActivityAnalysis(now - float(seconds), now, 1)
        counts = analysis["loads"], analysis["stores"], analysis["connections"]
    caches = found.cacheDetailSize()
    objects = sum(cache["size"] for cache in caches)
    loaded = sum(cache["ngsize"] for cache in caches)
    _write_numbers(connection, *counts, objects, loaded)


def zeocache(connection: Any, database: str = USUAL) -> None:
    """Get statistics of the cache of a ZEO client

    Usage: zeocache [DATABASE]

    Prints five numbers in one line: records added to the cache, bytes added, records evicted, bytes
    evicted, and accesses.
    """
    _write_numbers(connection, *_client(database)._cache.getStats())


def zeostatus(connection: Any, database: str = USUAL) -> None:
    """Get whether a ZEO client is connected

    Usage: zeostatus [DATABASE]

    Prints True or False.
    """
    connection.write(f"{bool(_client(database).is_connected())}\n")


def _client(name: str) -> Any:
    """The ZEO client of a database, which other storages may be around."""
    storage = find(name).storage
    while not isinstance(storage, ZEO.ClientStorage.ClientStorage):
        storage = getattr(storage, "base", None)
        if storage is None:
            raise NoDatabaseError(f"the database {name!r} is none of a ZEO server")
    return storage


def _write_numbers(connection: Any, *numbers: Any) -> None:
    connection.write(" ".join(map(str, numbers)) + "\n")
