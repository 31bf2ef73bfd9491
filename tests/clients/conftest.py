"""An application's process: a database, on a file or a ZEO server, and a dispatcher."""

import pytest
import transaction
import ZODB
from ZODB.FileStorage import FileStorage

import zc.async_.configure
import zc.async_.testing
from benchmarks.storages import server
from zc.async_.interfaces import IQueue

#: Real seconds that jobs are given.
PATIENCE = 90


@pytest.fixture(params=["file", pytest.param("zeo", marks=pytest.mark.slow)])
def database(request, tmp_path):
    """A database that is empty."""
    if request.param == "file":
        database = ZODB.DB(FileStorage(str(tmp_path / "data.fs")))
        yield database
        database.close()
        return
    with server(tmp_path) as running, running.database() as database:
        yield database


@pytest.fixture
def connection(database):
    """The connection of the application, in the thread's transaction manager."""
    connection = database.open()
    yield connection
    transaction.abort()
    connection.close()


@pytest.fixture
def start(database):
    """Starts the dispatcher; it is stopped in the end, before the database is closed."""

    def start(**options):
        zc.async_.configure.base()
        zc.async_.configure.start(database, poll_interval=1, **options)

    yield start
    zc.async_.configure.stop()


@pytest.fixture
def queue(connection, start):
    """The usual queue of a process that runs jobs."""
    start()
    transaction.begin()
    return IQueue(connection)


@pytest.fixture
def wait_for():
    """Commits, and waits for the results of jobs."""

    def wait_for(*jobs):
        transaction.commit()
        return [zc.async_.testing.wait_for_result(job, PATIENCE) for job in jobs]

    return wait_for
