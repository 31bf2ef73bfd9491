"""What a callback costs among few and among many of one job, in processor time."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Times of a callback, and the ratio."""
    times = {}
    with file_database(folder) as database, client(database) as one:
        _each(one, scale.few_callbacks)
        for count in (scale.few_callbacks, scale.many_callbacks):
            times[count] = _each(one, count)
            yield Figure(f"callback, 1 of {count:,}", times[count] * 1000, "ms")
    ratio = times[scale.many_callbacks] / times[scale.few_callbacks]
    name = f"callback, {scale.many_callbacks:,} to {scale.few_callbacks:,}"
    yield Figure(name, ratio, "x", required=at_most(1.5))


def _each(one: Client, count: int) -> float:
    """Seconds for one."""
    job = Job(str)
    one.connection.root()[f"with {count}"] = job
    for _number in range(count):
        job.addCallback(str)
    one.manager.commit()
    start = time.process_time()
    job()
    taken = time.process_time() - start
    if job.status != COMPLETED:
        raise RuntimeError(f"{job!r} is {job.status}")
    return taken / count
