"""Filters of jobs: by what they call, and by their times."""

import datetime
import fnmatch
import uuid as uuid_module
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from zc.async_.commands.words import Span
from zc.async_.storing import callables
from zc.twist.showing import show

#: By how much the clocks of processes may differ: jobs are in the history by the time at which
#: their dispatcher saw that they had completed.
CLOCKS = datetime.timedelta(minutes=5)

#: What filters of times look at.
_TIMES = {
    "requested_start": "begin_after",
    "start": "active_start",
    "end": "active_end",
    "callbacks_completed": "initial_callbacks_end",
}


class Filters(TypedDict, total=False):
    """What jobs may be chosen by.

    `callable`: globs for what a job calls, joined by commas. One with a dot is for the whole dotted
    name, one without for the last part of it.
    `queue`, `agent`: globs for names. Of pending jobs, `agent` and `uuid` leave those whose needs
    such an agent satisfies, and that its filter would take.
    `uuid`: of a dispatcher.
    `needs`: globs for labels, joined by commas, for each of which a job needs one that fits; '' for
    jobs that need none.
    `requested_start`, `start`, `end`, `callbacks_completed`: spans of the time of `begin_after`,
    `active_start`, `active_end`, `initial_callbacks_end` of a job. One that has none is left out.
    """

    callable: str | None
    queue: str | None
    agent: str | None
    uuid: uuid_module.UUID | None
    needs: str | None
    requested_start: Span | None
    start: Span | None
    end: Span | None
    callbacks_completed: Span | None


def check_filters(filters: Filters) -> None:
    """Raise TypeError for what is no filter."""
    for key, value in filters.items():
        if key not in Filters.__annotations__:
            raise TypeError(f"there is no filter {show(key)}: see zc.async_.monitordb.Filters")
        if key in _TIMES and not (value is None or isinstance(value, Span)):
            raise TypeError(f"{key} is a zc.async_.monitordb.Span, not {show(value)}")


def tests_of(filters: Filters, now: datetime.datetime) -> Iterator[Callable[[Any], bool]]:
    """What a job has to pass to be left: each looks into it."""
    globs = filters.get("callable")
    if globs is not None:
        yield _calls(globs.split(","))
    needs = filters.get("needs")
    if needs is not None:
        yield _needs(needs.split(",") if needs else [])
    spans = {key: span for key, span in filters.items() if isinstance(span, Span)}
    for key, span in spans.items():
        yield _lies_in(span, _TIMES[key], now)


def _calls(globs: list[str]) -> Callable[[Any], bool]:
    def test(job: Any) -> bool:
        stored = job.stored_callable
        if stored is None:
            return False
        name = callables.stored_name(stored)
        bare = name.rpartition(".")[2]
        return any(fnmatch.fnmatchcase(name if "." in glob else bare, glob) for glob in globs)

    return test


def _needs(globs: list[str]) -> Callable[[Any], bool]:
    def test(job: Any) -> bool:
        if not globs:
            return not job.needs
        return all(any(fnmatch.fnmatchcase(need, glob) for need in job.needs) for glob in globs)

    return test


def _lies_in(span: Span, attribute: str, now: datetime.datetime) -> Callable[[Any], bool]:
    since, before = (_ago(interval, now) for interval in span)

    def test(job: Any) -> bool:
        moment = getattr(job, attribute)
        return (
            moment is not None
            and (since is None or moment >= since)
            and (before is None or moment <= before)
        )

    return test


def _ago(interval: datetime.timedelta | None, now: datetime.datetime) -> datetime.datetime | None:
    if interval is None:
        return None
    try:
        return now - interval
    except OverflowError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)


def oldest_of(filters: Filters, now: datetime.datetime) -> datetime.datetime | None:
    """Before this time no job can have come into the history; None if that is not known.

    What was to begin, began or ended since then has come there later.
    """
    spans = (span for span in filters.values() if isinstance(span, Span))
    starts = [_ago(span.since, now - CLOCKS) for span in spans if span.since is not None]
    return max((start for start in starts if start is not None), default=None)
