"""The part of the backlog for jobs that need places in quotas; made for many quotas.

There may be a quota for each of 100,000 customers, and a claim leaves out those that have nothing
for it. Jobs that name the same quotas form a `Pile`. Only the first job of each pile, its head, is
in an index. The head is open, or it is parked under a quota if a claim found that quota full.
Claims go through the open heads in order. They also see parked heads

- under quotas that have room again. Each claim asks the quotas that running jobs fill: there are at
  most as many as running jobs.
- under quotas that were closed (size 0) and have been opened or removed since. There may be any
  number of closed quotas; opening one leaves a note (`Quotas.reopened`).

Only claims write this. Most piles have one job: they have no record, and are kept in the trees. A
claim that changes or moves a pile writes its record, or its item in the tree of piles. So a claim
that takes the last job of a pile and removes the pile conflicts with one that adds a job to it.
"""

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import persistent
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree

from zc.async_.job import AFTER_ALL, GroupKey, Refusal, SortKey
from zc.async_.queue.backlog import Backlog, Group, Tree
from zc.async_.queue.places import Places

#: Jobs of a pile that are kept in its own record.
FEW = 8


class Pile(persistent.Persistent):
    """The waiting jobs that name the same quotas and were refused by the same filters.

    `Candidates` uses it as a group, and as the only shard of that. It is stored once it has several
    entries, and until it has none.
    """

    #: The key of its head in the index, and the quota under which it is parked (None: open).
    head: SortKey | None = None
    held_by: str | None = None
    #: The entries by `SortKey`, once there were more than `FEW`; until then they are in `few`.
    many: Tree | None = None

    def __init__(self, quota_names: tuple[str, ...]) -> None:
        self.quota_names = quota_names
        self.few: tuple[tuple[SortKey, Any], ...] = ()
        #: The number of entries. Every change writes it, so that two changes conflict.
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def shards(self) -> "tuple[Pile]":
        """Itself."""
        return (self,)

    @property
    def jobs(self) -> Any:
        """The entries: an ordered mapping that must not be changed."""
        return dict(self.few) if self.many is None else self.many

    def add(self, key: SortKey, job: Any) -> None:
        """Add an entry whose key is new."""
        if self.many is None and len(self.few) < FEW:
            entries = (*self.few, (key, job))
            self.few = tuple(sorted(entries, key=operator.itemgetter(0)))
        else:
            if self.many is None:
                self.many, self.few = Tree(self.few), ()
            self.many[key] = job
        self.count += 1

    def remove(self, key: SortKey) -> None:
        """Remove an entry."""
        if self.many is None:
            self.few = tuple(entry for entry in self.few if entry[0] != key)
        else:
            del self.many[key]
        self.count -= 1

    @classmethod
    def of_one(
        cls, quota_names: tuple[str, ...], key: SortKey, job: Any, held_by: str | None
    ) -> "Pile":
        """A pile without a record, as the index has it."""
        pile = cls(quota_names)
        pile.add(key, job)
        pile.head, pile.held_by = key, held_by
        return pile

    def first(self) -> SortKey | None:
        """The key of the first entry; None if there is none."""
        if not self.count:
            return None
        return self.few[0][0] if self.many is None else self.many.minKey()


#: A pile in a tree by heads: the pile itself or, if it has no record, its names and its job.
Filed = Pile | tuple[tuple[str, ...], Any]


