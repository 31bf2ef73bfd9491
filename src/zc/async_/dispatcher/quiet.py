"""Quiet queues: queues in which nothing has changed need no visit.

After a visit that found nothing to do, the poller remembers the serials of the records that decide
this. As long as its connection has these serials, another visit would find nothing either. This
check loads nothing, and does not depend on notice of invalidations.

Still, each poll visits some quiet queues in turn. And from time to time it glances at each one, to
see whether it is time to ping and whether a sibling is dead.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import zc.async_.agent
import zc.async_.clock
import zc.async_.queue
from zc.async_.dispatcher.plans import Outcome, Plan
from zc.async_.dispatcher.visit import Visit, has_needs_for, watched_records
from zc.async_.queue import lane, records_of_tree

#: How many quiet queues a poll visits in turn. If there are no more, each poll visits all.
VISITS = 3

#: The least time (seconds) between polls that visit quiet queues in turn, if there are more.
PAUSE = 0.5

#: A quiet queue gets a glance after the shortest ping interval, or the shortest death interval,
#: divided by these. Together with one poll interval this must be less than `observing.GAP` allows:
#: else observers would begin again with each glance, and nobody would ever be taken for dead.
PART_OF_PING = 3
PART_OF_DEATH = 6


class _Seen:
    """A quiet queue, as it was seen."""

    def __init__(self, queue: Any, agents: Any, visit: Visit) -> None:
        self.oid = queue._p_oid
        self._serials = list(_serials(queue, agents))
        self.info = {name: {**info, "new jobs": []} for name, info in visit.info.items()}
        self.sizes = visit.sizes
        #: When the next job is due (microseconds).
        self.next_time = visit.next_time
        members = queue.dispatchers.values()
        #: The siblings at work in the queue.
        self.siblings = frozenset(
            other.UUID for other in members if other.activated and other is not agents
        )
        pause = min(
            min(other.ping_interval / PART_OF_PING, other.ping_death_interval / PART_OF_DEATH)
            for other in members
        )
        self._pause = zc.async_.clock.interval_microseconds(pause)
        self.looked_at()

    def __len__(self) -> int:
        return len(self._serials)

    def looked_at(self) -> None:
        """Note that there was a glance."""
        self._looked = zc.async_.clock.monotonic()

    def is_due(self, part: int = 1) -> bool:
        """Whether a part of the time for a glance has passed."""
        return (zc.async_.clock.monotonic() - self._looked) * part >= self._pause

    def is_unchanged(self) -> bool:
        """Whether the connection still has the same records, unchanged."""
        for record, serial in self._serials:
            # A ghost was invalidated, or removed from the cache.
            if record._p_changed is not False or record._p_serial != serial:
                return False
        return True


class QuietQueues:
    """What a poller knows about quiet queues. For the thread that uses the poller."""

    def __init__(self) -> None:
        #: By name, the least recently visited one first.
        self._seen: dict[str, _Seen] = {}
        self._in_turn: set[str] = set()
        self._expected: set[str] = set()
        self._last_turn = 0.0

    def begin(self, names: list[str], plan: Plan, unanswered: Iterable[str]) -> None:
        """Begin a poll of queues with these names. `unanswered`: queues with unanswered claims."""
        self._expected = {name for (name, _agent), count in plan.busy.items() if count}
        self._expected.update((name for name, _agent in plan.completed), unanswered)
        for name in self._seen.keys() - set(names):
            del self._seen[name]
        self._in_turn = set()
        now = time.monotonic()
        if len(self._seen) <= VISITS or now - self._last_turn >= PAUSE:
            self._last_turn = now
            self._in_turn = set(list(self._seen)[:VISITS])

    def need_visit(self, name: str, queue: Any, plan: Plan) -> bool:
        """Whether there may be something to do in a queue."""
        seen = self._seen.get(name)
        if seen is None or name in self._in_turn or name in self._expected:
            return True
        if seen.oid != queue._p_oid:
            return True
        due = seen.next_time is not None and seen.next_time <= zc.async_.clock.microseconds()
        return bool(due or plan.lost or not seen.is_unchanged())

    def forget(self, name: str) -> None:
        """Forget a queue that is visited, or has to be."""
        self._seen.pop(name, None)

    def forget_all(self) -> None:
        """Forget all queues, so that all are visited."""
        self._seen.clear()

    def note(self, queue: Any, visit: Visit) -> None:
        """Note a visit that ended well. Must be called before another transaction begins."""
        agents = queue.dispatchers.get(visit.uuid)
        if agents is None or visit.name in self._expected:
            return
        if _is_quiet(queue, agents, visit):
            seen = self._seen[visit.name] = _Seen(queue, agents, visit)
            cache = queue._p_jar._cache
            # All records of quiet queues have to stay in memory.
            cache.cache_size = max(cache.cache_size, 2 * len(seen) * len(self._seen))

    def report(self, name: str, outcome: Outcome) -> None:
        """Report what was seen in a quiet queue."""
        seen = self._seen[name]
        outcome.quiet.add(name)
        outcome.done.add(name)
        outcome.info[name] = seen.info
        outcome.sizes.update(seen.sizes)
        if seen.next_time is not None:
            times = (seen.next_time, outcome.next_time or seen.next_time)
            outcome.next_time = min(times)

    def to_glance_at(self, names: Iterable[str]) -> list[str]:
        """The quiet queues in which it is time to ping, or to look after siblings.

        Many queues usually have the same siblings: each poll looks at one of these queues.
        """
        found, known = [], set()
        due = any(self._seen[name].is_due() for name in names)
        for name in names:
            seen = self._seen[name]
            is_first = bool(seen.siblings) and seen.siblings not in known
            known.add(seen.siblings)
            # If one queue is due, many are soon, and one commit for all is better than several.
            if is_first or (due and seen.is_due(2)):
                found.append(name)
        return found

    def glanced_at(self, name: str) -> None:
        """Note a glance that ended well."""
        self._seen[name].looked_at()

    def with_siblings(self, names: Iterable[str], siblings: frozenset[Any]) -> list[str]:
        """The quiet queues in which one of the siblings is at work."""
        return [name for name in names if self._seen[name].siblings & siblings]

    def siblings(self, name: str) -> frozenset[Any]:
        """The siblings at work in a quiet queue."""
        return self._seen[name].siblings


def _is_quiet(queue: Any, agents: Any, visit: Visit) -> bool:
    """Whether there is nothing to do in a queue before one of its records changes."""
    if visit.changed or visit.again is not None:
        return False
    if any(info["error"] for info in visit.info.values()):
        return False
    if any(agent.running.jobs or not _is_plain(agent) for agent in agents.all_books()):
        return False
    # A claim has read the lanes, and put the jobs that it did not hand out into groups and piles.
    backlog = queue.backlog
    limited = any(index for _key, index in zc.async_.queue.limited.indices(backlog))
    lanes = lane.readable(queue.lanes)
    # Those that only others may run are nothing to do here. If the labels change, so do records of
    # the agents; and new jobs come by the lanes, or because they are due.
    needing = has_needs_for(queue, agents)
    return not (limited or needing or any(backlog.groups.values()) or any(lanes))


def _is_plain(agent: Any) -> bool:
    """Whether an agent does nothing unless a job waits."""
    kinds = (zc.async_.agent.Agent, zc.async_.agent.SystemAgent)
    return type(agent) in kinds and agent.stored_chooser is None


def _serials(queue: Any, agents: Any) -> Iterator[tuple[Any, bytes]]:
    """The records that decide whether there is something to do, with their serials."""
    backlog, dispatchers = queue.backlog, queue.dispatchers
    records = [queue, backlog, dispatchers, *watched_records(queue, agents)]
    for tree in (backlog.groups, dispatchers.records):
        records += records_of_tree(tree)
    for group in backlog.groups.values():
        records += (group, *group.shards)
    # No quotas, since no job waits for them.
    if backlog.limited is not None:
        records += records_of_tree(backlog.limited)
    for _key, index in zc.async_.queue.limited.indices(backlog):
        records += (index, index.open, index.parked)
    for tree in (*backlog.later_trees(), backlog.deadlines):
        # The first job due is in the first bucket.
        records += [tree] if tree._firstbucket is None else [tree, tree._firstbucket]
    records += dispatchers.values()
    records += [agent.running for agent in agents.all_books()]
    for record in records:
        if record._p_oid is not None:
            record._p_activate()
            yield record, record._p_serial
