"""Whether jobs that compute use all cores: pi by throwing darts.

A parallel job has parts that throw darts, and a postprocess that counts the hits. It is run by one
worker process, and by two, with one thread each. How long it takes is told by the job itself.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.clients import client
from benchmarks.figures import Figure, Requirement
from benchmarks.jobs import estimate, throw_darts
from benchmarks.scale import Scale
from benchmarks.storages import zeo_database
from benchmarks.supervised import supervised
from benchmarks.workers import wait_until
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, parallel

#: Parts of the job: enough of them for the processes to end at about the same time.
PARTS = 10

#: Seconds for the job, and between two looks at it.
PATIENCE = 300
INTERVAL = 0.25

#: How many times as fast two processes are at least, on two cores.
REQUIRED = 1.9


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """How many times as fast two processes are."""
    seconds = {}
    for processes in (1, 2):
        place = folder / f"{processes}"
        place.mkdir()
        seconds[processes] = _seconds(place, processes, scale.darts)
    yield Figure(
        "pi, 2 processes to 1",
        seconds[1] / seconds[2],
        "times",
        required=Requirement("value", at_least=REQUIRED),
        note=f"{PARTS} jobs: {seconds[1]:.2f} s, {seconds[2]:.2f} s",
    )


def _seconds(folder: Path, processes: int, darts: int) -> float:
    with (
        zeo_database(folder) as (server, database),
        supervised(server, folder, processes, threads=1),
        client(database) as one,
    ):
        parts = [Job(throw_darts, darts, seed) for seed in range(PARTS)]
        job = one.queue.put(parallel(*parts, postprocess=estimate))
        one.manager.commit()

        def ended() -> bool:
            one.manager.begin()
            return bool(job.status == COMPLETED)

        wait_until(ended, PATIENCE, INTERVAL)
        if not 3 < job.result < 3.3:
            raise RuntimeError(f"pi is {job.result}")
        return float((job.active_end - job.active_start).total_seconds())