class Index:
    """The piles of jobs that the same filters refused; all jobs are of the system, or none is.

    Their places in the trees are given by methods: `Limited` has all in trees of its own, and a
    `zc.async_.queue.needing.Part` has those of the jobs that need the same labels.
    """

    # None of these is a `Tree`: any ZEO server can merge the changes of a small OOBTree, made by
    # claims of jobs with different quotas.
    #: Maps the sorted names of quotas to the `Pile`. A pile without a record is represented by its
    #: head or, if it is parked, by its head and the quota.
    piles: Any
    #: The piles, as `Filed`, by their heads: the open ones, and the parked ones.
    open: Any
    parked: Any
    #: The parked piles by the name of a quota that holds them back, and the head.
    parked_by: Any
    #: How many piles are parked under a quota, by its name: in `held` for quotas that claims ask,
    #: in `closed` for closed ones. The numbers make two claims conflict if one takes the last pile
    #: from under a quota and the other adds one.
    held: Any
    closed: Any

    # -- the keys in the trees

    def _key(self, value: Any) -> Any:
        """The key of a pile in `piles` (by its names), `open` or `parked` (its head), or `held`."""
        return value

    def _parked_key(self, name: str, head: SortKey) -> Any:
        return name, head

    def _closed_key(self, name: str) -> Any:
        return name

    # -- looking

    def pile(self, quota_names: tuple[str, ...]) -> Pile | None:
        """The pile with those names; None if there is none."""
        stored = self.piles.get(self._key(quota_names))
        if isinstance(stored, tuple):
            head, held_by = stored
            return _as_pile(head, self.parked[self._key(head)], held_by)
        if isinstance(stored, bytes):
            return _as_pile(stored, self.open[self._key(stored)], None)
        return stored

    def open_heads(self) -> Iterator[tuple[SortKey, Filed]]:
        """The open piles, as they are filed, with their heads, in the order of these."""
        return iter(self.open.items())

    def parked_heads(self) -> Iterator[tuple[SortKey, Filed]]:
        """As `open_heads`, for the parked piles."""
        return iter(self.parked.items())

    def opened(self) -> Iterator[tuple[SortKey, Pile]]:
        """The open piles with their heads, in the order of these."""
        return ((head, _as_pile(head, filed, None)) for head, filed in self.open_heads())

    def under(self, name: str) -> Iterator[tuple[SortKey, Pile]]:
        """The piles parked under a quota with their heads, in the order of these."""
        first, last = self._parked_key(name, b""), self._parked_key(name, AFTER_ALL)
        parked = self.parked_by.items(first, last)
        return ((key[-1], _as_pile(key[-1], filed, name)) for key, filed in parked)

    def holders(self) -> list[tuple[str, int]]:
        """The names of the quotas in `held`, with the numbers of piles."""
        return list(self.held.items())

    # -- filing

    def file(self, pile: Pile, places: Places) -> bool:
        """Bring the index up to date with a pile; return whether that changed anything.

        An empty pile is removed.
        """
        head = pile.first()
        holder = None if head is None else places.known_holder(pile.quota_names, pile.held_by)
        key = self._key(pile.quota_names)
        stored = self.piles.get(key)
        needs_record = stored is not pile and (pile.count > 1 or pile.many is not None)
        old_head, old_holder = pile.head, pile.held_by
        if (head, holder) == (old_head, old_holder) and not needs_record:
            return False
        # Always written, so that two claims that file the same pile conflict.
        pile.head, pile.held_by = head, holder
        if old_head is not None:
            self._take_out(old_head, old_holder)
        if head is not None:
            if needs_record or stored is pile:
                self._put_in(head, holder, pile)
                self.piles[key] = pile
            else:
                self._put_in(head, holder, (pile.quota_names, pile.few[0][1]))
                self.piles[key] = head if holder is None else (head, holder)
        elif stored is not None:
            del self.piles[key]
        if holder != old_holder:
            self._count(old_holder, -1, places)
            self._count(holder, 1, places)
        return True

    def _take_out(self, head: SortKey, holder: str | None) -> None:
        if holder is None:
            del self.open[self._key(head)]
        else:
            del self.parked[self._key(head)]
            del self.parked_by[self._parked_key(holder, head)]

    def _put_in(self, head: SortKey, holder: str | None, filed: Filed) -> None:
        if holder is None:
            self.open[self._key(head)] = filed
        else:
            self.parked[self._key(head)] = filed
            self.parked_by[self._parked_key(holder, head)] = filed

    def _count(self, holder: str | None, change: int, places: Places) -> None:
        if holder is None:
            return
        held_key, closed_key = self._key(holder), self._closed_key(holder)
        is_closed = closed_key in self.closed
        if not is_closed and held_key not in self.held:
            is_closed = places.is_closed(holder)
        if is_closed and change > 0:
            # Else the quota might be opened, and a claim might handle that before it can see this
            # pile.
            places.rely_on(holder)
        counts, key = (self.closed, closed_key) if is_closed else (self.held, held_key)
        count = counts.get(key, 0) + change
        if count:
            counts[key] = count
        else:
            del counts[key]

    def close(self, name: str, places: Places) -> None:
        """Note that a quota has no places any more: claims need not ask it until it is opened."""
        places.rely_on(name)
        self.closed[self._closed_key(name)] = self.held.pop(self._key(name))

    def reopen(self, name: str, places: Places) -> None:
        """Make claims ask a quota again if it was opened or removed."""
        key = self._closed_key(name)
        if key in self.closed and not places.is_closed(name):
            self.held[self._key(name)] = self.closed.pop(key)


