"""Tells at once whether the process of a dispatcher on the same host lives, by file locks.

A process locks a file beside the UUID file for each dispatcher that it has. The operating system
frees the lock when the process ends. So a process that can see the file need not wait for missing
pings: the next process of the same instance, or a sibling on the same host. Only the pings tell of
dispatchers on other hosts, and where there are no locks.
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

#: Identifies one boot of one host. Containers of a host share it.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: How many earlier marks the file keeps. A process that has the lock may end before its record says
#: so, and that of an earlier one is still there; so may the next.
EARLIER = 100

#: Tries to get the lock, and seconds between them: a sibling that looks holds it for a moment.
TRIES = 3
INTERVAL = 0.02


class Holder(NamedTuple):
    """Names a lock, for records."""

    #: The boot id of the host; '' if it is not known.
    boot: str
    #: The locked file.
    path: str
    #: What the file begins with while this process holds it. In another container the same path may
    #: lead to another file.
    mark: str


class HeldElsewhereError(Exception):
    """Another living process has the lock. `args`: the path and the process id, '?' if unknown."""


class _Held(NamedTuple):
    holder: Holder
    lock: FileLock


_mutex = threading.Lock()
#: The locks of this process, by the bytes of the UUID. Under `_mutex`.
_held: dict[bytes, _Held] = {}


def hold(uuid_: uuid.UUID) -> Holder | None:
    """Lock the file of the dispatcher, unless this process has it; None if it cannot be locked.

    In any thread. Raises `HeldElsewhereError` if another process has the lock.
    """
    with _mutex:
        held = _held.get(uuid_.bytes)
        if held is None:
            try:
                held = _lock(lock_path(uuid_))
            except (OSError, TypeError):
                # The file cannot be made, or there are no locks.
                return None
            _held[uuid_.bytes] = held
        return held.holder


def release(uuid_: uuid.UUID) -> None:
    """Release the lock, because the dispatcher has left the queues. In any thread."""
    with _mutex:
        held = _held.pop(uuid_.bytes, None)
        if held is not None:
            held.lock.close()


def lock_path(uuid_: uuid.UUID) -> str:
    """The path of the file that is locked while a dispatcher of this instance lives."""
    return f"{instanceuuid.UUID_PATH}.{uuid_}.lock"


def _lock(path: str) -> _Held:
    for attempt in range(TRIES):
        lock = filelock.lock(path)
        if lock is not None:
            try:
                mark = uuid.uuid4().hex
                lines = [f"{mark} {os.getpid()}", *_marks(lock.descriptor)[:EARLIER]]
                content = "".join(f"{line}\n" for line in lines).encode()
                os.pwrite(lock.descriptor, content, 0)
                os.truncate(lock.descriptor, len(content))
                return _Held(Holder(_boot(), path, mark), lock)
            except BaseException:
                # Else it would seem to be somebody else's when this process asks again.
                lock.close()
                raise
        if attempt < TRIES - 1:
            time.sleep(INTERVAL)
    raise HeldElsewhereError(path, _process_id(path))


def _process_id(path: str) -> str:
    try:
        words = Path(path).read_text().partition("\n")[0].split()
    except OSError:
        return "?"
    return words[1] if len(words) == 2 else "?"


def _marks(descriptor: int) -> list[str]:
    """The marks of all that have, or had, the lock, as far as the file knows: the newest first."""
    found = os.pread(descriptor, 100 * (EARLIER + 1), 0).decode("ascii", "replace")
    return [line.split()[0] for line in found.splitlines() if line.strip()]


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

    Also False if this process cannot know.
    """
    if holder is None or not holder.boot or holder.boot != _boot():
        return False
    import fcntl  # it exists, since there is a boot id

    try:
        descriptor = os.open(holder.path, os.O_RDONLY)
    except OSError:
        return False
    try:
        if holder.mark in _marks(descriptor)[1:]:
            # Somebody got the lock after it, whether or not he lives.
            return True
        # A shared lock, so that processes that look do not disturb each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return holder.mark in _marks(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _after_fork() -> None:
    """Close the locks in the child: they belong to the parent."""
    global _mutex
    _mutex = threading.Lock()
    for held in _held.values():
        held.lock.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
