"""Questions about jobs, by their states and by filters.

`context` is a connection or a persistent object. States are 'pending', 'assigned', 'active',
'callbacks', and one of 'completed', 'succeeded' and 'failed'. `Filters` are explained there.

All functions raise `BadQuestionError` for states and filters that cannot be, and `NotThereError`
for a queue or a dispatcher that is not there. Numbers of whole states (`count` without filters but
`queue`, `agent` and `uuid`), `nextpending` and `lastcompleted` cost little, however many jobs there
are. What looks into many jobs drops unmodified objects from the memory of the connection meanwhile.

Jobs that wait for the result of another job are nobody's, and are not found. Completed ones are
found as long as agents keep them: seven to eight days.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Unpack

from zc.async_.commands import BadQuestionError
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, PENDING
from zc.async_.job import is_failure
from zc.async_.monitordb import single
from zc.async_.monitordb.filtering import Filters
from zc.async_.monitordb.finding import Search, check_states
from zc.twist.showing import show

_COUNTED = {PENDING: "pending", ASSIGNED: "assigned", ACTIVE: "active", CALLBACKS: "callbacks"}


def jobs(
    context: Any,
    *states: str,
    display: str = "default",
    count: int | None = None,
    **filters: Unpack[Filters],
) -> list[Any]:
    """The jobs in some states that filters leave.

    Queue by queue: those that wait, in their order; those that agents have; completed ones, the
    newest first.

    Args:
        display: what is told of each: 'default', a pair of oid and database name; 'repr';
            'details', as `zc.async_.monitordb.job` tells it.
        count: how many at most; None for all.
    """
    return list(iter_jobs(context, *states, display=display, count=count, **filters))


def iter_jobs(
    context: Any,
    *states: str,
    display: str = "default",
    count: int | None = None,
    **filters: Unpack[Filters],
) -> Iterator[Any]:
    """As `jobs`, one after the other."""
    wanted = check_states(states)
    _check_display(display)
    search = Search(context, **filters)
    for job in itertools.islice(search.jobs(wanted), count):
        yield single.shown(job, display, search.now)


def count(context: Any, *states: str, **filters: Unpack[Filters]) -> int:
    """How many jobs are in some states, of those that filters leave."""
    return Search(context, **filters).count(check_states(states))


def jobstats(
    context: Any, *states: str, display: str = "default", **filters: Unpack[Filters]
) -> dict[str, Any]:
    """Figures of the jobs in some states that filters leave. Looks into all of them.

    Args:
        display: what is told of a job, as of `jobs`.

    Returns a dict:
        'pending', 'assigned', 'active', 'callbacks', 'succeeded', 'failed': numbers.
        'longest wait', 'shortest wait' (until the start of a job, or until now), 'longest active',
        'shortest active' (from its start until its result was known, or until now): pairs of a
        timedelta and the job; None if there is none.
    """
    wanted = check_states(states)
    _check_display(display)
    search = Search(context, **filters)
    result: dict[str, Any] = dict.fromkeys((*_COUNTED.values(), "succeeded", "failed"), 0)
    extremes = {kind: _Extremes() for kind in ("wait", "active")}
    for job in search.jobs(wanted, in_order=False):
        result[_COUNTED.get(job.status) or _outcome(job)] += 1
        extremes["wait"].see(single.wait(job, search.now), job)
        extremes["active"].see(single.active(job, search.now), job)
    for kind, seen in extremes.items():
        for name, pair in (("shortest", seen.least), ("longest", seen.most)):
            told = None
            if pair is not None:
                told = (pair[0], single.shown(pair[1], display, search.now))
            result[f"{name} {kind}"] = told
    return result


class _Extremes:
    """The least and the most of some durations, with their jobs."""

    least: tuple[Any, Any] | None = None
    most: tuple[Any, Any] | None = None

    def see(self, duration: Any, job: Any) -> None:
        if duration is None:
            return
        if self.least is None or duration < self.least[0]:
            self.least = duration, job
        if self.most is None or duration > self.most[0]:
            self.most = duration, job


def _outcome(job: Any) -> str:
    return "failed" if is_failure(job.result) else "succeeded"


def nextpending(context: Any, **filters: Unpack[Filters]) -> dict[str, Any] | None:
    """The first of the waiting jobs that filters leave, as `job` tells it; None if there is none.

    Of several queues, the one that was to begin first.
    """
    search = Search(context, **filters)
    found = min(search.first_pending(), key=lambda job: job.begin_after, default=None)
    return None if found is None else single.summary(found, search.now)


def lastcompleted(context: Any, **filters: Unpack[Filters]) -> dict[str, Any] | None:
    """The job that completed last of those that filters leave, as `job` tells it, or None."""
    search = Search(context, **filters)
    found = search.newest_completed()
    return None if found is None else single.summary(found, search.now)


def _check_display(display: str) -> None:
    if display not in single.DISPLAYS:
        raise BadQuestionError(f"display {show(display)} is none of {', '.join(single.DISPLAYS)}")
