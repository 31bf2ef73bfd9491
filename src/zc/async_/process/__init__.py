"""Who this process is, and whether others live: its UUID, its slot, its locks, its dispatchers.

Stands on the ground floor alone.
"""

from zc.async_.process import instanceuuid, liveness, observing, processslot, registry
from zc.async_.process.instanceuuid import getUUID
from zc.async_.process.liveness import Holder
from zc.async_.process.registry import clear, get, pop

__all__ = [
    "Holder",
    "clear",
    "get",
    "getUUID",
    "instanceuuid",
    "liveness",
    "observing",
    "pop",
    "processslot",
    "registry",
]
