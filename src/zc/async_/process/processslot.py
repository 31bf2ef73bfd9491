"""The process slot: a small number that no other living process of this instance has.

Processes may share a UUID file: by forking, by mistake, or because only one of them runs a
dispatcher. Each takes a slot, which is an operating-system lock on a file beside the UUID file. The
system frees it when the process ends, in whatever way.
"""

import logging
import os
import threading

from zc.async_.process import filelock, instanceuuid
from zc.async_.process.filelock import FileLock

#: How many slots are tried before giving up: far more than processes that would share a file.
MAX_SLOTS = 1000

logger = logging.getLogger(__name__)


class _Process:
    """The slot of this process. A forked child starts with a new instance.

    Attributes:
        mutex: held while the slot is taken; any thread may be the first to ask for the slot.
        slot: the number, None until somebody asks. Written under `mutex`, read by all.
        lock: the lock, None if there is none.
    """

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self.slot: int | None = None
        self.lock: FileLock | None = None


_process = _Process()


def process_slot() -> int:
    """Return this process's slot: the lowest number that was free at the first call.

    Without locks, in a read-only folder or on a file system that has none, it is 0 and not unique.
    The only effect is more conflicts between processes.
    """
    process = _process
    if process.slot is None:
        with process.mutex:
            if process.slot is None:
                process.slot, process.lock = _take_slot()
    return process.slot


def lock_path(slot: int) -> str:
    """Return the path of the file whose lock means that `slot` is taken."""
    return f"{instanceuuid.UUID_PATH}.{slot}.lock"


def _take_slot() -> tuple[int, FileLock | None]:
    """Return the lowest free slot and its lock, or 0 and None where there are no locks."""
    try:
        for slot in range(MAX_SLOTS):
            lock = filelock.lock(lock_path(slot))
            if lock is not None:
                return slot, lock
        problem = f"all of {MAX_SLOTS} are taken"
    except (OSError, TypeError) as error:  # zc.lockfile's TypeError: a platform without locks
        problem = str(error)
    logger.debug(
        "no lock beside %s, process slot 0 is not unique: %s",
        instanceuuid.UUID_PATH,
        problem,
    )
    return 0, None


def _after_fork() -> None:
    """Release the parent's slot in the child. The child takes its own when it needs one."""
    global _process
    inherited, _process = _process, _Process()
    if inherited.lock is not None:
        inherited.lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
