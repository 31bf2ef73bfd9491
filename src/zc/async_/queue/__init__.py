"""Queues with their lanes, backlog and quotas: where jobs wait, and how they are claimed."""

from zc.async_.queue import deadlocks, disused, lane, limited, serving
from zc.async_.queue.backlog import Backlog, Group, Shard, Tree
from zc.async_.queue.lane import Cursor, Lane, Segment
from zc.async_.queue.lanes import Lanes, records_of_tree
from zc.async_.queue.limited import Limited, Pile, indices
from zc.async_.queue.looking import waiting_in_batches
from zc.async_.queue.needing import Needing, Needs, Part, all_needing
from zc.async_.queue.places import Places

# Also `DispatcherAgents` and `Dispatchers` of the wing agent: the original had them here.
from zc.async_.queue.queue import DispatcherAgents, Dispatchers, Queue, Queues, getDefaultQueue
from zc.async_.queue.quota import Members, Quota, Quotas
from zc.async_.storing import record_as

__all__ = [
    "Backlog",
    "Cursor",
    "DispatcherAgents",
    "Dispatchers",
    "Group",
    "Lane",
    "Lanes",
    "Limited",
    "Members",
    "Needing",
    "Needs",
    "Part",
    "Pile",
    "Places",
    "Queue",
    "Queues",
    "Quota",
    "Quotas",
    "Segment",
    "Shard",
    "Tree",
    "all_needing",
    "deadlocks",
    "disused",
    "getDefaultQueue",
    "indices",
    "lane",
    "limited",
    "records_of_tree",
    "serving",
    "waiting_in_batches",
]

# Databases know these by name. A name stays here forever.
record_as(
    __name__,
    Backlog,
    Cursor,
    Group,
    Lane,
    Lanes,
    Limited,
    Members,
    Needing,
    Pile,
    Queue,
    Queues,
    Quota,
    Quotas,
    Segment,
    Shard,
    Tree,
    getDefaultQueue,
)
