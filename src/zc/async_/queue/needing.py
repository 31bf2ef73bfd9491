"""The part of the backlog for jobs that need labels, of which there may be many different sets.

A job may need the UUID of one dispatcher of a thousand, or something that no worker has for weeks.
A claim must cost the same however many such jobs, and sets of needs, there are. So their piles (see
`zc.async_.queue.limited`; those without quotas are in piles, too) are filed in trees in which the
needs come first in each key. Claims look only into the stretches of sets that they satisfy: whoever
has the labels skips the others by a search in the tree, which loads none of their jobs or piles.

Of a set of needs without jobs nothing is left.
"""

import bisect
import itertools
from collections.abc import Iterator
from typing import Any

import persistent
from BTrees.OOBTree import OOBTree

from zc.async_.job import AFTER_ALL, Refusal, SortKey
from zc.async_.queue.backlog import Backlog
from zc.async_.queue.limited import Filed, Index, Pile, change_count
from zc.async_.queue.places import Places

#: Labels that a job needs: sorted, each once.
Needs = tuple[str, ...]


class Needing(persistent.Persistent):
    """The piles of jobs that need labels, and that the same filters refused.

    The trees are those of an `Index`, with other keys: needs and quotas, needs and head, needs and
    quota and head, needs and quota; and of `closed`, whose quotas are opened for all, quota and
    needs.
    """

    def __init__(self) -> None:
        self.piles = OOBTree()
        self.open = OOBTree()
        self.parked = OOBTree()
        self.parked_by = OOBTree()
        self.held = OOBTree()
        self.closed = OOBTree()

    def part(self, needs: Needs) -> "Part":
        """The index of the jobs that need exactly these labels; it may be empty."""
        return Part(self, needs)

    def sets(self) -> Iterator[Needs]:
        """The sets of needs for which there are jobs."""
        needs = _next(self.piles, ())
        while needs is not None:
            yield needs
            needs = _next(self.piles, _after(needs))

    def satisfied(self, labels: frozenset[str]) -> Iterator[Needs]:
        """The sets for which there are jobs and whose labels are all among `labels`."""
        return _satisfied(self.piles, labels)

    def holders(self, labels: frozenset[str]) -> Iterator[str]:
        """The quotas in `held` that hold back jobs whose needs are all among `labels`."""
        for needs in _satisfied(self.held, labels):
            for name, _count in self.part(needs).holders():
                yield name

    def some_closed(self, limit: int) -> list[str]:
        """As `Limited.some_closed`."""
        after = getattr(self, "_v_looked_to", None)
        closed = self.closed.keys(after, excludemin=after is not None)
        keys = list(itertools.islice(closed, limit))
        self._v_looked_to = keys[-1] if len(keys) == limit else None
        return list(dict.fromkeys(name for name, _needs in keys))

    def reopen(self, name: str, places: Places) -> None:
        """As `Limited.reopen`, for the jobs of all needs."""
        keys = itertools.takewhile(lambda key: key[0] == name, self.closed.keys((name,)))
        for _name, needs in list(keys):
            self.part(needs).reopen(name, places)


def _satisfied(tree: Any, labels: frozenset[str]) -> Iterator[Needs]:
    """The sets of needs with which keys of a tree begin, and whose labels are all among `labels`.

    Other sets are skipped, all with the same beginning at once: if 'gpu' is missing, the search
    goes on behind all sets that begin with 'gpu'.
    """
    owned = sorted(labels)
    needs = _next(tree, ())
    while needs is not None:
        missing = next((i for i, label in enumerate(needs) if label not in labels), None)
        if missing is None:
            yield needs
            start: Needs | None = _after(needs)
        else:
            start = _following(needs[: missing + 1], owned)
        needs = None if start is None else _next(tree, start)


def _next(tree: Any, start: Needs) -> Needs | None:
    """The first set of needs from `start` on, in the order of tuples."""
    try:
        needs: Needs = tree.minKey((start,))[0]
    except ValueError:
        # There is none.
        return None
    return needs


def _after(needs: Needs) -> Needs:
    """The first tuple of labels after this one: no label is empty."""
    return (*needs, "")


