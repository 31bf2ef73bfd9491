"""Whether the process of a dispatcher lives, as its own host knows it at once.

A process locks a file beside the UUID file for each dispatcher it has. The operating system frees
the lock with the process, so whoever can look at the file - the next process of the same instance,
a sibling on the same host - need not wait for the pings to be missed. What is true of other hosts,
and where there are no locks, is left to the pings.
"""

import functools
import os
import threading
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from zc.async_.process import filelock, instanceuuid
from zc.async_.process.filelock import FileLock

#: Tells one boot of one host from all others. Containers of a host share it.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Tries to get the lock, and seconds between them: a sibling that looks has it for a moment.
TRIES = 3
INTERVAL = 0.02


class Holder(NamedTuple):
    """Names a lock, for records."""

    #: The boot of the host; '' where that is not known.
    boot: str
    #: The locked file.
    path: str
    #: What the file says while this process has it. A file of the same path may be another one, in
    #: another container.
    mark: str


class HeldElsewhereError(Exception):
    """Another living process has the lock. `args`: the path, and the process id if it is known."""


class _Held(NamedTuple):
    holder: Holder
    lock: FileLock


_mutex = threading.Lock()
#: What this process holds, by the bytes of the UUID. Under `_mutex`.
_held: dict[bytes, _Held] = {}


def hold(uuid_: uuid.UUID) -> Holder | None:
    """Lock the file of the dispatcher, unless this process has done so; None where it cannot.

    In any thread. Raises `HeldElsewhereError` if another process has it.
    """
    with _mutex:
        held = _held.get(uuid_.bytes)
        if held is None:
            try:
                held = _lock(lock_path(uuid_))
            except (OSError, TypeError):
                # No place for files, or no locks there.
                return None
            _held[uuid_.bytes] = held
        return held.holder


def release(uuid_: uuid.UUID) -> None:
    """Let go of the lock, because the dispatcher has left the queues. In any thread."""
    with _mutex:
        held = _held.pop(uuid_.bytes, None)
        if held is not None:
            held.lock.close()


def lock_path(uuid_: uuid.UUID) -> str:
    """The file that is locked while a dispatcher of this instance lives."""
    return f"{instanceuuid.UUID_PATH}.{uuid_}.lock"


def _lock(path: str) -> _Held:
    for attempt in range(TRIES):
        lock = filelock.lock(path)
        if lock is not None:
            mark = uuid.uuid4().hex
            os.truncate(lock.descriptor, 0)
            os.pwrite(lock.descriptor, f"{mark} {os.getpid()}\n".encode(), 0)
            return _Held(Holder(_boot(), path, mark), lock)
        if attempt < TRIES - 1:
            time.sleep(INTERVAL)
    raise HeldElsewhereError(path, _process_id(path))


def _process_id(path: str) -> str:
    try:
        words = Path(path).read_text().split()
    except OSError:
        return "?"
    return words[1] if len(words) == 2 else "?"


def _boot() -> str:
    return _read_boot_id(_BOOT_ID)


@functools.cache
def _read_boot_id(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def is_gone(holder: Holder | None) -> bool:
    """Whether the process that had the lock is known to have ended. In any thread.

    False also if this cannot be known here.
    """
    if holder is None or not holder.boot or holder.boot != _boot():
        return False
    import fcntl  # there, since there is a boot id

    try:
        descriptor = os.open(holder.path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, so that those who look do not get in each other's way.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return os.pread(descriptor, 100, 0).split()[:1] == [holder.mark.encode()]
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _after_fork() -> None:
    """What is held is the parent's."""
    global _mutex
    _mutex = threading.Lock()
    for held in _held.values():
        held.lock.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
