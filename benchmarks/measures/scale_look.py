"""What a look at the first of many waiting jobs costs, in processor time."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database

#: Jobs put in one transaction.
BATCH = 2000

#: Looks, each by a connection that has nothing loaded. The median counts.
LOOKS = 5


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Times of a look at jobs that no dispatcher has read, and at those that one has."""
    count = scale.waiting
    with file_database(folder) as database, client(database) as one:
        for start in range(0, count, BATCH):
            one.put(nothing, min(BATCH, count - start))
            one.connection.cacheGC()
        yield _figure(f"first of {count:,} just put", database)
        _sort(one)
        yield _figure(f"first of {count:,} waiting", database)


def _figure(name: str, database: Any) -> Figure:
    return Figure(name, _look(database) * 1000, "ms", required=at_most(20))


def _look(database: Any) -> float:
    """Seconds for one."""
    times = []
    with client(database) as looking:
        for _look in range(LOOKS):
            looking.manager.begin()
            looking.connection.cacheMinimize()
            start = time.process_time()
            job = looking.queue[0]
            times.append(time.process_time() - start)
            if job not in looking.queue:
                raise RuntimeError(f"{job!r} does not wait")
    return statistics.median(times)


def _sort(one: Client) -> None:
    """Have all jobs read from the lanes, as dispatchers do before they hand any out."""
    more = True
    while more:
        one.manager.begin()
        with one.queue.claiming() as claim:
            more = claim.more
        one.manager.commit()
        one.connection.cacheGC()
