"""Jobs that would wait for each other for ever, each for a place that the other one keeps.

A job that waits for others keeps its places (see `zc.async_.job.yielding`). So two composed jobs
may each have the place that a part of the other one needs. Then one of them has to give up its
place, as a job does if the one for which it waits needs a place in the same quota. Those that need
this place for their end get it before others, which might only have to give it up again.

Only jobs of one queue are seen: each queue has quotas of its own.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import COMPLETED, PENDING
from zc.async_.job import yielding
from zc.async_.queue.limited import Index, indices
from zc.async_.queue.needing import all_needing

#: Jobs that have places, by the names of quotas.
Holders = dict[str, list[Any]]

#: Of a job that waits: by the names of quotas, the waiting jobs that need a place for its end.
Needed = dict[str, list[Any]]

#: How many jobs one look loads. Where there are more, the next looks go on.
LIMIT = 2000
#: How many of them for each job that waits, at least.
LEAST = 20


def break_up(queue: Any) -> list[tuple[Any, str]]:
    """Have jobs give up places until no job waits for ever; return the jobs, and names of quotas.

    Of those that wait for each other, the one that was put last gives up its place.
    """
    holders = _held_by_waiting_jobs(queue)
    if len(holders) < 2:
        # Within one quota, a job does not keep a place that others need for its end.
        queue._v_looked_for_deadlocks = None
        return []
    waits = _waits(queue, holders)
    given_up = []
    while holders := _in_a_circle(holders, waits):
        places = [(job, name) for name, jobs in holders.items() for job in jobs]
        job, name = max(places, key=_last_put)
        yielding.release(job, yielding.give_up(job, {name}))
        given_up.append((job, name))
        for needed in [waits[other].get(name, ()) for jobs in holders.values() for other in jobs]:
            _bring_forward(queue, needed)
        # (A quota that was made smaller may still have more jobs than places.)
        holders[name].remove(job)
        if len(holders[name]) < queue.quotas[name].size:
            # There is a free place now.
            del holders[name]
    return given_up


def _bring_forward(queue: Any, jobs: Iterable[Any]) -> None:
    """Have jobs that wait come before the others."""
    for job in jobs:
        if not job.was_put_back:
            job.go_to_front()
            queue.file_again(job)


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


def _held_by_waiting_jobs(queue: Any) -> Holders:
    """The jobs that have places in quotas for which jobs wait, if all of these jobs wait, too."""
    holders: Holders = {}
    for name in {name for index in _indexes(queue.backlog) for name, _count in index.holders()}:
        quota = queue.quotas.get(name)
        jobs = [] if quota is None else list(quota)
        if jobs and len(jobs) >= quota.size and all(job.waits_for_result() for job in jobs):
            holders[name] = jobs
    return holders


def _waits(queue: Any, holders: Holders) -> dict[Any, Needed]:
    """What each of the jobs waits for, as far as looks have found it."""
    jobs = list(dict.fromkeys(job for jobs in holders.values() for job in jobs))
    before = queue._v_looked_for_deadlocks or {}
    looks = {job: before.get(job) or _Look(queue, job) for job in jobs}
    queue._v_looked_for_deadlocks = looks
    limit = max(LEAST, LIMIT // len(jobs))
    return {job: look.go_on(holders, limit) for job, look in looks.items()}


class _Look:
    """Finds the jobs in the queue for which a job waits, by the quotas that they name.

    A job may have ten thousand parts, most of which have ended. So it takes several looks to load
    them. What was found is kept, and looked at again each time.
    """

    def __init__(self, queue: Any, job: Any) -> None:
        self._queue = queue
        self._job = job
        self._left = _awaited_by(job)
        self._found: list[Any] = []

    def go_on(self, holders: Holders, limit: int) -> Needed:
        """Load some more jobs; return those that need places in quotas that `holders` have."""
        known = {id(job) for job in self._found}
        for _number in range(limit):
            job = next(self._left, self)
            if job is self:
                self._left = _awaited_by(self._job)
                break
            if job is not None and id(job) not in known and self._is_kept_back(job, holders):
                self._found.append(job)
        self._found = [job for job in self._found if self._is_kept_back(job, holders)]
        needed: Needed = {}
        for job in self._found:
            for name in job.quota_names:
                if name in holders:
                    needed.setdefault(name, []).append(job)
        return needed

    def _is_kept_back(self, job: Any, holders: Holders) -> bool:
        def ask() -> bool:
            return bool(
                job.status == PENDING
                and job.queue is self._queue
                and job.is_due(zc.async_.clock.microseconds())
                and not holders.keys().isdisjoint(job.quota_names)
            )

        return _ask(ask, False)


def _awaited_by(job: Any) -> Iterator[Any]:
    """The jobs for which a job waits, also through others.

    None for one that is of no interest, so that whoever takes few of them does not load many.
    """
    left = collections.deque(yielding.awaited_by(job))
    seen = set()
    while left:
        awaited = left.popleft()
        if awaited._p_oid in seen:
            continue
        seen.add(awaited._p_oid)
        below = _ask(_open_below, None, awaited)
        left.extend(below or ())
        yield None if below is None else awaited


def _open_below(job: Any) -> list[Any] | None:
    """What a job waits for itself; None if it has ended."""
    return None if job.status == COMPLETED else yielding.awaited_by(job)


def _ask(question: Callable[..., Any], default: Any, *args: Any) -> Any:
    """The answer to a question about a job; `default` if that cannot be read."""
    try:
        return question(*args)
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # It is logged where it should run.
        return default


def _in_a_circle(holders: Holders, waits: dict[Any, Needed]) -> Holders:
    """The quotas whose jobs wait for each other, and for nothing that can come."""
    while True:
        left = {
            name: jobs
            for name, jobs in holders.items()
            if all(waits[job].keys() & holders.keys() for job in jobs)
        }
        needed = {name for jobs in left.values() for job in jobs for name in waits[job]}
        left = {name: jobs for name, jobs in left.items() if name in needed}
        if len(left) == len(holders):
            return left
        holders = left
