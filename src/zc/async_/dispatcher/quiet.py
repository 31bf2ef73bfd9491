"""Queues in which nothing has changed need no visit.

After a visit of a queue in which there was nothing to do, the poller remembers the serials of the
records that decide on that. As long as its connection has these, another visit would find nothing
either. That is looked at without loading anything, and does not depend on being told of
invalidations.

Polls look at such queues in turn all the same, some a poll; and in each one now and then whether it
is time to ping, or whether a sibling is dead.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import zc.async_.agent
import zc.async_.clock
import zc.async_.queue
from zc.async_.dispatcher.plans import Outcome, Plan
from zc.async_.dispatcher.visit import Visit, watched_records
from zc.async_.queue import lane, records_of_tree

#: Quiet queues that a poll visits in turn: where there are no more, each poll visits all.
VISITS = 3

#: Seconds between polls that visit quiet queues in turn, at least where there are more.
PAUSE = 0.5

#: A part of the shortest interval of pings, and of being taken for dead, after which a quiet queue
#: is glanced at. With one interval between polls that is less than `observing.GAP` allows: else
#: observers would begin anew with each glance, and nobody would ever be taken for dead.
PART_OF_PING = 3
PART_OF_DEATH = 6


class _Seen:
    """A quiet queue, as it was seen."""

    def __init__(self, queue: Any, agents: Any, visit: Visit) -> None:
        self.oid = queue._p_oid
        self._serials = list(_serials(queue, agents))
        self.info = {name: {**info, "new jobs": []} for name, info in visit.info.items()}
        self.sizes = visit.sizes
        #: When a job falls due (microseconds).
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
        """Whether the connection still has the records that were seen."""
        for record, serial in self._serials:
            # A ghost was invalidated, or put out of memory.
            if record._p_changed is not False or record._p_serial != serial:
                return False
        return True


class QuietQueues:
    """What a poller knows of quiet queues. Used as the poller is."""

    def __init__(self) -> None:
        #: By name, the one that was visited least lately first.
        self._seen: dict[str, _Seen] = {}
        self._in_turn: set[str] = set()
        self._expected: set[str] = set()
        self._last_turn = 0.0

    def begin(self, names: list[str], plan: Plan, unanswered: Iterable[str]) -> None:
        """A poll begins; there are queues of these names. `unanswered`: those to be cleared up."""
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
        """A queue is visited, or has to be."""
        self._seen.pop(name, None)

    def forget_all(self) -> None:
        """All have to be visited."""
        self._seen.clear()

    def note(self, queue: Any, visit: Visit) -> None:
        """A visit ended well. To be called before another transaction begins."""
        agents = queue.dispatchers.get(visit.uuid)
        if agents is None or visit.name in self._expected:
            return
        if _is_quiet(queue, agents, visit):
            seen = self._seen[visit.name] = _Seen(queue, agents, visit)
            cache = queue._p_jar._cache
            # All that was seen has to stay in memory.
            cache.cache_size = max(cache.cache_size, 2 * len(seen) * len(self._seen))

    def report(self, name: str, outcome: Outcome) -> None:
        """Tell of a queue what was seen."""
        seen = self._seen[name]
        outcome.quiet.add(name)
        outcome.done.add(name)
        outcome.info[name] = seen.info
        outcome.sizes.update(seen.sizes)
        if seen.next_time is not None:
            times = (seen.next_time, outcome.next_time or seen.next_time)
            outcome.next_time = min(times)

    def to_glance_at(self, names: Iterable[str]) -> list[str]:
        """Those of quiet queues in which it is time to ping, or to look after siblings.

        Siblings are mostly the same in many queues: one of these is looked at in each poll.
        """
        found, known = [], set()
        due = any(self._seen[name].is_due() for name in names)
        for name in names:
            seen = self._seen[name]
            is_first = bool(seen.siblings) and seen.siblings not in known
            known.add(seen.siblings)
            # If one is due many are, and one commit for all of them is better than several.
            if is_first or (due and seen.is_due(2)):
                found.append(name)
        return found

    def glanced_at(self, name: str) -> None:
        """Note a glance that ended well."""
        self._seen[name].looked_at()

    def with_siblings(self, names: Iterable[str], siblings: frozenset[Any]) -> list[str]:
        """Those of quiet queues in which one of the siblings is at work."""
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
    # A claim has read the lanes, and put what it did not hand out into groups and piles.
    backlog = queue.backlog
    limited = any(index for _key, index in zc.async_.queue.limited.indices(backlog))
    lanes = lane.readable(queue.lanes)
    return not (limited or any(backlog.groups.values()) or any(lanes))


def _is_plain(agent: Any) -> bool:
    """Whether an agent does nothing unless a job waits."""
    kinds = (zc.async_.agent.Agent, zc.async_.agent.SystemAgent)
    return type(agent) in kinds and agent.stored_chooser is None


def _serials(queue: Any, agents: Any) -> Iterator[tuple[Any, bytes]]:
    """The records that decide on whether there is something to do, with their serials."""
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
        # What is due first is in the first of them.
        records += [tree] if tree._firstbucket is None else [tree, tree._firstbucket]
    records += dispatchers.values()
    records += [agent.running for agent in agents.all_books()]
    for record in records:
        if record._p_oid is not None:
            record._p_activate()
            yield record, record._p_serial
