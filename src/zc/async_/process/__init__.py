"""The identity of this process, and whether others live: UUID, slot, locks, dispatchers.

Imports from the ground floor only.
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
