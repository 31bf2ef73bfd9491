"""The command about the process."""

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

from zc.z3monitor import databases

#: Where Linux tells of this process.
STATUS = "/proc/self/status"

#: What is told of that: lines of a name, a colon, a tab and a value.
FIGURES = ("VmSize", "VmRSS", "Threads")

#: How `ZODB` tells for how many seconds a connection has been open.
_age = re.compile(r"\((\d+(?:\.\d*)?)s\)").search


def monitor(connection: Any, seconds: str = "100", database: str = databases.USUAL) -> None:
    """Get general information about the process

    Usage: monitor [SECONDS [DATABASE]]

    Prints a line each: the number of open connections to the database; the size of the process and
    the part of it that is in memory, its threads, and the load of the machine over 1, 5 and 15
    minutes, as far as the system tells. Then come connections that have been open for 100 seconds,
    or so many as are given, the oldest first: for how long, and what they are used for. "-" is the
    database without a name.
    """
    limit = float(seconds)
    connections = list(_open_connections(databases.find(database)))
    connection.write(f"{len(connections)}\n")
    for name, value in _figures():
        connection.write(f"{name}:\t{value}\n")
    for age, purpose in sorted(connections, key=lambda one: -one[0]):
        if age >= limit:
            connection.write(f"{age:.1f}\t{purpose}\n")


def _open_connections(database: Any) -> Iterator[tuple[float, str]]:
    """For how long each open connection has been so (seconds), and what ZODB says of its use."""
    for one in database.connectionDebugInfo():
        if one["opened"]:
            found = _age(one["opened"])
            yield float(found.group(1)) if found else 0.0, str(one["info"]).replace("\n", " ")


def _figures() -> Iterator[tuple[str, str]]:
    told = {"Threads": str(threading.active_count())}
    with contextlib.suppress(OSError), open(STATUS, encoding="utf-8") as status:
        for line in status:
            name, _, value = line.partition(":")
            told[name] = value.strip()
    for name in FIGURES:
        if name in told:
            yield name, told[name]
    with contextlib.suppress(OSError, AttributeError):
        yield "Load", " ".join(f"{load:.2f}" for load in os.getloadavg())
