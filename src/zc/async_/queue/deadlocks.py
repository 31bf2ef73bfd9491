"""Jobs that would wait for each other for ever, each for a place that the other one keeps.

A job that waits for others keeps its places (see `zc.async_.job.yielding`). So two composed jobs
may each have the place that a part of the other one needs. Then one of them has to give up its
place, as a job does if the one for which it waits needs a place in the same quota.

Only jobs of one queue are seen: each queue has quotas of its own.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from zc.async_ import utils
from zc.async_.interfaces import PENDING
from zc.async_.job import yielding
from zc.async_.queue.limited import Index, indices
from zc.async_.queue.needing import all_needing

#: Jobs that have places, by the names of quotas.
Holders = dict[str, list[Any]]

#: How many of the jobs that wait for a place in a quota are looked at.
LIMIT = 1000


def break_up(queue: Any) -> list[tuple[Any, str]]:
    """Have jobs give up places until no job waits for ever; return the jobs, and names of quotas.

    Of those that wait for each other, the one that was put last gives up its place.
    """
    indexes = list(_indexes(queue.backlog))
    holders = _held_by_waiting_jobs(queue, indexes)
    if len(holders) < 2:
        # Within one quota, a job does not keep a place that others need for its end.
        return []
    waits = _waits(queue, indexes, holders)
    given_up = []
    while holders := _in_a_circle(holders, waits):
        places = [(job, name) for name, jobs in holders.items() for job in jobs]
        job, name = max(places, key=_last_put)
        yielding.release(job, yielding.give_up(job, {name}))
        given_up.append((job, name))
        # There is a free place now.
        del holders[name]
    return given_up


def _last_put(place: tuple[Any, str]) -> tuple[int, bytes, str]:
    job, name = place
    return job.arrival_key or job.entry_key, job._p_oid, name


def _indexes(backlog: Any) -> Iterator[Index]:
    """Where jobs are parked under quotas."""
    for _key, index in indices(backlog):
        yield index
    for _refusals, needing in all_needing(backlog):
        for needs in needing.sets():
            yield needing.part(needs)


def _held_by_waiting_jobs(queue: Any, indexes: list[Index]) -> Holders:
    """The jobs that have places in quotas for which jobs wait, if all of these jobs wait, too."""
    holders: Holders = {}
    for name in {name for index in indexes for name, _count in index.holders()}:
        quota = queue.quotas.get(name)
        jobs = [] if quota is None else list(quota)
        if jobs and len(jobs) >= quota.size and all(job.waits_for_result() for job in jobs):
            holders[name] = jobs
    return holders


def _waits(queue: Any, indexes: list[Index], names: Iterable[str]) -> dict[Any, set[str]]:
    """Of each job that waits, the quotas in which places are needed for its end."""
    waits: dict[Any, set[str]] = {}
    for name in names:
        parked = (
            job
            for index in indexes
            for _head, pile in index.under(name)
            for job in pile.jobs.values()
        )
        for job in itertools.islice(parked, LIMIT):
            for waiter in _above(queue, job):
                waits.setdefault(waiter, set()).add(name)
    return waits


def _above(queue: Any, job: Any) -> list[Any]:
    """The jobs that wait for one that is in the queue."""
    try:
        is_in_queue = job.status == PENDING and job.queue is queue
        return list(yielding.all_waiters(job)) if is_in_queue else []
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # It cannot be read. That is logged where it should run.
        return []


def _in_a_circle(holders: Holders, waits: dict[Any, set[str]]) -> Holders:
    """The quotas whose jobs wait for each other, and for nothing that can come."""
    while True:
        left = {
            name: jobs
            for name, jobs in holders.items()
            if all(waits.get(job, set()) & holders.keys() for job in jobs)
        }
        needed = {name for jobs in left.values() for job in jobs for name in waits[job]}
        left = {name: jobs for name, jobs in left.items() if name in needed}
        if len(left) == len(holders):
            return left
        holders = left
