"""The jobs of one index, in the order of a claim: see `zc.async_.queue.limited`."""

import heapq
import itertools
import operator
from collections.abc import Iterable, Iterator

from zc.async_.job import GroupKey, Refusal, SortKey
from zc.async_.queue.candidates import Candidates, Waiting
from zc.async_.queue.limited import Index, Pile
from zc.async_.queue.places import Places

#: The most piles that one claim moves without taking jobs from them or adding jobs, and the most
#: notes of opened quotas that it handles. The rest is left to the next claim.
MOVES = 20_000

#: If fewer piles than this are parked under a quota that has room, all are opened at once. If there
#: are more, they stay: a quota that many piles share is emptied and filled without moving them all.
OPENED_AT_ONCE = 16


class Contenders:
    """The jobs of one index, in order. It looks only into piles that may be next."""

    def __init__(
        self,
        system: bool,
        refusals: tuple[Refusal, ...],
        index: Index | None,
        places: Places,
        needs: tuple[str, ...] = (),
    ) -> None:
        #: What the jobs have in common.
        self.kind = GroupKey(system, (), refusals, needs)
        self._index = index
        self._places = places
        #: The groups that were looked into: their jobs; and their piles, if stored, with the
        #: lengths that these had.
        self._groups: dict[tuple[str, ...], Candidates] = {}
        self._piles: dict[tuple[str, ...], tuple[Pile, int]] = {}
        #: The groups by their first key at the time when they were added.
        self._heap: list[tuple[SortKey, tuple[str, ...]]] = []
        #: Groups that a full quota holds back, for the rest of the claim.
        self._blocked: set[tuple[str, ...]] = set()
        #: Whether the index was written.
        self.changed = False
        #: Whether there are more piles to move.
        self.more = False
        #: The piles not looked into yet, and the first of them. (None: nobody asked for a job.)
        self._heads: Iterator[tuple[SortKey, Pile]] | None = None
        self._next: tuple[SortKey, Pile] | None = None

    def _begin(self) -> Iterator[tuple[SortKey, Pile]]:
        """Look which quotas have room. This may write, so it waits until somebody asks for a job.

        So a busy dispatcher does not conflict with one that wants the jobs.
        """
        if self._index is None:
            return iter(())
        parked = [self._index.under(name) for name in self._with_room(self._index)]
        return heapq.merge(self._index.opened(), *parked, key=operator.itemgetter(0))

    def _with_room(self, index: Index) -> Iterator[str]:
        """Names of quotas with room but too many parked piles to open; opens those of others."""
        moves = 0
        for name, count in index.holders():
            if self._places.free(name) > 0:
                if count < OPENED_AT_ONCE and moves < MOVES:
                    moves += count
                    for _key, pile in list(index.under(name)):
                        self._look_into(pile)
                else:
                    yield name
            elif self._places.is_closed(name):
                index.close(name, self._places)
                self.changed = True

    def __bool__(self) -> bool:
        """Whether anything was looked into."""
        return bool(self._groups)

    def first_heads(self, count: int) -> list[Pile]:
        """Piles that this is likely to look into next."""
        opened = () if self._index is None else self._index.opened()
        return [pile for _head, pile in itertools.islice(opened, count)]

    def groups(self) -> Iterable[Candidates]:
        """The groups that were looked into."""
        return self._groups.values()

    def _take_in(self, quota_names: tuple[str, ...], pile: Pile | None) -> Candidates:
        key = self.kind._replace(quota_names=quota_names)
        candidates = self._groups[quota_names] = Candidates(key, pile, None)
        if pile is not None:
            self._piles[quota_names] = pile, pile.count
        first = candidates.peek()
        if first is not None:
            heapq.heappush(self._heap, (first, quota_names))
        return candidates

    def _look_into(self, pile: Pile) -> None:
        # A new entry with the same names may have done so before.
        if pile.quota_names not in self._groups:
            self._take_in(pile.quota_names, pile)

    def push(self, quota_names: tuple[str, ...], waiting: Waiting) -> None:
        """Add a job, or give one back."""
        candidates = self._groups.get(quota_names)
        if candidates is None:
            pile = None if self._index is None else self._index.pile(quota_names)
            candidates = self._take_in(quota_names, pile)
        candidates.push(waiting)
        heapq.heappush(self._heap, (waiting[0], quota_names))

    def bound(self) -> SortKey | None:
        """A key that is at most that of the first job; None if there is no job. Loads no pile."""
        self._begin_once()
        keys = [self._heap[0][0]] if self._heap else []
        if self._next is not None:
            keys.append(self._next[0])
        return min(keys, default=None)

    def first(self) -> tuple[SortKey, Candidates] | None:
        """The group with the first job of all, and the key of that job.

        Only groups that no quota holds back count. None if there is none.
        """
        while True:
            self._draw()
            if not self._heap:
                return None
            key, quota_names = self._heap[0]
            candidates = self._groups[quota_names]
            now_first = candidates.peek()
            if now_first is None or quota_names in self._blocked:
                heapq.heappop(self._heap)
            elif now_first != key:
                heapq.heapreplace(self._heap, (now_first, quota_names))
            elif self._places.holder(quota_names) is not None:
                self._blocked.add(quota_names)
                heapq.heappop(self._heap)
            else:
                return key, candidates

    def _begin_once(self) -> Iterator[tuple[SortKey, Pile]]:
        if self._heads is None:
            self._heads = self._begin()
            self._next = next(self._heads, None)
        return self._heads

    def _draw(self) -> None:
        """Look into piles as long as they may be next."""
        heads = self._begin_once()
        while self._next is not None and not (self._heap and self._heap[0][0] < self._next[0]):
            pile = self._next[1]
            self._next = next(heads, None)
            self._look_into(pile)

    def pile(self, quota_names: tuple[str, ...]) -> Pile:
        """The pile of a group that was looked into. `file` files a new one."""
        pile, _count = self._piles.setdefault(quota_names, (Pile(quota_names), 0))
        return pile

    def file(self, index: Index) -> None:
        """Bring the index up to date with the piles that were looked into."""
        moves = 0
        for pile, count in self._piles.values():
            is_same = pile.count == count and pile.first() == pile.head
            if is_same and moves == MOVES:
                self.more = True
            elif index.file(pile, self._places):
                self.changed = True
                moves += is_same
