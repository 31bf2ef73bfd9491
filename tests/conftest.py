"""What every test has around it: a process as good as new, and no thread left behind.

Nothing here needs to be asked for but `db`. A test that wants a dispatcher stops it itself, best
with `zc.async_.testing.tear_down_dispatcher`.
"""

import atexit
import os
import signal
import sys
import tempfile
import threading
import time
import uuid

import pytest

# Importing zc.async_.process.instanceuuid makes the file of the UUID: not in the checkout, please.
_folder = tempfile.TemporaryDirectory(prefix="zc.async-tests-")
atexit.register(_folder.cleanup)
os.environ.setdefault("ZC_ASYNC_UUID", os.path.join(_folder.name, "uuid.txt"))

# A shell has the commands that it runs in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis  # noqa: E402
import ZODB  # noqa: E402
import zope.testing.cleanup  # noqa: E402
from ZODB.FileStorage import FileStorage  # noqa: E402

import zc.async_.dispatcher  # noqa: E402
import zc.async_.process.instanceuuid  # noqa: E402
import zc.async_.process.processslot  # noqa: E402
import zc.async_.queue  # noqa: E402
import zc.async_.running.interruptions  # noqa: E402
import zc.async_.subscribers  # noqa: E402
import zc.async_.testing  # noqa: E402
from tests.postgres import postgres, zodb  # noqa: E402

__all__ = ["postgres", "zodb"]

# What a test wrote has to outlive its process, and not this machine: by far most of the time of a
# commit is that of the disk.
sys.modules[FileStorage.__module__].fsync = None

#: Real seconds that threads of dispatchers are given to end after a test.
PATIENCE = 30

# A busy machine is no fault of a test: examples may take their time, to be made as well as to be
# tried. All examples of a test have the fixtures that it was given.
hypothesis.settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_respite(monkeypatch):
    """Interrupted jobs of tests, whose time often stands still, need not wait."""
    monkeypatch.setattr(zc.async_.running.interruptions, "RESPITE", 0)


@pytest.fixture(autouse=True)
def no_puts_before(monkeypatch):
    """The time of a put is later than that of all before in this process, not in other tests."""
    monkeypatch.setattr(zc.async_.queue.queue, "_last_key", 0)


@pytest.fixture(autouse=True)
def identity(tmp_path, monkeypatch):
    """An instance of its own for each test: its UUID and the file of it, and its process slot."""
    path = tmp_path / "uuid.txt"
    instance = uuid.uuid4()
    path.write_text(f"{instance}\n")
    monkeypatch.setenv("ZC_ASYNC_UUID", str(path))
    monkeypatch.setattr(zc.async_.process.instanceuuid, "UUID", instance)
    monkeypatch.setattr(zc.async_.process.instanceuuid, "UUID_PATH", str(path))
    process = zc.async_.process.processslot._Process()
    monkeypatch.setattr(zc.async_.process.processslot, "_process", process)
    yield instance
    if process.lock is not None:
        process.lock.close()


@pytest.fixture
def pinned(clean_process):
    """Time stands still at `BEGINNING` until the test lets some pass."""
    zc.async_.testing.set_now(zc.async_.testing.BEGINNING)


@pytest.fixture
def reactor():
    """A virtual reactor that runs."""
    reactor = zc.async_.testing.Reactor()
    reactor.start()
    yield reactor
    reactor.stop()


@pytest.fixture(autouse=True)
def clean_process(identity):
    """No components, dispatchers, pinned time, signal handlers or threads of an earlier test.

    Fails a test that leaves threads of dispatchers behind.
    """
    zope.testing.cleanup.cleanUp()
    yield
    left = _threads_left()
    for reactor in list(zc.async_.testing.reactor.running):
        reactor.crash()
    zc.async_.testing.tearDownDatetime()
    zc.async_.dispatcher.clear()
    zc.async_.subscribers.restore_signal_handlers()
    zope.testing.cleanup.cleanUp()
    assert not left, f"the test left threads behind, stop its dispatchers: {left}"


def _threads_left():
    """The threads of dispatchers that live and do not end by themselves in a while."""
    end = time.monotonic() + PATIENCE
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("zc.async ")]
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


@pytest.fixture
def db(tmp_path):
    """A database in a file, which has conflict resolution and MVCC."""
    database = ZODB.DB(FileStorage(str(tmp_path / "data.fs")))
    yield database
    database.close()
