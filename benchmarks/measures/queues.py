"""What a dispatcher with many queues costs while there is nothing to do in any of them.

Time of the processor, not of the clock on the wall: the process sleeps for the most part.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import zc.async_.interfaces
from benchmarks.figures import Figure, at_most
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from benchmarks.workers import local_dispatcher
from zc.async_.subscribers import QueueInstaller

#: Seconds between polls.
POLL_INTERVAL = 1

#: Polls after which no queue is new any more.
FIRST_POLLS = 3


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """The part of one processor that is used."""
    with file_database(folder) as database:
        names = [f"queue-{number}" for number in range(scale.queues)]
        QueueInstaller(names)(zc.async_.interfaces.DatabaseOpened(database))
        with local_dispatcher(database, poll_interval=POLL_INTERVAL):
            time.sleep(FIRST_POLLS * POLL_INTERVAL)
            used, began = time.process_time(), time.monotonic()
            time.sleep(scale.idle_seconds)
            part = (time.process_time() - used) / (time.monotonic() - began)
    note = f"a poll every {POLL_INTERVAL} s"
    yield Figure(
        f"idle, {scale.queues} queues", 100 * part, "% of a core", required=at_most(3), note=note
    )
