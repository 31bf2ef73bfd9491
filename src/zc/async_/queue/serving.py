"""Which jobs wait for labels that nobody has, and what becomes of their entries."""

import itertools
from collections.abc import Iterator
from typing import Any

from zc.async_.job import SortKey, entry_of
from zc.async_.queue.lane import readable
from zc.async_.queue.limited import Pile
from zc.async_.queue.needing import Needing, Needs, Part, all_needing
from zc.async_.queue.places import Places
from zc.async_.queue.sieve import problem_of

#: Of so many jobs with equal needs it is looked at each whether it still waits. Of more, those that
#: were removed or edited lately are counted, too.
COUNTED_EXACTLY = 100


def living_labels(queue: Any) -> set[frozenset[str]]:
    """The labels of each agent of the dispatchers of a queue that live."""
    living = (one for one in queue.dispatchers.values() if one.activated and not one.dead)
    return set().union(*(one.labels_at_work() for one in living))


def unserved(queue: Any, at_work: set[frozenset[str]]) -> Iterator[tuple[Needs, list[Part]]]:
    """The needs for which there are due jobs and which nobody satisfies, with where the jobs are.

    `at_work`: the labels of each agent that there is. The jobs are not looked at: it may be that
    none waits any more.
    """
    parts: dict[Needs, list[Part]] = {}
    for _refusals, needing in all_needing(queue.backlog):
        for needs in needing.sets():
            if needs in parts or not any(map(frozenset(needs).issubset, at_work)):
                parts.setdefault(needs, []).append(needing.part(needs))
    yield from parts.items()


def count(queue: Any, parts: list[Part]) -> int:
    """How many jobs wait there; see `COUNTED_EXACTLY`."""
    number = sum(map(len, parts))
    if number > COUNTED_EXACTLY:
        return number
    entries = [entry for part in parts for pile in part.all_piles() for entry in pile.jobs.items()]
    _prefetch(queue, [job for _key, job in entries])
    return sum(1 for key, job in entries if not _is_stale(queue, key, job))


def may_need_labels(queue: Any) -> bool:
    """Whether waiting jobs of a queue may need labels. False is for sure. Looks at no job."""
    lanes, backlog = getattr(queue, "lanes", None), getattr(queue, "backlog", None)
    if lanes is None or backlog is None:
        # An application's own kind of queue.
        return True
    return backlog.needing is not None or any(lane.may_need_labels() for lane in readable(lanes))


def drop_stale(queue: Any, limit: int) -> int:
    """Drop entries that no longer count of jobs that need labels; return how many there were.

    Claims drop those that they come across. But perhaps nobody has the labels. Looks at up to
    `limit` entries; each call goes on behind those at which the last one looked.
    """
    if queue.stale_entries() <= 0:
        return 0
    places = Places(queue.quotas)
    dropped = 0
    for _refusals, needing in all_needing(queue.backlog):
        for part, pile, entries in list(_stretch(needing, limit)):
            _prefetch(queue, [job for _key, job in entries])
            stale = [key for key, job in entries if _is_stale(queue, key, job)]
            if stale:
                part.drop(pile, stale, queue.backlog, places)
                dropped += len(stale)
    if dropped:
        queue.stale_entries.change(-dropped)
    return dropped


def _stretch(
    needing: Needing, limit: int
) -> Iterator[tuple[Part, Pile, list[tuple[SortKey, Any]]]]:
    """Some entries, by their piles. (The record is never written again, so its `_v_` lasts.)"""
    last: Any = getattr(needing, "_v_swept_to", None)
    needing._v_swept_to = None
    for key in needing.piles.keys(None if last is None else last[0]):
        part = needing.part(key[0])
        pile = part.pile(key[1])
        assert pile is not None
        after = last[1] if last is not None and last[0] == key else b""
        items = pile.jobs.items() if pile.many is None else pile.many.items(after, excludemin=True)
        entries = list(itertools.islice((entry for entry in items if entry[0] > after), limit))
        limit -= len(entries)
        if entries:
            yield part, pile, entries
        if limit <= 0:
            needing._v_swept_to = key, entries[-1][0]
            return


def _is_stale(queue: Any, key: SortKey, job: Any) -> bool:
    """Whether an entry no longer counts. Nobody knows of a job that cannot be read."""
    return problem_of(job) is None and not queue.is_waiting(job, entry_of(key))


def _prefetch(queue: Any, jobs: list[Any]) -> None:
    missing = [job._p_oid for job in jobs if job._p_changed is None]
    if queue._p_jar is not None and len(missing) > 1:
        queue._p_jar.prefetch(missing)
