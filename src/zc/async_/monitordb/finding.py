"""Finds jobs by their states and by filters, however many there are.

Numbers of whole states are known without a look at jobs. Filters that look into jobs read them in
batches, each asked of the storage at once, and drop what was read from memory after each.
"""

import datetime
import heapq
import itertools
from collections.abc import Container, Iterable, Iterator
from typing import Any, Unpack

import zc.async_.clock
from zc.async_ import utils
from zc.async_.commands import BadQuestionError
from zc.async_.commands.words import quoted
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED
from zc.async_.job import is_failure
from zc.async_.monitordb.filtering import Filters, check_filters, oldest_of, tests_of
from zc.async_.monitordb.reading import (
    Place,
    check_uuid,
    is_readable,
    places_of,
    prefetch,
    queues_of,
    reading,
)
from zc.async_.monitordb.taking import Takers
from zc.async_.queue import serving, waiting_in_batches
from zc.twist.showing import show

#: Jobs that are read at once, and that are dropped from memory together. The first batches are
#: smaller: often the first job is all that is wanted.
BATCH = 256

#: The states of jobs that agents have, by the names that questions use.
CLAIMED = {"assigned": ASSIGNED, "active": ACTIVE, "callbacks": CALLBACKS}
#: Of these, one may be asked for.
ENDED = ("completed", "succeeded", "failed")
STATES = ("pending", *CLAIMED, *ENDED)


class Search:
    """The jobs of a database that some filters leave. Belongs to the owner of the connection."""

    def __init__(self, context: Any, **filters: Unpack[Filters]) -> None:
        """Raises `NotThereError` for a queue or dispatcher that is not there.

        And TypeError for what is no filter.
        """
        check_filters(filters)
        self._connection = utils.connection_of(context)
        self.now = zc.async_.clock.now()
        self._queues = queues_of(self._connection, filters.get("queue"))
        self._agent = filters.get("agent")
        self._uuid = filters.get("uuid")
        check_uuid(self._queues, self._uuid)
        self._tests = list(tests_of(filters, self.now))
        self._oldest = oldest_of(filters, self.now)

    # -- numbers

    def count(self, states: set[str]) -> int:
        """How many jobs are in some states."""
        number = 0
        ended = states.intersection(ENDED)
        for name, queue in self._queues:
            places = self._places(name, queue)
            if "pending" in states:
                number += self._count_pending(name, queue, places)
            number += sum(1 for _job in self._claimed(places, states))
            number += sum(self._count_ended(places, state) for state in ended)
        return number

    def _count_pending(self, name: str, queue: Any, places: list[Place]) -> int:
        takers = self._takers(places)
        all_are_taken = takers is None or (
            takers.take_what_needs_nothing and not serving.may_need_labels(queue)
        )
        if self._tests or not all_are_taken:
            return sum(1 for _job in self._pending(name, queue, takers))
        with reading(f"queue {show(name)}"):
            return len(queue)

    def _count_ended(self, places: list[Place], state: str) -> int:
        if state != "completed" or self._tests:
            return sum(1 for place in places for _job in self._ended_of(place, state))
        number = 0
        for place in places:
            with reading(place):
                number += len(place.agent.completed) + len(_unfiled(place))
        return number

    # -- jobs

    def jobs(self, states: set[str], in_order: bool = True) -> Iterator[Any]:
        """The jobs in some states: queue by queue, those that wait, that agents have, that ended.

        `in_order`: completed ones the newest first, though several agents had them.
        """
        ended = states.intersection(ENDED)
        for name, queue in self._queues:
            places = self._places(name, queue)
            if "pending" in states:
                yield from self._pending(name, queue, self._takers(places))
            yield from self._claimed(places, states)
            for state in ended:
                yield from self._ended(places, state, in_order)

    def first_pending(self) -> Iterator[Any]:
        """The first of the waiting jobs of each queue."""
        for name, queue in self._queues:
            takers = self._takers(self._places(name, queue))
            yield from itertools.islice(self._pending(name, queue, takers), 1)

    def newest_completed(self) -> Any:
        """The job that completed last, or None."""
        places = [place for name, queue in self._queues for place in self._places(name, queue)]
        return next(self._ended(places, "completed", True), None)

    def _places(self, name: str, queue: Any) -> list[Place]:
        return places_of(name, queue, self._agent, self._uuid)

    def _accepts(self, job: Any) -> bool:
        return all(test(job) for test in self._tests)

    def _pending(self, name: str, queue: Any, takers: Takers | None) -> Iterator[Any]:
        """The waiting jobs. `takers`: see `_takers`."""
        if takers is not None and not takers:
            return
        for batch in self._in_batches(f"queue {show(name)}", waiting_in_batches(queue, BATCH)):
            for job in batch:
                if self._accepts(job) and (takers is None or takers.take(job)):
                    yield job

    def _in_batches(self, what: object, batches: Iterator[list[Any]]) -> Iterator[list[Any]]:
        """Lists of jobs, which are dropped from memory when so many have been looked at."""
        kept = 0
        while True:
            with reading(what):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch
            kept += len(batch)
            if kept >= BATCH:
                self._connection.cacheMinimize()
                kept = 0

    def _takers(self, places: list[Place]) -> Takers | None:
        """The agents that questions about waiting jobs name; None if they name none."""
        return None if self._agent is None and self._uuid is None else Takers(places)

    def _claimed(self, places: list[Place], states: set[str]) -> Iterator[Any]:
        wanted = {status for state, status in CLAIMED.items() if state in states}
        for place in places if wanted else ():
            for job in _in_books(place, wanted):
                if not job.is_suspended() and self._accepts(job):
                    yield job

    def _ended(self, places: list[Place], state: str, in_order: bool) -> Iterator[Any]:
        sources = [self._ended_of(place, state) for place in places]
        if not in_order:
            return itertools.chain.from_iterable(sources)
        return heapq.merge(*sources, key=_when, reverse=True)

    def _ended_of(self, place: Place, state: str) -> Iterator[Any]:
        """The completed jobs of an agent, the newest first."""
        for batch in self._in_batches(place, self._history(place)):
            for job in batch:
                if is_readable(job) and _has_ended(job, state) and self._accepts(job):
                    yield job

    def _history(self, place: Place) -> Iterator[list[Any]]:
        completed = place.agent.completed
        oldest = self._oldest
        jobs = iter(completed) if oldest is None else completed.iter(None, oldest)
        yield _unfiled(place)
        size = 1
        while batch := list(itertools.islice(jobs, size)):
            size = min(2 * size, BATCH)
            prefetch(batch)
            yield batch