class Limited(Index, persistent.Persistent):
    """An index of the piles of jobs that need no labels. See `Index`."""

    def __init__(self) -> None:
        self.piles = OOBTree()
        self.open = OOBTree()
        self.parked = OOBTree()
        self.parked_by = OOBTree()
        self.held = OOBTree()
        self.closed = OOBTree()

    def __bool__(self) -> bool:
        return bool(self.open) or bool(self.parked)

    def some_closed(self, limit: int) -> list[str]:
        """Names of closed quotas with parked piles. If there are many, each call returns others.

        (This record is never written again, so its volatile attribute lasts.)
        """
        after = getattr(self, "_v_looked_to", None)
        closed = self.closed.keys(after, excludemin=after is not None)
        keys = list(itertools.islice(closed, limit))
        self._v_looked_to = keys[-1] if len(keys) == limit else None
        return keys


def _as_pile(head: SortKey, filed: Filed, held_by: str | None) -> Pile:
    if isinstance(filed, tuple):
        quota_names, job = filed
        return Pile.of_one(quota_names, head, job, held_by)
    return filed


def indices(backlog: Backlog) -> list[tuple[tuple[bool, tuple[Refusal, ...]], Limited]]:
    """All indices; their keys say whether the jobs are of the system, and which filters refused."""
    return [] if backlog.limited is None else list(backlog.limited.items())


def index_of(backlog: Backlog, system: bool, refusals: tuple[Refusal, ...]) -> Limited:
    """The index with this key, made if it is missing. Indices are few, and never deleted."""
    if backlog.limited is None:
        backlog.limited = OOBTree()
    index = backlog.limited.get((system, refusals))
    if index is None:
        index = backlog.limited[system, refusals] = Limited()
    return index


def change_count(backlog: Backlog, change: int) -> None:
    """Add to the number of entries in piles."""
    if backlog.limited_count is None:
        backlog.limited_count = Length()
    backlog.limited_count.change(change)


def take_over(backlog: Backlog, key: GroupKey, group: Group, places: Places) -> None:
    """Make a pile of a group of jobs with quotas, which an older version wrote."""
    index = index_of(backlog, key.system, key.refusals)
    for shard in group.shards:
        # So a claim that adds to it meanwhile conflicts, and so does another that takes it over.
        shard._p_changed = True
        if not shard:
            continue
        change_count(backlog, shard.count)
        pile = index.pile(key.quota_names) or Pile(key.quota_names)
        if pile:
            for sort_key, job in shard.jobs.items():
                pile.add(sort_key, job)
        else:
            pile.many, pile.count = shard.jobs, shard.count
        shard.jobs, shard.count = Tree(), 0
        index.file(pile, places)
    del backlog.groups[key[:3]]
