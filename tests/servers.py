"""Fixtures of tests with a database that processes share, for those who import them."""

import pytest

from benchmarks.storages import add_queue
from benchmarks.workers import wait_until
from tests.processes import PATIENCE
from tests.zeoservers import server
from zc.async_.interfaces import COMPLETED


@pytest.fixture
def zeo(tmp_path, base):
    """A ZEO server of a FileStorage with a queue."""
    with server(tmp_path) as running:
        yield running


@pytest.fixture(params=["ZEO", pytest.param("RelStorage", marks=pytest.mark.slow)])
def shared(request, tmp_path, base):
    """A database with a queue that processes share: what opens it, and tells others how to."""
    if request.param == "ZEO":
        with server(tmp_path) as running:
            yield running
        return
    zodb = request.getfixturevalue("zodb")
    with zodb.database() as database:
        add_queue(database)
    yield zodb


@pytest.fixture
def database(shared):
    """The database as a client of the server sees it."""
    with shared.database() as database:
        yield database


@pytest.fixture
def see(client):
    """Waits until the database says so. (A client of ZEO hears of commits a little later.)"""

    def see(look):
        def look_anew():
            client.manager.begin()
            return look()

        wait_until(look_anew, PATIENCE)

    return see


@pytest.fixture
def wait_for(see):
    """Waits until all of some jobs are completed."""

    def wait_for(*jobs):
        see(lambda: all(job.status == COMPLETED for job in jobs))

    return wait_for
