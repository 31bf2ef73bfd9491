"""The storage of an instance when writing fails."""

import errno
import gc
import sys

import pytest
import transaction
import ZODB

import zc.async_.demo.storage
from tests.demo.tools import file_limit
from tests.participants import Bystander
from zc.async_.demo import DemoError
from zc.async_.demo.storage import open_storage, write_error


@pytest.fixture
def storage(tmp_path):
    opened = open_storage(str(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def root(storage):
    database = ZODB.DB(storage)
    connection = database.open()
    yield connection.root()
    transaction.abort()
    connection.close()


def refuse(error):
    """Something in place of a write that fails."""

    def fail(*args):
        raise error

    return fail


def test_nothing_is_committed_once_the_disk_was_full(storage, root, tmp_path):
    root["before"] = 1
    transaction.commit()
    root["large"] = b"x" * 8_000_000
    with file_limit(4_000_000), pytest.raises(OSError, match="File too large"):
        transaction.commit()
    transaction.abort()
    assert storage.error.errno == errno.EFBIG
    # This would have its place.
    root["small"] = 1
    with pytest.raises(OSError, match="since an earlier commit"):
        transaction.commit()
    transaction.abort()
    assert dict(root) == {"before": 1}


def test_commit_under_way_when_another_fails_is_refused(storage, root):
    root["a"] = 1
    transaction.get().join(FailLate(storage))
    with pytest.raises(OSError, match="since an earlier commit"):
        transaction.commit()
    transaction.abort()
    assert dict(root) == {}


class FailLate(Bystander):
    """A data manager that is asked after the connection has stored, and before it votes."""

    def __init__(self, storage):
        self.storage = storage

    def commit(self, transaction):
        self.storage.error = OSError(errno.ENOSPC, "No space left on device")


def test_a_storage_that_is_abandoned_leaves_nothing_to_be_written(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    storage = open_storage(str(tmp_path))
    with file_limit(1000):
        storage._file.seek(2000)
        # In the memory of Python still.
        storage._file.write(b"x")
        storage.abandon()
        storage._lock_file.close()
        del storage
        gc.collect()
    assert told == []


def test_error_of_the_last_step_counts_too(storage, root, monkeypatch):
    # The method is there for tests to break.
    monkeypatch.setattr(storage, "_finish_finish", refuse(OSError(errno.EIO, "broken")))
    root["a"] = 1
    with pytest.raises(OSError, match="broken"):
        transaction.commit()
    transaction.abort()
    assert storage.error.errno == errno.EIO


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "no space to write in"),
        (errno.EDQUOT, "no space to write in"),
        (errno.EFBIG, "no space to write in"),
        (errno.EIO, "cannot read and write in"),
    ],
)
def test_errors_are_told_apart(number, text):
    assert text in str(write_error(OSError(number, "because"), "/instance"))


def test_database_in_use(storage, tmp_path):
    with pytest.raises(DemoError, match="in use by another process"):
        open_storage(str(tmp_path))


def test_file_that_is_no_database(tmp_path):
    (tmp_path / "demo.fs").write_bytes(b"something else entirely")
    with pytest.raises(DemoError, match="is no instance of the demo"):
        open_storage(str(tmp_path))


def test_database_that_was_not_begun(tmp_path):
    (tmp_path / "demo.fs").touch()
    open_storage(str(tmp_path)).close()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "Permission denied"), r"cannot read and write .*Permission denied"),
        (ZODB.POSException.StorageError("damaged"), "is no instance of the demo"),
    ],
)
def test_database_that_cannot_be_opened(error, text, tmp_path, monkeypatch):
    monkeypatch.setattr(zc.async_.demo.storage, "Storage", refuse(error))
    with pytest.raises(DemoError, match=text):
        open_storage(str(tmp_path))
