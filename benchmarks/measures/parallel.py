"""Whether parallel jobs get in each other's way.

More of them are begun than the only agent has places. If one kept its place while it waits for its
parts, the parts would never get one.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clients import client
from benchmarks.figures import Figure, Requirement
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from benchmarks.workers import local_dispatcher, wait_until
from zc.async_.interfaces import COMPLETED
from zc.async_.job import parallel

#: Parallel jobs at once, and parts of each.
JOBS = 12
PARTS = 3

#: Seconds in which they must have ended.
PATIENCE = 90


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """How many of the jobs ended."""
    with (
        file_database(folder) as database,
        local_dispatcher(database, size=1),
        client(database) as one,
    ):
        jobs = [one.queue.put(parallel(*[nothing] * PARTS)) for _ in range(JOBS)]
        one.manager.commit()

        def ended() -> int:
            one.manager.begin()
            return sum(job.status == COMPLETED for job in jobs)

        with contextlib.suppress(TimeoutError):
            wait_until(lambda: ended() == JOBS, PATIENCE, 0.05)
        yield Figure(
            "parallel jobs on 1 worker that ended",
            ended(),
            "jobs",
            required=Requirement("value", at_least=JOBS),
            note=f"of {JOBS} begun before their parts",
        )
