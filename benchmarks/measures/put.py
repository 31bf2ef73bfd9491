"""How fast one client puts jobs, while nobody takes them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, beside_raw, client, per_second
from benchmarks.figures import Figure, Requirement, at_least, rate
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database, zeo_database


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Rates of puts, one in a transaction and many."""
    (folder / "file").mkdir()
    with file_database(folder / "file") as database:
        yield from _rates("FileStorage", database, scale, at_least(0.55))
    with zeo_database(folder) as (_server, database):
        yield from _rates("ZEO", database, scale, at_least(0.65))


def _rates(storage: str, database: Any, scale: Scale, required: Requirement) -> Iterator[Figure]:
    with client(database) as one:
        one.put(nothing)
        singly = beside_raw(
            database, scale.stretch, lambda: per_second(lambda: one.put(nothing), scale.stretch)
        )
        yield rate(f"put, {storage}", *singly, required, "1 in a transaction")
        together = beside_raw(database, scale.stretch, lambda: _batches(one, scale))
        yield rate(f"put many, {storage}", *together, None, f"{scale.batch} in a transaction")


def _batches(one: Client, scale: Scale) -> float:
    """Jobs a second."""
    start = time.perf_counter()
    for _ in range(scale.batches):
        one.put(nothing, scale.batch)
    return scale.batches * scale.batch / (time.perf_counter() - start)
