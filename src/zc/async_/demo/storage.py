"""The storage of an instance: one process uses it, and a full disk ends the run."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

import zc.lockfile
import ZODB.FileStorage
import ZODB.FileStorage.format
import ZODB.POSException

from zc.async_.demo import DemoError, folder
from zc.async_.demo.files import display

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Storage(ZODB.FileStorage.FileStorage):
    """A FileStorage that commits nothing more once a write has failed.

    The retry policies do not regard a full disk as a transient error: a job that needs much space
    would be recorded as failed, since this record needs little. The job has to stay an interrupted
    one, so nothing may be recorded after the error. Every commit of every thread comes through
    here, so this is also the right place to notice the error.
    """

    #: The first error. Set by any thread that commits, read by the main thread.
    error: OSError | None = None

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except OSError as error:
            if self.error is None:
                self.error = error
            raise

    def _check(self) -> None:
        if self.error is not None:
            raise OSError(self.error.errno, f"{self.error.strerror} (since an earlier commit)")

    def tpc_begin(self, *args: Any, **kwargs: Any) -> Any:
        """See `ZODB.interfaces.IStorage`."""
        with self._noticing():
            return super().tpc_begin(*args, **kwargs)

    def store(self, *args: Any, **kwargs: Any) -> Any:
        """See `ZODB.interfaces.IStorage`."""
        with self._noticing():
            return super().store(*args, **kwargs)

    def tpc_vote(self, *args: Any, **kwargs: Any) -> Any:
        """See `ZODB.interfaces.IStorage`."""
        with self._noticing():
            return super().tpc_vote(*args, **kwargs)

    def tpc_finish(self, *args: Any, **kwargs: Any) -> Any:
        """See `ZODB.interfaces.IStorage`. (No check: after the vote, the data is in the file.)"""
        try:
            return super().tpc_finish(*args, **kwargs)
        except OSError as error:
            self.error = self.error or error
            raise

    def abandon(self) -> None:
        """Close the files after an error, without what could not be written. For any thread.

        Python would try to write it when it collects the files, and from 3.13 on say that it
        cannot, with a traceback.
        """
        with self._lock:
            for file in (self._file, self._tfile):
                with contextlib.suppress(OSError):
                    file.close()


def open_storage(instance: str) -> Storage:
    """Open the database in the folder of an instance, made if it is missing.

    Raises DemoError if another process uses it, if it is no database, or if it cannot be read or
    made.
    """
    path = os.path.join(instance, folder.DATABASE)
    try:
        # FileStorage would find this out too, but would not close the files that it has opened.
        if not _may_be_database(path):
            raise folder.not_an_instance(instance)
        return Storage(path)
    except zc.lockfile.LockError:
        raise DemoError(
            f"the instance {display(instance)} is in use by another process: wait for it, or name "
            "another with --instance"
        ) from None
    except (ZODB.FileStorage.format.CorruptedError, ZODB.POSException.StorageError):
        raise folder.not_an_instance(instance) from None
    except OSError as error:
        raise write_error(error, instance) from None


def _may_be_database(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            magic = file.read(len(ZODB.FileStorage.packed_version))
    except FileNotFoundError:
        return True
    # An empty file: the process that made it was killed.
    return magic in (b"", ZODB.FileStorage.packed_version)


def write_error(error: OSError, instance: str, remedy: str = "") -> DemoError:
    """The DemoError for an error met when the database was opened or written.

    `remedy`: what to do then, by default to run it again.
    """
    problem = "no space to write" if error.errno in _NO_SPACE else "cannot read and write"
    return DemoError(
        f"{problem} in {display(instance)} ({error.strerror}): see to it and "
        + (remedy or "run it again")
    )
