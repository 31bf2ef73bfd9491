"""The folder in which workers keep their identities from one process to the next.

Locks of the operating system say who is alive, and are freed with the process that has them. The
supervisor locks the folder. A worker has the lock of its slot as long as it lives, even if the
supervisor died before: the next supervisor must not start a second worker of that identity.
"""

import contextlib
import fcntl
import os

from zc.async_.worker import WorkerError

#: Names in the folder.
_LOCK = "supervisor.lock"
_SLOT_LOCK = "worker-{}.lock"
_UUID = "worker-{}.uuid"


class StateFolder:
    """A folder that belongs to this process as long as it lives."""

    def __init__(self, path: str) -> None:
        """Make the folder if it is missing, and lock it.

        Raises WorkerError if another supervisor has it, or if it cannot be used.
        """
        self.path = path
        try:
            os.makedirs(path, exist_ok=True)
            # Never closed: the lock is to be freed with this process.
            descriptor = _lock(os.path.join(path, _LOCK))
        except OSError as error:
            raise WorkerError(
                f"cannot keep the state in {path}: {error.strerror or error}: name another folder "
                "with --state, which this process may write to",
                2,
            ) from None
        if descriptor is None:
            raise WorkerError(
                f"the state folder {path} is in use by another supervisor"
                f"{_by(os.path.join(path, _LOCK))}: end that, or name another folder with --state"
            )
        self._descriptor = descriptor
        _write(descriptor, os.getpid())

    def uuid_path(self, number: int) -> str:
        """The path of the file with the identity of a worker. It is made by that."""
        return os.path.join(self.path, _UUID.format(number))

    def lock_slot(self, number: int) -> int | None:
        """Lock a slot for a process that is to be started; None if a process has the lock.

        Returns a descriptor, which that process has to inherit. The lock lasts until all copies of
        the descriptor are closed. Raises OSError.
        """
        return _lock(os.path.join(self.path, _SLOT_LOCK.format(number)))

    def holder(self, number: int) -> str:
        """Tell which process has a slot, " (process 123)"; "" if that is not known."""
        return _by(os.path.join(self.path, _SLOT_LOCK.format(number)))


def note_holder(descriptor: int, process_id: int) -> None:
    """Write into the file of a lock which process has it, for people."""
    with contextlib.suppress(OSError):
        _write(descriptor, process_id)


def _lock(path: str) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(descriptor: int, process_id: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{process_id}\n".encode(), 0)


def _by(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return f" (process {int(file.read(20))})"
    except (OSError, ValueError):
        return ""
