"""What many quotas cost, in processor time: jobs that are run, claims, and polls.

Jobs of as many quotas are compared with as many jobs of one. A claim or a poll of a queue with many
quotas, for each of which jobs wait, is compared with one of a queue with few: quotas with room, and
quotas of size 0.
"""

import contextlib
import functools
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database
from benchmarks.workers import local_dispatcher, wait_until
from zc.async_.dispatcher.plans import Plan
from zc.async_.dispatcher.polling import CACHE_SIZE, Poller
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.job import Job
from zc.async_.queue.limited import indices

#: Quotas made, or jobs put, in one transaction.
BATCH = 2000

#: How often jobs are run over one quota and over many, in turn. The medians count.
ROUNDS = 3

#: Quotas that are looked up before the first claim.
LOOKS = 1000

#: Claims, or polls, of each before those that are timed.
WARM_UP = 10

#: Seconds for all jobs of a round.
PATIENCE = 300


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Times with few and with many, and the ratios."""
    yield from _measure_runs(folder, scale.quotas)
    yield from _measure_waiting(folder, scale, "with room", 1)
    yield from _measure_waiting(folder, scale, "of size 0", 0)


# -- jobs that are run


def _measure_runs(folder: Path, count: int) -> Iterator[Figure]:
    times: dict[int, list[float]] = {1: [], count: []}
    with file_database(folder) as database, client(database) as one:
        _make_quotas(one, "of many", count, 1)
        _make_quotas(one, "of one", 1, count)
        with local_dispatcher(database):
            for _round in range(ROUNDS):
                for quotas, prefix in ((1, "of one"), (count, "of many")):
                    times[quotas].append(_run(one, prefix, quotas, count))
    for quotas in (1, count):
        seconds = statistics.median(times[quotas])
        kind = "one quota" if quotas == 1 else f"{quotas:,} quotas"
        yield Figure(f"job, {kind}", seconds / count * 1000, "ms")
    ratios = [many / alone for alone, many in zip(times[1], times[count], strict=True)]
    name = f"job, {count:,} quotas to one"
    yield Figure(name, statistics.median(ratios), "x", required=at_most(1.3))


def _run(one: Client, prefix: str, quotas: int, count: int) -> float:
    start = time.process_time()
    jobs = [_put(one, f"{prefix} {number % quotas}") for number in range(count)]
    one.manager.commit()
    # Rarely: a look costs processor time, too.
    wait_until(one.is_empty, PATIENCE, 0.1)
    taken = time.process_time() - start
    one.check(jobs)
    return taken


# -- claims and polls


def _measure_waiting(folder: Path, scale: Scale, kind: str, size: int) -> Iterator[Figure]:
    few, many = counts = scale.few_quotas, scale.many_quotas
    with contextlib.ExitStack() as stack:
        databases = {}
        clients = {}
        for count in counts:
            place = folder / f"{size}-{count}"
            place.mkdir()
            databases[count] = stack.enter_context(file_database(place))
            clients[count] = stack.enter_context(client(databases[count]))
            _fill(clients[count], count, size)
            _look_around(clients[count], count)
        claims = {count: functools.partial(_claim, clients[count], size) for count in counts}
        times = min(scale.claims, few - WARM_UP)
        yield from _compared("claim", kind, few, many, *_alternately(claims, times))
        pollers = {count: stack.enter_context(_poller(databases[count])) for count in counts}
        polls = {count: functools.partial(_poll, pollers[count]) for count in counts}
        yield from _compared("poll", kind, few, many, *_alternately(polls, scale.claims))


def _compared(
    what: str, kind: str, few: int, many: int, seconds: dict[int, float], ratio: float
) -> Iterator[Figure]:
    for count in (few, many):
        yield Figure(f"{what}, {count:,} quotas {kind}", seconds[count] * 1000, "ms")
    yield Figure(f"{what}, {many:,} to {few:,} quotas {kind}", ratio, "x", required=at_most(1.3))


def _fill(one: Client, count: int, size: int) -> None:
    """Have a job wait for each of so many quotas, in the backlog."""
    _make_quotas(one, "quota", count, size)
    for start in range(0, count, BATCH):
        for number in range(start, min(count, start + BATCH)):
            _put(one, f"quota {number}")
        one.manager.commit()
        # Or this one connection would keep all jobs in memory until it ends.
        one.connection.cacheGC()
        more = True
        while more:
            one.manager.begin()
            with one.queue.claiming() as claim:
                if not size:
                    # Finds no job, as a dispatcher with idle workers.
                    claim.next()
            more = claim.more
            one.manager.commit()
    one.connection.cacheMinimize()
    # As much in memory as dispatchers have.
    one.connection._cache.cache_size = CACHE_SIZE


def _look_around(one: Client, count: int) -> None:
    """Have in memory what a process has that has claimed for a while: the upper nodes of trees."""
    one.manager.begin()
    for number in range(0, count, max(1, count // LOOKS)):
        name = f"quota {number}"
        one.queue.quotas.get(name)
        for _key, index in indices(one.queue.backlog):
            index.pile((name,))


def _alternately(
    actions: dict[int, Callable[[], float]], times: int
) -> tuple[dict[int, float], float]:
    """The medians of what each of two returns, done in turn so often, and of the ratios.

    Machines slow down and speed up within seconds, but hardly within two of these.
    """
    for _number in range(WARM_UP):
        for action in actions.values():
            action()
    taken: dict[int, list[float]] = {count: [] for count in actions}
    for _number in range(times):
        for count, action in actions.items():
            taken[count].append(action())
    few, many = taken.values()
    ratios = [more / less for less, more in zip(few, many, strict=True)]
    medians = {count: statistics.median(seconds) for count, seconds in taken.items()}
    return medians, statistics.median(ratios)


def _claim(one: Client, size: int) -> float:
    """Seconds for a claim of one job and its commit.

    The job is that of the next quota, which was not looked at before; or one without a quota, if
    all quotas are closed.
    """
    if not size:
        one.put(nothing)
    start = time.process_time()
    one.manager.begin()
    job = one.queue.claim()
    one.manager.commit()
    taken = time.process_time() - start
    if job is None or bool(job.quota_names) is not bool(size):
        raise RuntimeError(f"{job!r} was claimed")
    return taken


@contextlib.contextmanager
def _poller(database: Any) -> Iterator[Poller]:
    poller = Poller(database, uuid.uuid4(), Listener(lambda: None))
    try:
        yield poller
    finally:
        poller.close()


def _poll(poller: Poller) -> float:
    """Seconds for a poll of a dispatcher without idle workers."""
    start = time.process_time()
    outcome = poller.poll(Plan(busy={}, lost=set(), completed={}, poll_interval=5))
    taken = time.process_time() - start
    if outcome.failed:
        raise RuntimeError("a poll failed")
    return taken


# -- both


def _make_quotas(one: Client, prefix: str, count: int, size: int) -> None:
    for start in range(0, count, BATCH):
        for number in range(start, min(count, start + BATCH)):
            one.queue.quotas.create(f"{prefix} {number}", size)
        one.manager.commit()
        one.connection.cacheGC()


def _put(one: Client, quota: str) -> Any:
    job = Job(nothing)
    job.quota_names = [quota]
    return one.queue.put(job)
