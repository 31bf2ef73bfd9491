"""The backlog: what dispatchers have read from the lanes of a queue and not handed out.

Claims alone write it (see `zc.async_.queue.claim`). Everybody else changes the job: an entry counts
only while the job still names it, and one that does not is dropped when a claim comes across it. So
`remove`, `pull` and edits of a pending job meet a dispatcher only if both want the same job.

Jobs that may run now are in groups of those that the same conditions hold back, so that a claim
passes over all jobs of a full quota at once. Those that need places in quotas, of which there may
be many, are in a part of its own: see `zc.async_.queue.limited`.
"""

from typing import Any

import persistent
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree

from zc.async_.job import GroupKey, SortKey, later_key, rank_of


class Tree(OOBTree):
    """A BTree whose inner records stay small: they are written when a leaf comes or goes.

    (A ZEO server that does not know the class cannot merge changes of a tree of one leaf. Claims
    that want to change one conflict over the jobs anyway.)
    """

    max_internal_size = 32


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
    #: `zc.async_.queue.limited.Limited`; and their number. Changes of that are merged. (None: as
    #: above.)
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
