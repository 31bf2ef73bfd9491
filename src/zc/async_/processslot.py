"""A small number that no other living process of this instance has.

Processes may share a UUID file: by forking, by a mistake, or because only one of them runs a
dispatcher. Each takes a slot, an operating-system lock on a file beside the UUID file. The system
frees it with the process, however that ends.
"""

import errno
import logging
import os
import threading
from typing import IO

import zc.lockfile

import zc.async_.instanceuuid

#: Tried before giving up; far more processes than would share a file.
MAX_SLOTS = 1000

logger = logging.getLogger(__name__)


class _SlotLock(zc.lockfile.SimpleLockFile):
    """The lock on a slot's file, held by a bare descriptor.

    A file object would be reported as one that nobody closed when the process ends, and that is
    just when the lock is to end. (`zc.lockfile.LockFile` would write to the file, too.)
    """

    _fp: IO[str] | None

    def __init__(self, path: str) -> None:
        super().__init__(path)
        assert self._fp is not None
        self._descriptor = os.dup(self._fp.fileno())
        self._fp.close()
        self._fp = None

    def close(self) -> None:
        """Let the lock go without unlocking it.

        After a fork parent and child have the lock in common. To unlock it in the child would take
        it from the parent; closing only ends the child's part in it.
        """
        os.close(self._descriptor)


class _Process:
    """What this process holds. A forked child starts with a new one.

    Attributes:
        mutex: held while the slot is taken; any thread may ask for it first.
        slot: the number, None as long as nobody has asked. Written under `mutex`, read by all.
        lock: the lock, None if there is none.
    """

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self.slot: int | None = None
        self.lock: _SlotLock | None = None


_process = _Process()


def process_slot() -> int:
    """Return this process's slot: the lowest number that was free when it was first asked for.

    Where locks cannot be had, in a read-only folder or on a file system that has none, it is 0 and
    not unique: processes then only conflict more.
    """
    process = _process
    if process.slot is None:
        with process.mutex:
            if process.slot is None:
                process.slot, process.lock = _take_slot()
    return process.slot


def lock_path(slot: int) -> str:
    """Return the path of the file whose lock means that `slot` is taken."""
    return f"{zc.async_.instanceuuid.UUID_PATH}.{slot}.lock"


def _take_slot() -> tuple[int, _SlotLock | None]:
    """Return the lowest free slot and its lock, or 0 and None where there are no locks."""
    try:
        for slot in range(MAX_SLOTS):
            lock = _lock(lock_path(slot))
            if lock is not None:
                return slot, lock
        problem = f"all of {MAX_SLOTS} are taken"
    except (OSError, TypeError) as error:  # zc.lockfile's TypeError: a platform without locks
        problem = str(error)
    logger.debug(
        "no lock beside %s, process slot 0 is not unique: %s",
        zc.async_.instanceuuid.UUID_PATH,
        problem,
    )
    return 0, None


def _lock(path: str) -> _SlotLock | None:
    """Return the lock on a file, or None if another process has it.

    Raises:
        OSError: the file cannot be opened or its file system has no locks.
    """
    try:
        return _SlotLock(path)
    except zc.lockfile.LockError as error:
        reason = error.__context__
        if isinstance(reason, OSError) and reason.errno not in (
            errno.EAGAIN,
            errno.EWOULDBLOCK,
            errno.EACCES,  # what Windows says
        ):
            raise reason from None
        return None


def _after_fork() -> None:
    """Let go, in the child, of what is the parent's; the child takes a slot when it needs one."""
    global _process
    inherited, _process = _process, _Process()
    if inherited.lock is not None:
        inherited.lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
