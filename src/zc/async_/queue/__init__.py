"""Where jobs wait, and how they are claimed: queues with their lanes, backlog and quotas."""

from zc.async_.queue import disused, lane, limited
from zc.async_.queue.backlog import Backlog, Group, Shard, Tree
from zc.async_.queue.lane import Cursor, Lane, Segment
from zc.async_.queue.lanes import Lanes, records_of_tree
from zc.async_.queue.limited import Limited, Pile, indices
from zc.async_.queue.looking import waiting_in_batches
from zc.async_.queue.places import Places

# `DispatcherAgents` and `Dispatchers`, of agents, too: the original had them here.
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
    "Pile",
    "Places",
    "Queue",
    "Queues",
    "Quota",
    "Quotas",
    "Segment",
    "Shard",
    "Tree",
    "disused",
    "getDefaultQueue",
    "indices",
    "lane",
    "limited",
    "records_of_tree",
    "waiting_in_batches",
]

# What databases know by name. A name that is here once stays.
record_as(
    __name__,
    Backlog,
    Cursor,
    Group,
    Lane,
    Lanes,
    Limited,
    Members,
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
