"""What a queue in PostgreSQL costs, by RelStorage: puts, jobs, and how soon one begins."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import beside_raw, client, per_second, raw_rate
from benchmarks.figures import Figure, at_least, at_most, rate
from benchmarks.jobs import nothing
from benchmarks.measures import drain, lone
from benchmarks.scale import Scale
from benchmarks.storages import relstorage_database
from benchmarks.workers import SIZE, wait_until, worker_processes

#: Worker processes.
WORKERS = 2


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Rates as ratios to the raw one, and the latency in raw commits."""
    with relstorage_database(folder) as (server, database):
        yield _put(database, scale)
        yield _drain(server, folder, database, scale)
        yield from _lone(server, folder, database, scale)
        yield from _put_beside(server, folder, database, scale)


def _put(database: Any, scale: Scale) -> Figure:
    with client(database) as one:
        one.put(nothing)
        measured = beside_raw(
            database, scale.stretch, lambda: per_second(lambda: one.put(nothing), scale.stretch)
        )
    return rate("put, RelStorage", *measured, at_least(0.55), "1 in a transaction")


def _put_beside(server: Any, folder: Path, database: Any, scale: Scale) -> Iterator[Figure]:
    """While a dispatcher in another process is at work all the time.

    Leaves jobs in the queue: to wait for them would take longer than the rates stay the same.
    """
    (busy, taking_in), raw = beside_raw(
        database, scale.stretch, lambda: _busy(server, folder, database, scale)
    )
    note = f"1 x {SIZE} workers at work in another process"
    name = "put beside a busy dispatcher, RelStorage"
    yield rate(name, busy, raw, at_least(0.65), note)
    name = "put while it takes in many jobs, RelStorage"
    yield rate(name, taking_in, raw, None, f"{scale.drain} put at once just before")


def _busy(server: Any, folder: Path, database: Any, scale: Scale) -> tuple[float, float]:
    """Puts a second once the dispatcher has taken in many jobs, and while it does."""
    with worker_processes(server, _place(folder, "busy"), 1), client(database) as one:
        with client(database) as other:
            other.put(nothing, scale.drain)
        one.wait_for_history(SIZE, drain.PATIENCE, drain.INTERVAL)
        while_taking_in = per_second(lambda: one.put(nothing), scale.stretch)
        wait_until(lambda: not one.unread(), drain.PATIENCE, drain.INTERVAL)
        while_busy = per_second(lambda: one.put(nothing), 2 * scale.stretch)
    return while_busy, while_taking_in


def _drain(server: Any, folder: Path, database: Any, scale: Scale) -> Figure:
    workers = worker_processes(server, _place(folder, "drain"), WORKERS)
    measured = beside_raw(
        database, scale.stretch, lambda: drain.drain_with(workers, database, scale)
    )
    name = f"drain, RelStorage, {WORKERS} x {SIZE} workers"
    return rate(name, *measured, at_least(0.60), "1 job in a transaction")


def _lone(server: Any, folder: Path, database: Any, scale: Scale) -> Iterator[Figure]:
    commit = 1000 / raw_rate(database, scale.stretch)
    with worker_processes(server, _place(folder, "lone"), 1), client(database) as one:
        lone.run(one, 1)
        latencies = lone.run(one, scale.lone)
    middle = statistics.median(latencies)
    note = f"p50 {middle:.2f} ms, a raw commit {commit:.2f} ms"
    yield Figure("latency, RelStorage", middle / commit, "commits", required=at_most(6), note=note)
    yield from lone.figures("RelStorage", latencies, None)


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place
