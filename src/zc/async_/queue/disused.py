"""Lanes that nobody uses any more are removed.

Each new instance has lanes of its own, and whoever looks at a queue reads something of each lane.
"""

import uuid
from collections.abc import Iterable

from persistent.TimeStamp import TimeStamp
from ZODB.utils import z64

from zc.async_.queue.lane import can_be_read
from zc.async_.queue.lanes import Lanes

#: Seconds after which a lane that nobody used may be removed.
DISUSED_AFTER = 24 * 3600

#: From that many lanes on they go sooner, the one that was used longest ago first.
MANY = 64
#: Seconds after which a lane that nobody used may be removed where there are many.
DISUSED_AFTER_OF_MANY = 60


def are_many(lanes: Lanes) -> bool:
    """Whether a look at each lane costs so much that unused ones should go."""
    return len(lanes) > MANY


def remove_disused(lanes: Lanes, living: Iterable[uuid.UUID]) -> int:
    """Remove the lanes that nobody put anything into for long; return how many these were.

    Those of instances that are `living` are left. Whoever still puts something into one that is
    removed conflicts, and has another at his next try: each put writes the newest segment.
    """
    # By the clock of the storage, and as long as it was in use.
    now = _time_of(lanes.database.lastTransaction())
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
    """Lanes in which nothing waits: when each was used last, and its key."""
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
