"""The jobs of one group, in the order in which a claim goes through them."""

import heapq
import itertools
from collections.abc import Iterator
from typing import Any

from zc.async_.job import GroupKey, SortKey, effective_of, rank_of
from zc.async_.queue.backlog import Group, Shard
from zc.async_.queue.limited import Pile

#: Microseconds: a job of the claim's own share may go before the first of all jobs if it is younger
#: by at most this. So no job is passed over for longer.
MOST_AHEAD = 2_000_000

#: A place in the order, the waiting job, and its shard (None: the job was read from a lane).
Waiting = tuple[SortKey, Any, Shard | Pile | None]


class _Source:
    """The jobs of a shard that were not taken yet."""

    def __init__(self, shard: Shard | Pile) -> None:
        self.shard = shard
        self._items: Iterator[tuple[SortKey, Any]] = iter(shard.jobs.items())
        self.next: tuple[SortKey, Any] | None = next(self._items, None)

    def take(self) -> Waiting:
        assert self.next is not None
        key, job = self.next
        self.next = next(self._items, None)
        return key, job, self.shard


class Candidates:
    """The jobs of one group, in order.

    With a `share` (see `zc.async_.queue.claim.Claim`), the shard of this number goes first.
    """

    def __init__(self, key: GroupKey, stored: Group | Pile | None, share: int | None) -> None:
        self.key = key
        self._group = stored
        self._heap: list[Waiting] = []
        shards: tuple[Shard | Pile, ...] = () if stored is None else stored.shards
        mine = None if share is None or len(shards) < 2 else shards[share % len(shards)]
        sources = [_Source(shard) for shard in shards if shard]
        self._sources = [source for source in sources if source.next is not None]
        self._mine = next((source for source in self._sources if source.shard is mine), None)

    def push(self, waiting: Waiting) -> None:
        """Add a job, or give one back."""
        heapq.heappush(self._heap, waiting)

    def peek(self) -> SortKey | None:
        """The key of the first job; None if there is none."""
        source = self._first_source()
        if source is None:
            return self._heap[0][0] if self._heap else None
        assert source.next is not None
        return source.next[0]

    def _first_source(self) -> _Source | None:
        """The source of the first job; None if the job is on the heap or there is none."""
        first, first_key = None, self._heap[0][0] if self._heap else None
        for source in self._sources:
            if source.next is not None and (first_key is None or source.next[0] < first_key):
                first, first_key = source, source.next[0]
        return first

    def pop(self) -> Waiting:
        """Take the first job, or one of the same rank if there is a share."""
        source = self._mine if self._may_go_first(self._mine) else self._first_source()
        return heapq.heappop(self._heap) if source is None else source.take()

    def _may_go_first(self, source: _Source | None) -> bool:
        if source is None or source.next is None:
            return False
        key, first = source.next[0], self.peek()
        assert first is not None
        ahead = effective_of(key) - effective_of(first)
        return rank_of(key) == rank_of(first) and ahead <= MOST_AHEAD

    def first_stored(self, count: int) -> Iterator[Any]:
        """Stored jobs, in the order in which they are likely to be needed."""
        shards = [source.shard for source in self._sources]
        if self._mine is not None and self._mine.next is not None:
            shards = [self._mine.shard]
        items = heapq.merge(*(shard.jobs.items() for shard in shards))
        return (job for _key, job in itertools.islice(items, count))

    def to_store(self) -> list[Waiting]:
        """The jobs that were added to this group and not taken from it since."""
        shards: tuple[Shard | Pile, ...] = () if self._group is None else self._group.shards
        return [w for w in self._heap if w[2] is None or not any(w[2] is s for s in shards)]
