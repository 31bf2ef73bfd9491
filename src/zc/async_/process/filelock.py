"""File locks that the operating system frees when the process ends, in whatever way."""

import errno
import os
from typing import IO

import zc.lockfile


class FileLock(zc.lockfile.SimpleLockFile):
    """A lock, held by a bare descriptor.

    The lock has to last until the process ends, and a file object that is open then would cause a
    ResourceWarning. (`zc.lockfile.LockFile` would also write to the file.)
    """

    _fp: IO[str] | None

    def __init__(self, path: str) -> None:
        super().__init__(path)
        assert self._fp is not None
        self.descriptor = os.dup(self._fp.fileno())
        self._fp.close()
        self._fp = None

    def close(self) -> None:
        """Release the lock without unlocking it.

        After a fork, parent and child share the lock. Unlocking in the child would take it from the
        parent; closing only ends the child's share.
        """
        os.close(self.descriptor)


def lock(path: str) -> FileLock | None:
    """Return the lock on a file, or None if another process has it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
        TypeError: the platform has no locks.
    """
    try:
        return FileLock(path)
    except zc.lockfile.LockError as error:
        reason = error.__context__
        if isinstance(reason, OSError) and reason.errno not in (
            errno.EAGAIN,
            errno.EWOULDBLOCK,
            errno.EACCES,  # on Windows
        ):
            raise reason from None
        return None
