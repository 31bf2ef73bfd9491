"""What a claim costs when many jobs wait that cannot run.

The many wait for a quota of size 0; or they need labels that nobody here has, a thousand different
ones. Behind them a job is put that can run, and the transaction that claims it is timed: begin,
claim and commit, of a connection that has claimed before.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from zc.async_.job import Job

#: Jobs put in one transaction.
BATCH = 2000

#: Different labels that jobs need.
SETS = 1000


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Times of a claim, and the ratios."""
    for name, which, block in (
        ("blocked jobs", "", _by_quota),
        ("jobs for others", ", for others", _by_needs),
    ):
        times = {}
        for count in (scale.few_blocked, scale.many_blocked):
            place = folder / f"{name} {count}"
            place.mkdir()
            with file_database(place) as database:
                times[count] = _time(database, block, count, scale.claims)
            yield Figure(f"claim, {count:,} {name}", times[count] * 1000, "ms")
        ratio = times[scale.many_blocked] / times[scale.few_blocked]
        yield Figure(
            f"claim, {scale.many_blocked:,} to {scale.few_blocked:,}{which}",
            ratio,
            "x",
            required=at_most(3),
        )


def _time(database: Any, block: Callable[[Job, int], None], count: int, claims: int) -> float:
    """The median in seconds."""
    with client(database) as putter, client(database) as claimer:
        _fill(putter, block, count)
        _sort(claimer)
        times = [_claim(putter, claimer) for _ in range(claims + 1)]
    # The first one warms the cache.
    return statistics.median(times[1:])


def _by_quota(job: Job, number: int) -> None:
    job.quota_names = ["none"]


def _by_needs(job: Job, number: int) -> None:
    job.needs = [f"label-{number % SETS}"]


def _fill(putter: Client, block: Callable[[Job, int], None], count: int) -> None:
    putter.queue.quotas.create("none", 0)
    for start in range(0, count, BATCH):
        for number in range(start, min(start + BATCH, count)):
            job = Job(nothing)
            block(job, number)
            putter.queue.put(job)
        putter.manager.commit()
        # Or this one connection would keep all jobs in memory until it ends.
        putter.connection.cacheGC()


def _sort(claimer: Client) -> None:
    """Have claims see all jobs, as dispatchers would have long done."""
    size = -1
    # A claim that finds nothing new writes nothing.
    while size < (size := claimer.connection.db().getSize()):
        claimer.manager.begin()
        if claimer.queue.claim() is not None:
            raise RuntimeError("a job was claimed that cannot run")
        claimer.manager.commit()
        claimer.connection.cacheGC()


def _claim(putter: Client, claimer: Client) -> float:
    (job,) = putter.put(nothing)
    start = time.perf_counter()
    claimer.manager.begin()
    claimed = claimer.queue.claim()
    claimer.manager.commit()
    taken = time.perf_counter() - start
    if claimed is None or claimed._p_oid != job._p_oid:
        raise RuntimeError(f"{claimed!r} was claimed instead of {job!r}")
    return taken