def _following(beginning: Needs, owned: list[str]) -> Needs | None:
    """The first tuple of owned labels after all that have a beginning; None if there is none.

    Only the last label of the beginning is not owned.
    """
    for length in range(len(beginning), 0, -1):
        position = bisect.bisect_right(owned, beginning[length - 1])
        if position < len(owned):
            return (*beginning[: length - 1], owned[position])
    return None


class Part(Index):
    """The piles of jobs that need the same labels: a part of a `Needing`. Not stored."""

    def __init__(self, whole: Needing, needs: Needs) -> None:
        self.needs = needs
        self.piles = whole.piles
        self.open = whole.open
        self.parked = whole.parked
        self.parked_by = whole.parked_by
        self.held = whole.held
        self.closed = whole.closed

    def __bool__(self) -> bool:
        return any(True for _pile in self._all())

    def _all(self) -> Any:
        return self.piles.values((self.needs,), (_after(self.needs),))

    def __len__(self) -> int:
        """The number of entries, including those that no longer count.

        Reads a record for each pile of several jobs.
        """
        return sum(
            1 if isinstance(stored, (bytes, tuple)) else stored.count for stored in self._all()
        )

    def all_piles(self) -> Iterator[Pile]:
        """All piles, open or parked."""
        for _needs, quota_names in self.piles.keys((self.needs,), (_after(self.needs),)):
            pile = self.pile(quota_names)
            assert pile is not None
            yield pile

    def drop(self, pile: Pile, keys: list[SortKey], backlog: Backlog, places: Places) -> None:
        """Drop entries of a pile."""
        for key in keys:
            pile.remove(key)
        self.file(pile, places)
        change_count(backlog, -len(keys))

    def _key(self, value: Any) -> Any:
        return self.needs, value

    def _parked_key(self, name: str, head: SortKey) -> Any:
        return self.needs, name, head

    def _closed_key(self, name: str) -> Any:
        return name, self.needs

    def open_heads(self) -> Iterator[tuple[SortKey, Filed]]:
        """See `Index`."""
        return self._heads(self.open)

    def parked_heads(self) -> Iterator[tuple[SortKey, Filed]]:
        """See `Index`."""
        return self._heads(self.parked)

    def _heads(self, tree: Any) -> Iterator[tuple[SortKey, Filed]]:
        items = tree.items((self.needs, b""), (self.needs, AFTER_ALL))
        return ((key[1], filed) for key, filed in items)

    def holders(self) -> list[tuple[str, int]]:
        """See `Index`."""
        items = self.held.items((self.needs,), (_after(self.needs),))
        return [(key[1], count) for key, count in items]


def note_needs(backlog: Backlog) -> None:
    """Note that a job that needs labels waits in the queue, be it filed here or due later."""
    if backlog.needing is None:
        backlog.needing = OOBTree()


def all_needing(backlog: Backlog) -> list[tuple[tuple[Refusal, ...], Needing]]:
    """All jobs that need labels, by the filters that refused them."""
    return [] if backlog.needing is None else list(backlog.needing.items())


def part_of(backlog: Backlog, refusals: tuple[Refusal, ...], needs: Needs) -> Part | None:
    """The index of the jobs with these needs and refusals, if there may be some."""
    needing = None if backlog.needing is None else backlog.needing.get(refusals)
    return None if needing is None else needing.part(needs)


def made_part_of(backlog: Backlog, refusals: tuple[Refusal, ...], needs: Needs) -> Part:
    """As `part_of`, made if it is missing. What is made is never deleted: there is little of it."""
    note_needs(backlog)
    assert backlog.needing is not None
    needing = backlog.needing.get(refusals)
    if needing is None:
        needing = backlog.needing[refusals] = Needing()
    return needing.part(needs)


def discard(backlog: Backlog, job: Any, places: Places) -> bool:
    """Drop the entry of a job that needs labels and will not run; return whether it was found.

    Else it would stay until somebody who has the labels comes across it: for ever, perhaps.
    """
    group, position = job.group_key(), job.position_key()
    for _refusals, needing in all_needing(backlog) if group.needs else ():
        part = needing.part(group.needs)
        pile = part.pile(group.quota_names)
        if pile is not None and position in pile.jobs:
            part.drop(pile, [position], backlog, places)
            return True
    return False
