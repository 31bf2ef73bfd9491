"""Removes lanes that nobody uses any more.

Each new instance has its own lanes, and each look at a queue reads something of every lane.
"""

import uuid
from collections.abc import Iterable

from persistent.TimeStamp import TimeStamp
from ZODB.utils import z64

from zc.async_.queue.lane import can_be_read
from zc.async_.queue.lanes import Lanes
from zc.async_.storing import snapshots

#: Seconds after which an unused lane may be removed.
DISUSED_AFTER = 24 * 3600

#: With more lanes than this, unused ones go sooner, the one that was used longest ago first.
MANY = 64
#: Seconds after which an unused lane may be removed if there are many.
DISUSED_AFTER_OF_MANY = 60


def are_many(lanes: Lanes) -> bool:
    """Whether looking at each lane costs so much that unused ones should go."""
    return len(lanes) > MANY


def remove_disused(lanes: Lanes, living: Iterable[uuid.UUID]) -> int:
    """Remove the lanes into which nobody put a job for a long time; return their number.

    Lanes of `living` instances stay. A transaction that puts a job into a removed lane conflicts,
    since each put writes the newest segment; its next try gets another lane.
    """
    # The storage's own time: it goes on only while the storage is in use.
    now = _time_of(snapshots.last_transaction(lanes.connection))
    left = len(lanes)
    removed = 0
    for used, key in sorted(_unused(lanes, living)):
        if now - used < (DISUSED_AFTER_OF_MANY if left > MANY else DISUSED_AFTER):
            continue
        lanes[key].newest._p_changed = True
        del lanes[key]
        left -= 1
        removed += 1
    return removed


def _unused(lanes: Lanes, living: Iterable[uuid.UUID]) -> list[tuple[float, str]]:
    """Lanes in which nothing waits: the time of the last use, and the key."""
    spared = tuple(f"{instance.hex}/" for instance in living)
    return [
        (_time_of(lane.newest._p_serial), key)
        for key, lane in lanes.items()
        if not key.startswith(spared)
        and can_be_read(lane)
        and not lane
        and lane.newest._p_serial != z64
    ]


def _time_of(serial: bytes) -> float:
    seconds: float = TimeStamp(serial).timeTime()
    return seconds
