"""How fast waiting jobs without work are run, each in its own transaction.

Workers are up and idle when the jobs are committed in one transaction; the time ends with the last
job.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, beside_raw, client
from benchmarks.figures import Figure, at_least, rate
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database, zeo_database
from benchmarks.workers import SIZE, local_dispatcher, wait_until, worker_processes

#: Over ZEO: processes, worker threads of each, and what is required. A client of ZEO commits one
#: transaction at a time, so that more threads do not commit faster; but a claim, too, is a commit
#: that waits for the server, and then serves more of them.
ZEO_PROCESSES = ((1, 20, None), (2, SIZE, None), (2, 20, at_least(0.45)))

#: Seconds for all jobs.
PATIENCE = 300

#: Seconds between two looks at whether all is done. Rarely: a look costs the workers' time. How
#: long it took is told by the jobs themselves.
INTERVAL = 0.25


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Rates of jobs, and bytes written for each."""
    yield from _measure_file(folder, scale)
    for count, size, bound in ZEO_PROCESSES:
        place = folder / f"zeo-{count}-{size}"
        place.mkdir()
        with zeo_database(place) as (server, database):
            workers = worker_processes(server, place, count, size)
            measured, raw = beside_raw(
                database, scale.stretch, lambda w=workers, d=database: drain_with(w, d, scale)
            )
        yield rate(f"drain, ZEO, {count} x {size} workers", measured, raw, bound)


def _measure_file(folder: Path, scale: Scale) -> Iterator[Figure]:
    sizes: list[int] = []
    with file_database(folder) as database:

        def drain() -> float:
            return drain_with(
                local_dispatcher(database),
                database,
                scale,
                lambda: sizes.append(database.getSize()),
            )

        measured, raw = beside_raw(database, scale.stretch, drain)
    yield rate(f"drain, FileStorage, {SIZE} workers", measured, raw, at_least(0.20))
    written = (sizes[1] - sizes[0]) / scale.drain
    yield Figure("drain, bytes", written, "bytes/job", note="put, claim, run and bookkeeping")


def drain_with(
    workers: "contextlib.AbstractContextManager[Any]",
    database: Any,
    scale: Scale,
    look: Callable[[], Any] = lambda: None,
) -> float:
    """Drain with workers that are started for it. `look` is called before and after."""
    # The raw rates, taken outside, are those of a single client.
    with workers, client(database) as one:
        look()
        measured = _drain(one, scale.drain)
        look()
    return measured


def _drain(one: Client, count: int) -> float:
    """Jobs a second."""
    ended_before = one.history()
    jobs = one.put(nothing, count)
    start = time.time()
    wait_until(one.is_empty, PATIENCE, INTERVAL)
    one.wait_for_history(ended_before + count, PATIENCE, INTERVAL)
    one.check(jobs)
    end = max(job.active_end for job in jobs).timestamp()
    return count / float(end - start)
