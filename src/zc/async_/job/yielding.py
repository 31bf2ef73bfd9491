"""Which places in quotas a job gives up while it waits for other jobs.

A job that waits keeps its places: so with a quota of one, composed jobs really run one after the
other. But it gives up its place in a quota that a job names for which it waits, since that job
could never begin otherwise. A place that was given up does not come back: another job may have it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import zc.async_.interfaces
from zc.async_.interfaces import COMPLETED

_COMPOSED = frozenset(f"zc.async_.job:{name}" for name in ("run_serial", "run_parallel"))
_PART_ENDED = frozenset(
    f"zc.async_.job:{name}" for name in ("serial_part_ended", "parallel_part_ended")
)


def names_awaited(jobs: Iterable[Any]) -> set[str]:
    """The quotas that jobs name, or those that they wait for or are composed of."""
    names: set[str] = set()
    seen = set()
    left = [job for job in jobs if _is_job(job)]
    while left:
        job = left.pop()
        if id(job) in seen or job.status == COMPLETED:
            continue
        seen.add(id(job))
        names.update(job.quota_names)
        left += awaited_by(job)
    return names


def awaited_by(job: Any) -> list[Any]:
    """The jobs that a job waits for itself, or is composed of; ended ones, too. Loads none."""
    found = [job.awaited_job, job.returned_job]
    if job.stored_callable in _COMPOSED:
        found += (*job.stored_args, job.stored_kwargs.get("postprocess"))
    return [awaited for awaited in found if _is_job(awaited)]


def _is_job(value: Any) -> bool:
    # By its class: other objects need not be loaded for this.
    return bool(zc.async_.interfaces.IJob.implementedBy(type(value)))


def begin_to_wait(job: Any) -> None:
    """Note the places that a job gives up when it begins to wait for another.

    Jobs that wait for this one give up theirs in a transaction of its own, which sees all of them:
    some may have come meanwhile.
    """
    parts = job.stored_args if job.stored_callable in _COMPOSED else ()
    names = names_awaited((job.awaited_job, *parts))
    if job.quota_names:
        job.given_up_places = ()
        give_up(job, names)
    queue = job.queue if names else None
    if queue is not None:
        queue.put(job.make_system_job(job.noteAwaited))


def note_above(job: Any, names: Iterable[str] | None = None) -> None:
    """Have all jobs that wait for a job give up their places in the quotas that it needs.

    `names`: those quotas; by default the ones that it and the jobs name for which it waits.
    """
    names = names_awaited([job]) if names is None else set(names)
    for waiter in all_waiters(job) if names else ():
        release(waiter, give_up(waiter, names))


def note_started(composed: Any, part: Any) -> None:
    """Note that a part of a composed job was put into its queue; it may have been added late."""
    if composed.waits_for_result():
        names = names_awaited([part])
        release(composed, give_up(composed, names))
        note_above(composed, names)


def all_waiters(job: Any) -> Iterator[Any]:
    """The jobs that wait for a job, or for one that does."""
    left = list(_waiters(job))
    seen = set()
    while left:
        waiter = left.pop()
        if id(waiter) in seen:
            continue
        seen.add(id(waiter))
        if waiter.waits_for_result():
            yield waiter
            left += _waiters(waiter)


def _waiters(job: Any) -> Iterator[Any]:
    """The jobs that a job is part of, or that returned it."""
    if job.part_of_tally is not None:
        tally = job.part_of_tally[0]
        while hasattr(tally, "above"):
            tally = tally.above
        yield tally.composed
    for callback in job.callbacks_from(0):
        stored = getattr(callback, "stored_callable", None)
        if isinstance(stored, tuple) and stored[1] == "receiveResult":
            yield stored[0]
        elif stored in _PART_ENDED:
            yield callback.stored_args[0]


def give_up(job: Any, names: set[str]) -> list[str]:
    """Note which of its places a job gives up; return the names that are new.

    `release` then frees them.
    """
    before = job.given_up_places
    if before is None:
        # It has no places.
        return []
    new = [name for name in job.quota_names if name in names and name not in before]
    if new:
        job.given_up_places = (*before, *new)
    return new


def release(job: Any, names: Iterable[str]) -> None:
    """Take a job that needs no place any more out of quotas, so that claims see free places."""
    queue = job.queue if names else None
    if queue is None:
        return
    for name in names:
        quota = queue.quotas.get(name)
        if quota is not None:
            quota.release([job])
