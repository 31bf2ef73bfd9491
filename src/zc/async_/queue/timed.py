"""Jobs due later, and deadlines, as one claim reads and writes them."""

import heapq
import operator
from collections.abc import Iterator
from typing import Any

from zc.async_.job import SortKey, deadline_key, later_key, postponed, time_of
from zc.async_.queue.backlog import Backlog, Tree


class Timed:
    """The jobs of a backlog that are due later, or must begin by some time.

    `now` is the time of the claim (microseconds). `limit` is the most jobs of each kind that it
    takes. Jobs added to those for later are written at once, the rest when the claim is closed.
    """

    def __init__(self, backlog: Backlog, now: int, limit: int) -> None:
        self._backlog = backlog
        self._now = now
        self._limit = limit
        #: How many entries were added to those for later.
        self._added = 0
        #: Entries to be deleted from those for later.
        self._due: list[tuple[Tree, bytes]] = []
        #: Deadlines to be added.
        self._deadlines: dict[Any, Any] = {}
        #: Whether there is more to do now than one claim does.
        self.more = False
        #: Whether anything due or overdue was written.
        self.changed = False

    def take_overdue(self) -> Iterator[tuple[SortKey, Any]]:
        """Take the overdue jobs from the deadlines, one after the other, with their keys there."""
        deadlines = self._backlog.deadlines
        overdue: list[Any] = []
        for key, job in deadlines.items():
            if time_of(key) > self._now:
                break
            if len(overdue) == self._limit:
                self.more = True
                break
            overdue.append((key, job))
        for key, job in overdue:
            del deadlines[key]
            self.changed = True
            yield key, job

    def postpone_deadline(self, key: SortKey, job: Any, delay: int) -> None:
        """Put back a deadline that was taken, to be looked at again after the delay."""
        self._backlog.deadlines[postponed(key, self._now + delay)] = job

    def take_due(self) -> Iterator[tuple[bytes, Any]]:
        """Take the due jobs from those for later, one after the other, with their `later_key`s."""
        due: list[Any] = []
        for key, job, tree in heapq.merge(
            *map(_items, self._backlog.later_trees()), key=operator.itemgetter(0)
        ):
            if time_of(key) > self._now:
                break
            if len(due) == self._limit:
                self.more = True
                break
            due.append((key, job, tree))
        for key, job, tree in due:
            self._due.append((tree, key))
            yield key, job

    def add(self, key: SortKey, job: Any) -> None:
        """Add a job to those for later."""
        self._backlog.add_later(key, job)
        self._added += 1

    def set_aside(self, key: SortKey, job: Any) -> None:
        """Add a job that cannot be read, whose rank is unknown, to those for later."""
        self._backlog.later[later_key(key)] = job
        self._added += 1

    def add_deadline(self, deadline: int, key: SortKey, job: Any) -> None:
        """Note by when a job must begin."""
        self._deadlines[deadline_key(deadline, key)] = job

    def drop_deadline(self, deadline: int, key: SortKey) -> None:
        """Forget the deadline of a job that was handed out."""
        place = deadline_key(deadline, key)
        if self._deadlines.pop(place, None) is None:
            self._backlog.deadlines.pop(place, None)

    def uncounted(self) -> int:
        """How many more entries are for later than `Backlog.count` says."""
        return self._added - len(self._due)

    def write_deletions(self) -> None:
        """Delete the due entries from those for later."""
        for tree, key in self._due:
            del tree[key]
        self.changed = self.changed or bool(self._due)

    def write(self) -> None:
        """Write the deadlines, and the number of jobs due later."""
        self._backlog.deadlines.update(self._deadlines)
        change = self.uncounted()
        if change:
            self._backlog.later_count += change

    def next_time(self) -> int | None:
        """When the next job is due or must have begun (microseconds); None if there is none.

        For use once everything is written.
        """
        times = [
            time_of(tree.minKey())
            for tree in (*self._backlog.later_trees(), self._backlog.deadlines)
            if tree
        ]
        return min(times, default=None)


def _items(tree: Tree) -> Iterator[tuple[bytes, Any, Tree]]:
    return ((key, job, tree) for key, job in tree.items())
