"""Iterates over the waiting jobs of a queue, in order.

The jobs are in many places, each with its own order. These are merged lazily: reading the first job
loads no other. Only jobs whose entries do not contain their place in the order, mostly those of
older versions, are loaded beforehand.
"""

import heapq
import itertools
import operator
from collections.abc import Iterator
from typing import Any

from zc.async_.job import AFTER_ALL, SortKey, entry_of, entry_of_later
from zc.async_.queue.lane import Entry, Lane, place_of_entry, readable
from zc.async_.queue.limited import Filed, indices
from zc.async_.queue.needing import Needing, all_needing

#: How many items of a tree are read at once: at first, and at most.
_FIRST_CHUNK = 8
_CHUNK = 256

#: A place in the order, and the job there.
Placed = tuple[SortKey, Any]


def waiting_jobs(queue: Any) -> Iterator[Any]:
    """The jobs that wait in `queue`, in order, each once even if it is edited meanwhile."""
    seen = set()
    for key, job in heapq.merge(*_sources(queue), key=operator.itemgetter(0)):
        if queue.is_waiting(job, entry_of(key)):
            # The same job may be in the backlog and in a running claim.
            identity = job._p_oid or id(job)
            if identity not in seen:
                seen.add(identity)
                yield job


def waiting_in_batches(queue: Any, most: int) -> Iterator[list[Any]]:
    """The jobs that wait in an `IQueue`, in order, in lists: one job at first, then up to `most`.

    For who changes nothing meanwhile: the storage is asked for those of a list at once, and nothing
    is remembered of those that have been given. A list may be empty.
    """
    # An application's own kind of queue has its own way.
    is_own = not hasattr(queue, "is_waiting")
    entries: Iterator[Any] = (
        iter(queue) if is_own else heapq.merge(*_sources(queue), key=operator.itemgetter(0))
    )
    size = 1
    while batch := list(itertools.islice(entries, size)):
        size = min(2 * size, most)
        if is_own:
            yield batch
            continue
        jar = queue._p_jar
        missing = [job._p_oid for _key, job in batch if job._p_changed is None]
        if jar is not None and len(missing) > 1:
            jar.prefetch(missing)
        yield [job for key, job in batch if queue.is_waiting(job, entry_of(key))]


def _sources(queue: Any) -> Iterator[Iterator[Placed]]:
    """The entries, including those that no longer count. Each source is in order."""
    backlog = queue.backlog
    for group in backlog.groups.values():
        for shard in group.shards:
            if shard:
                yield _in_chunks(shard.jobs)
    for _key, index in indices(backlog):
        yield _of_piles(_in_chunks(index.open))
        yield _of_piles(_in_chunks(index.parked))
    for _refusals, needing in all_needing(backlog):
        yield _of_piles(_of_all_needs(needing, needing.open))
        yield _of_piles(_of_all_needs(needing, needing.parked))
    for rank, tree in backlog.ranked():
        yield _with_rank(rank, tree)
    later = [(entry_of_later(key), job) for key, job in backlog.later.items()]
    yield iter(_ordered(_loaded(queue, job, entry_key) for entry_key, job in later))
    for lane in readable(queue.lanes):
        yield _of_lane(queue, lane)
    if queue._v_claim is not None:
        yield iter(_ordered(queue._v_claim.entries()))


def _of_all_needs(needing: Needing, tree: Any) -> Iterator[tuple[SortKey, Filed]]:
    """The heads of the piles of one tree of a `Needing`, in order."""
    stretches = [_in_chunks(tree, (needs, b""), (needs, AFTER_ALL)) for needs in needing.sets()]
    merged = heapq.merge(*stretches, key=lambda item: item[0][1])
    return ((key[1], filed) for key, filed in merged)


def _of_piles(heads: Iterator[tuple[SortKey, Filed]]) -> Iterator[Placed]:
    """The entries of piles with these heads. One is looked into when its first entry is next."""
    #: The piles that were looked into: the key of the next entry, a number, that entry, and the
    #: entries after it.
    heap: list[tuple[SortKey, int, Placed, Iterator[Placed]]] = []
    numbers = itertools.count()
    for head, filed in itertools.chain(heads, [(AFTER_ALL, None)]):
        while heap and heap[0][0] < head:
            _key, number, placed, rest = heap[0]
            yield placed
            following = next(rest, None)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following[0], number, following, rest))
        if filed is not None:
            entries = _of_pile(head, filed)
            for first in itertools.islice(entries, 1):
                heapq.heappush(heap, (first[0], next(numbers), first, entries))


def _of_pile(head: SortKey, filed: Filed) -> Iterator[Placed]:
    if isinstance(filed, tuple):
        return iter([(head, filed[1])])
    return iter(filed.few) if filed.many is None else _in_chunks(filed.many)


def _in_chunks(tree: Any, first: Any = None, last: Any = None) -> Iterator[tuple[Any, Any]]:
    """The items of a tree, which may change meanwhile; by default from its first to its last."""
    size = _FIRST_CHUNK
    items = list(itertools.islice(tree.items(first, last), size))
    while items:
        yield from items
        size = min(2 * size, _CHUNK)
        rest = tree.items(items[-1][0], last, excludemin=True)
        items = list(itertools.islice(rest, size))


def _with_rank(rank: bytes, tree: Any) -> Iterator[Placed]:
    return ((rank + key, job) for key, job in _in_chunks(tree))


def _ordered(entries: Any) -> list[Placed]:
    return sorted((entry for entry in entries if entry is not None), key=operator.itemgetter(0))


def _of_lane(queue: Any, lane: Lane) -> Iterator[Placed]:
    """The unread entries of a lane. The part that is not in order is read first as a whole."""
    ordered_from = lane.ordered_from
    unread = lane.unread()
    following: list[Placed] = []
    jumbled = []
    for entry, _segment, position in unread:
        placed = _placed(queue, entry)
        if ordered_from is not None and position > ordered_from:
            following = _ordered([placed])
            break
        jumbled.append(placed)
    rest = (_placed(queue, entry) for entry, _segment, _position in unread)
    in_order = (placed for placed in itertools.chain(following, rest) if placed is not None)
    return heapq.merge(_ordered(jumbled), in_order, key=operator.itemgetter(0))


def _placed(queue: Any, entry: Entry) -> Placed | None:
    job = entry[1]
    if len(entry) == 2:
        return _loaded(queue, job, entry[0])
    return place_of_entry(entry) + (job._p_oid or b""), job


def _loaded(queue: Any, job: Any, entry_key: int) -> Placed | None:
    """The place of an entry, taken from its job; None if the entry does not count."""
    return (job.position_key(), job) if queue.is_waiting(job, entry_key) else None
