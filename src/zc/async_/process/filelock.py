"""Locks on files that the operating system frees with the process, however that ends."""

import errno
import os
from typing import IO

import zc.lockfile


class FileLock(zc.lockfile.SimpleLockFile):
    """A lock, held by a bare descriptor.

    A file object would be reported as one that nobody closed when the process ends, and that is
    just when the lock is to end. (`zc.lockfile.LockFile` would write to the file, too.)
    """

    _fp: IO[str] | None

    def __init__(self, path: str) -> None:
        super().__init__(path)
        assert self._fp is not None
        self.descriptor = os.dup(self._fp.fileno())
        self._fp.close()
        self._fp = None

    def close(self) -> None:
        """Let the lock go without unlocking it.

        After a fork parent and child have the lock in common. To unlock it in the child would take
        it from the parent; closing only ends the child's part in it.
        """
        os.close(self.descriptor)


def lock(path: str) -> FileLock | None:
    """Return the lock on a file, or None if somebody else has it.

    Raises:
        OSError: the file cannot be opened or its file system has no locks.
        TypeError: the platform has none.
    """
    try:
        return FileLock(path)
    except zc.lockfile.LockError as error:
        reason = error.__context__
        if isinstance(reason, OSError) and reason.errno not in (
            errno.EAGAIN,
            errno.EWOULDBLOCK,
            errno.EACCES,  # what Windows says
        ):
            raise reason from None
        return None
