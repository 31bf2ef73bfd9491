"""What a part of a large parallel job costs, beside a lone job."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from benchmarks.workers import local_dispatcher, wait_until
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, parallel

#: Seconds for all jobs.
PATIENCE = 300


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Times of a job, and the ratio; and what was logged."""
    records = _Records()
    with file_database(folder) as database, local_dispatcher(database), client(database) as one:
        lone = _seconds(one, [Job(nothing) for _part in range(scale.parts)])
        logging.getLogger("zc.async.events").addHandler(records)
        try:
            parts = _seconds(one, [parallel(*[nothing] * scale.parts)])
        finally:
            logging.getLogger("zc.async.events").removeHandler(records)
    name = f"parallel of {scale.parts:,}"
    yield Figure(f"{name}, per part", parts / scale.parts * 1000, "ms")
    yield Figure(f"{name}, to as many lone jobs", parts / lone, "x", required=at_most(1.3))
    yield Figure(f"{name}, log records", records.count, "records", required=at_most(0))


class _Records(logging.Handler):
    """Counts records of warnings and worse."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.count += 1


def _seconds(one: Client, jobs: list[Job]) -> float:
    start = time.perf_counter()
    for job in jobs:
        one.queue.put(job)
    one.manager.commit()

    def ended() -> bool:
        one.manager.begin()
        return jobs[-1].status == COMPLETED and one.is_empty()

    wait_until(ended, PATIENCE, 0.1)
    return time.perf_counter() - start
