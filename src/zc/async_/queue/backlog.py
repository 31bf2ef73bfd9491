"""The backlog: jobs that dispatchers have read from a queue's lanes and not handed out yet.

Only claims write it (see `zc.async_.queue.claim`). All others change the job: an entry counts only
while the job still names it. A claim that comes across an entry that does not count drops it. So
`remove`, `pull` and edits of a pending job conflict with a dispatcher only if both want the same
job.

Jobs that may run now are in groups; the same conditions hold back all jobs of a group. So a claim
passes over all jobs of a full quota at once. Jobs that need places in quotas, of which there may be
many, have their own part, and so have those that need labels: see `zc.async_.queue.limited` and
`zc.async_.queue.needing`.
"""

from typing import Any

import persistent
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree

from zc.async_.job import GroupKey, SortKey, later_key, rank_of


class Tree(OOBTree):
    """A BTree with small inner records, since each new or deleted leaf writes one again.

    (A ZEO server that does not know the class cannot merge changes of a tree with one leaf. Claims
    that change the same one conflict over the jobs anyway.)
    """

    max_internal_size = 32


#: How many shards a group has if its jobs wait only for their turn, and how many successive entries
#: go to the same shard: about as many as a dispatcher claims at once.
SHARDS = 8
STRETCH = 16


class Shard(persistent.Persistent):
    """A part of the jobs of a group, in a record of its own."""

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

    In a group with many jobs and no conditions, claims of several dispatchers may conflict. So
    stretches of the jobs are in different shards. Dispatchers that conflict turn to different
    shards first.
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


#: How many ranks of jobs due later get their own trees.
LATER_RANKS = 16


class Backlog(persistent.Persistent):
    """The waiting jobs that are in no lane."""

    #: Jobs due later: maps a rank to a tree of jobs by `later_key`. The trees are few, and never
    #: deleted. (None: in a database of an older version.)
    later_by_rank: OOBTree | None = None
    #: Jobs with quotas: maps (whether they belong to the system, the filters that refused them) to
    #: a `zc.async_.queue.limited.Limited`. The second attribute is their number, whose changes are
    #: merged. (None: as above.)
    limited: OOBTree | None = None
    limited_count: Length | None = None
    #: Jobs that need labels: maps the filters that refused them to a
    #: `zc.async_.queue.needing.Needing`. They are counted above. None as long as no claim has read
    #: such a job, due or not.
    needing: OOBTree | None = None

    def __init__(self) -> None:
        #: Maps a `GroupKey`, as a tuple without needs, to a `Group`. Groups are few, and never
        #: deleted, since that could lose jobs that another claim adds. (Older versions had jobs
        #: with quotas here, too; claims take these groups over.)
        self.groups = OOBTree()
        self.limited = OOBTree()
        self.limited_count = Length()
        self.later_by_rank = OOBTree()
        #: Jobs due later whose rank is unknown or rare: they have to be loaded to be put in order.
        self.later = Tree()
        #: How many jobs are due later, in all trees.
        self.later_count = 0
        #: Jobs that must begin by some time, by `deadline_key`.
        self.deadlines = Tree()

    def group(self, key: GroupKey) -> Group:
        """The group with that key, made if it is missing. Its jobs need no labels."""
        stored_key = key[:3]
        group = self.groups.get(stored_key)
        if group is None:
            shards = 1 if key.system or key.quota_names else SHARDS
            group = self.groups[stored_key] = Group(shards)
        return group

    def count(self) -> int:
        """The number of entries, including those that no longer count."""
        shards = (shard for group in self.groups.values() for shard in group.shards)
        limited = 0 if self.limited_count is None else int(self.limited_count())
        return self.later_count + limited + sum(shard.count for shard in shards)

    def add_later(self, key: SortKey, job: Any) -> None:
        """Add an entry due later. The caller changes `later_count`."""
        if self.later_by_rank is None:
            self.later_by_rank = OOBTree()
        rank = rank_of(key)
        tree = self.later_by_rank.get(rank)
        if tree is None:
            full = len(self.later_by_rank) >= LATER_RANKS
            tree = self.later if full else self.later_by_rank.setdefault(rank, Tree())
        tree[later_key(key)] = job

    def ranked(self) -> list[tuple[bytes, Tree]]:
        """The ranks and trees of `later_by_rank`."""
        return [] if self.later_by_rank is None else list(self.later_by_rank.items())

    def later_trees(self) -> list[Tree]:
        """All trees of jobs due later. Their keys are `later_key`s."""
        return [self.later, *(tree for _rank, tree in self.ranked())]
