"""The backlog: what dispatchers have read from the lanes of a queue and not handed out.

Claims alone write it (see `zc.async_.claim`). Everybody else changes the job: an entry counts only
while the job still names it, and one that does not is dropped when a claim comes across it. So
`remove`, `pull` and edits of a pending job meet a dispatcher only if both want the same job.

Jobs that may run now are in groups of those that the same conditions hold back, so that a claim
passes over all jobs of a full quota at once. Those that need places in quotas, of which there may
be many, are in a part of its own: see `zc.async_.limited`.
"""

import struct
from typing import Any, NamedTuple

import persistent
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree

#: Position of a waiting job among the others, as bytes that sort: rank, the time from which it may
#: run, the time of its arrival (microseconds), the key of its entry, its oid. Never equal for two
#: jobs. (As a tuple of numbers it takes several times as long to store.)
SortKey = bytes

#: Greater than every `SortKey`.
AFTER_ALL = b"\xff" * 64

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


def place_of(key: SortKey) -> bytes:
    """A `SortKey` without what every entry says by itself: its key and the oid of its job."""
    return key[:24]


def entry_key_part(entry_key: int) -> bytes:
    """The part of a `SortKey` that follows on `place_of`, before the oid."""
    return _NUMBER.pack(entry_key)


def later_key(key: SortKey) -> bytes:
    """The key of a job among those due later: its `SortKey` without the rank."""
    return key[8:]


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


#: Ranks of jobs due later that have trees of their own.
LATER_RANKS = 16


class Backlog(persistent.Persistent):
    """The waiting jobs that are in no lane."""

    #: Jobs due later: their rank to a tree of the jobs by `later_key`. The trees are few, and never
    #: deleted. (None: in a database of an older version.)
    later_by_rank: OOBTree | None = None
    #: Jobs with quotas: whether they are of the system, and who refused them, to a
    #: `zc.async_.limited.Limited`; and their number. Changes of that are merged. (None: as above.)
    limited: OOBTree | None = None
    limited_count: Length | None = None

    def __init__(self) -> None:
        #: `GroupKey` as a tuple to `Group`. Groups are few, and never deleted: a deletion could
        #: lose what another claim adds. (Older versions had jobs with quotas here, too; claims take
        #: these groups over.)
        self.groups = OOBTree()
        self.limited = OOBTree()
        self.limited_count = Length()
        self.later_by_rank = OOBTree()
        #: Those of which the rank is not known, or too rare: they are loaded to be put in order.
        self.later = Tree()
        #: How many are due later in all.
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
        limited = 0 if self.limited_count is None else int(self.limited_count())
        return self.later_count + limited + sum(shard.count for shard in shards)

    def add_later(self, key: SortKey, job: Any) -> None:
        """Add an entry due later. The caller counts."""
        if self.later_by_rank is None:
            self.later_by_rank = OOBTree()
        rank = rank_of(key)
        tree = self.later_by_rank.get(rank)
        if tree is None:
            full = len(self.later_by_rank) >= LATER_RANKS
            tree = self.later if full else self.later_by_rank.setdefault(rank, Tree())
        tree[later_key(key)] = job

    def ranked(self) -> list[tuple[bytes, Tree]]:
        """The trees of `later_by_rank`, with the ranks."""
        return [] if self.later_by_rank is None else list(self.later_by_rank.items())

    def later_trees(self) -> list[Tree]:
        """All trees of jobs due later: each is by `later_key`."""
        return [self.later, *(tree for _rank, tree in self.ranked())]
