"""Jobs that are put one by one, each when the one before has ended and all is quiet.

The latency is the time from the return of the putter's `commit` to the first line of the job. It
can be negative, since dispatchers hear of a commit when it is in the storage, a little earlier.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.jobs import now
from benchmarks.scale import Scale
from benchmarks.storages import file_database, zeo_database
from benchmarks.workers import SIZE, local_dispatcher, worker_processes

#: Seconds between a job's end and the next put.
PAUSE = 0.01

#: Seconds for a job.
PATIENCE = 90


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Latencies, and the bytes written for a job."""
    with file_database(folder) as database, local_dispatcher(database), client(database) as one:
        run(one, 1)
        before = database.getSize()
        latencies = run(one, scale.lone)
        written = (database.getSize() - before) / scale.lone
    yield from figures("in process", latencies, 5)
    note = "put, claim, run and bookkeeping, FileStorage"
    yield Figure("lone job, bytes", written, "bytes/job", required=at_most(2600), note=note)
    for count in (1, 2):
        place = folder / f"zeo-{count}"
        place.mkdir()
        latencies = _over_zeo(place, count, scale)
        yield from figures(f"ZEO, {count} x {SIZE} workers", latencies, 15)


def _over_zeo(folder: Path, count: int, scale: Scale) -> list[float]:
    with (
        zeo_database(folder) as (server, database),
        worker_processes(server, folder, count),
        client(database) as one,
    ):
        run(one, 1)
        return run(one, scale.lone)


def run(one: Client, count: int) -> list[float]:
    """The latencies of lone jobs in milliseconds."""
    ended = one.history()
    return [_latency(one, ended + number) for number in range(1, count + 1)]


def _latency(one: Client, ended: int) -> float:
    time.sleep(PAUSE)
    (job,) = one.put(now)
    committed = time.monotonic_ns()
    one.wait_for_history(ended, PATIENCE)
    started: int = job.result
    return (started - committed) / 1e6


def figures(where: str, latencies: list[float], longest: float | None) -> Iterator[Figure]:
    """Of latencies in milliseconds; `longest`: what their median must be at most."""
    hundredths: Any = statistics.quantiles(latencies, n=100, method="inclusive")
    note = "from commit to the job's start"
    required = None if longest is None else at_most(longest)
    yield Figure(f"latency p50, {where}", hundredths[49], "ms", None, None, required, note)
    yield Figure(f"latency p99, {where}", hundredths[98], "ms", None, None, None, note)
