"""What a dispatcher writes while there is nothing to do.

All that an idle dispatcher does comes with time: polls, of which some ping. So the time is made to
pass faster for it: the clock of zc.async and the poll interval are speeded up together, and minutes
are over in seconds with as many polls and pings as otherwise.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import zc.async_.clock
from benchmarks.figures import Figure
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from benchmarks.workers import local_dispatcher

#: How many times faster the time passes. A poll takes under a millisecond, polls are still 83 ms
#: apart.
SPEED = 60

#: Seconds between polls by default.
POLL_INTERVAL = 5


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Bytes written in a minute."""
    with (
        file_database(folder) as database,
        _fast_clock(),
        local_dispatcher(database, poll_interval=POLL_INTERVAL / SPEED),
    ):
        before = database.getSize()
        time.sleep(scale.idle_minutes * 60 / SPEED)
        written = (database.getSize() - before) / scale.idle_minutes
    yield Figure(
        "idle dispatcher", written, "bytes/min", note=f"of {scale.idle_minutes} virtual minutes"
    )


@contextlib.contextmanager
def _fast_clock() -> Iterator[None]:
    start = time.time_ns()
    zc.async_.clock.replace_source(lambda: (start + (time.time_ns() - start) * SPEED) // 1000)
    try:
        yield
    finally:
        zc.async_.clock.replace_source(None)