def _when(job: Any) -> datetime.datetime:
    """When a completed job was so."""
    return job.initial_callbacks_end or datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _in_books(place: Place, statuses: Container[str]) -> list[Any]:
    """The jobs of some statuses in the books that dispatchers keep of an agent."""
    with reading(place):
        books = place.agents.known_books(place.name)
        jobs = () if books is None else books.running.jobs
        return [job for job in jobs if is_readable(job) and job.status in statuses]


def _unfiled(place: Place) -> list[Any]:
    """The jobs that have completed, and that no poll has put into the history yet."""
    return sorted(_in_books(place, {COMPLETED}), key=_when, reverse=True)


def _has_ended(job: Any, state: str) -> bool:
    if job.status != COMPLETED:
        return False
    return state == "completed" or is_failure(job.result) == (state == "failed")


def check_states(states: Iterable[str]) -> set[str]:
    """The names of states that a question gives. Raises `BadQuestionError`."""
    found = set(states)
    unknown = sorted(found.difference(STATES))
    if unknown:
        raise BadQuestionError(f"{quoted(unknown[0])} is no state: give {', '.join(STATES)}")
    if not found:
        raise BadQuestionError(f"give the states that jobs may be in: {', '.join(STATES)}")
    if len(found.intersection(ENDED)) > 1:
        raise BadQuestionError(
            f"give one of {', '.join(ENDED)}: completed jobs are those that succeeded or failed"
        )
    return found
