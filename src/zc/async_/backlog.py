"""The backlog: what dispatchers have read from the lanes of a queue and not handed out.

Claims alone write it (see `zc.async_.claim`). Everybody else changes the job: an entry counts only
while the job still names it, and one that does not is dropped when a claim comes across it. So
`remove`, `pull` and edits of a pending job meet a dispatcher only if both want the same job.

Jobs that may run now are in groups of those that the same conditions hold back, so that a claim
passes over all jobs of a full quota at once.
"""

import struct
from typing import Any, NamedTuple

import persistent
from BTrees.OOBTree import OOBTree

#: Position of a waiting job among the others, as bytes that sort: rank, the time from which it may
#: run, the time of its arrival (microseconds), the key of its entry, its oid. Never equal for two
#: jobs. (As a tuple of numbers it takes several times as long to store.)
SortKey = bytes

_NUMBERS = struct.Struct(">QQQQ")
_NUMBER = struct.Struct(">Q")
_RANK_OFFSET = 1 << 63


def sort_key(rank: int, effective: int, arrival: int, entry_key: int, oid: bytes) -> SortKey:
    """Put together the parts of a `SortKey`."""
    return _NUMBERS.pack(rank + _RANK_OFFSET, effective, arrival, entry_key) + oid


def rank_of(key: SortKey) -> bytes:
    """The rank in a `SortKey`: of two, the lower one goes first."""
    return key[:8]


def effective_of(key: SortKey) -> int:
    """The time (microseconds) in a `SortKey` from which the job may run."""
    return _NUMBER.unpack_from(key, 8)[0]


def entry_of(key: SortKey) -> int:
    """The key of the entry in a `SortKey`."""
    return _NUMBER.unpack_from(key, 24)[0]


def later_key(moment: int, key: SortKey) -> bytes:
    """The key of a job among those due later: when, and its `SortKey` from the arrival on.

    The time in that one may be later: that of the arrival, by another clock.
    """
    return _NUMBER.pack(moment) + key[16:]


def entry_of_later(key: bytes) -> int:
    """The key of the entry in a `later_key`."""
    return _NUMBER.unpack_from(key, 16)[0]


def deadline_key(deadline: int, key: SortKey) -> bytes:
    """The key of a job among those with a deadline: that, the key of the entry, the oid."""
    return _NUMBER.pack(min(max(deadline, 0), (1 << 64) - 1)) + key[24:]


def entry_of_deadline(key: bytes) -> int:
    """The key of the entry in a `deadline_key`."""
    return _NUMBER.unpack_from(key, 8)[0]


def postponed(key: bytes, moment: int) -> bytes:
    """A `deadline_key` with another time (microseconds)."""
    return _NUMBER.pack(moment) + key[8:]


def time_of(key: bytes) -> int:
    """The time (microseconds) with which a `later_key` or a `deadline_key` begins."""
    return _NUMBER.unpack_from(key)[0]


class Tree(OOBTree):
    """A BTree whose inner records stay small: they are written when a leaf comes or goes.

    (A ZEO server that does not know the class cannot merge changes of a tree of one leaf. Claims
    that want to change one conflict over the jobs anyway.)
    """

    max_internal_size = 32


#: A filter that refused a job: the oid of the agent and the version of the filter.
Refusal = tuple[bytes, int]


class GroupKey(NamedTuple):
    """What the jobs of a group have in common."""

    #: Whether they belong to the system: any dispatcher runs them, past filters and sizes.
    system: bool
    #: The names of the quotas they need, sorted.
    quota_names: tuple[str, ...]
    #: The filters that refused them, sorted.
    refusals: tuple[Refusal, ...]


#: Shards of a group whose jobs nothing but their order holds back, and successive keys of entries
#: that go to one shard: about as many as a dispatcher claims at once.
SHARDS = 8
STRETCH = 16


class Shard(persistent.Persistent):
    """A part of the jobs of a group, in a record that another part does not share."""

    def __init__(self) -> None:
        self.jobs = Tree()
        #: Length of `jobs`.
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, key: SortKey, job: Any) -> None:
        """Add an entry whose key is new."""
        self.jobs[key] = job
        self.count += 1

    def remove(self, key: SortKey) -> None:
        """Remove an entry."""
        del self.jobs[key]
        self.count -= 1


class Group(persistent.Persistent):
    """Jobs that may run as soon as the conditions of the group allow.

    Where they are many and there are no conditions, claims of several dispatchers meet here. So
    stretches of the jobs are in different shards, and dispatchers that get into each other's way
    turn to different ones first.
    """

    def __init__(self, shards: int = 1) -> None:
        self.shards = tuple(Shard() for _shard in range(shards))

    def __bool__(self) -> bool:
        return any(self.shards)

    def add(self, entries: list[tuple[SortKey, Any]]) -> None:
        """Add entries with new keys."""
        entries.sort(key=lambda entry: entry[0])
        for start in range(0, len(entries), STRETCH):
            shard = min(self.shards, key=lambda shard: shard.count)
            for key, job in entries[start : start + STRETCH]:
                shard.add(key, job)


class Backlog(persistent.Persistent):
    """The waiting jobs that are in no lane."""

    def __init__(self) -> None:
        #: `GroupKey` as a tuple to `Group`. Groups are few, and never deleted: a deletion could
        #: lose what another claim adds.
        self.groups = OOBTree()
        #: Jobs due later, by `later_key`, and how many.
        self.later = Tree()
        self.later_count = 0
        #: Jobs that must begin by some time, by `deadline_key`.
        self.deadlines = Tree()

    def group(self, key: GroupKey) -> Group:
        """The group of that key, made if it is not there."""
        group = self.groups.get(tuple(key))
        if group is None:
            shards = 1 if key.system or key.quota_names else SHARDS
            group = self.groups[tuple(key)] = Group(shards)
        return group

    def count(self) -> int:
        """The number of entries, those that no longer count among them."""
        shards = (shard for group in self.groups.values() for shard in group.shards)
        return self.later_count + sum(shard.count for shard in shards)

    def entries(self) -> Any:
        """All entries, as (key of the entry, job), in no order."""
        for group in self.groups.values():
            for shard in group.shards:
                for key, job in shard.jobs.items():
                    yield entry_of(key), job
        for key, job in self.later.items():
            yield entry_of_later(key), job
