"""The backlog: what dispatchers have read from the lanes of a queue and not handed out.

Claims alone write it (see `zc.async_.claim`). Everybody else changes the job: an entry counts only
while the job still names it, and one that does not is dropped when a claim comes across it. So
`remove`, `pull` and edits of a pending job meet a dispatcher only if both want the same job.

Jobs that may run now are in groups of those that the same conditions hold back, so that a claim
passes over all jobs of a full quota at once.
"""

from typing import Any, NamedTuple

import persistent
from BTrees.OOBTree import OOBTree

#: Position of a waiting job among the others: rank, the time from which it may run, the time of its
#: arrival (microseconds), the key of its entry, its oid. Never equal for two jobs, so that jobs are
#: never compared.
SortKey = tuple[int, int, int, int, bytes]

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


class Group(persistent.Persistent):
    """Jobs that may run as soon as the conditions of the group allow."""

    def __init__(self) -> None:
        self.jobs = OOBTree()


class Backlog(persistent.Persistent):
    """The waiting jobs that are in no lane."""

    def __init__(self) -> None:
        #: `GroupKey` as a tuple to `Group`. Groups are few, and never deleted: a deletion could
        #: lose what another claim adds.
        self.groups = OOBTree()
        #: Jobs due later, by `SortKey` without the rank.
        self.later = OOBTree()
        #: Jobs that must begin by some time, by (time, key of the entry, oid).
        self.deadlines = OOBTree()
        #: Entries of the groups and of `later`, those that no longer count among them.
        self.count = 0

    def group(self, key: GroupKey) -> Group:
        """The group of that key, made if it is not there."""
        group = self.groups.get(tuple(key))
        if group is None:
            group = self.groups[tuple(key)] = Group()
        return group

    def entries(self) -> Any:
        """All entries, as (key of the entry, job), in no order."""
        for group in self.groups.values():
            for key, job in group.jobs.items():
                yield key[3], job
        for key, job in self.later.items():
            yield key[2], job
