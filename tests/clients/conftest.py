"""An application's process: a database of any kind, and a dispatcher."""

import pytest
import transaction

import zc.async_.configure
import zc.async_.testing
from tests import storages
from zc.async_.interfaces import IQueue

#: Real seconds that jobs are given.
PATIENCE = 90


@pytest.fixture(params=storages.KINDS)
def database(request, tmp_path):
    """A database that is empty."""
    with storages.opened(request.param, request, tmp_path) as database:
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
