"""How often a dispatcher asks the server what others have committed, and that it does in time."""

import contextlib

import pytest
import ZODB.Connection

import zc.async_.configure
from tests.processes import Entry
from tests.races import parties
from zc.async_ import local
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job
from zc.async_.storing import oids


class Nosy(Job):
    """Its tearDown looks into the database."""

    def tearDown(self, setup_info):
        parties.done.append(self._p_jar.root()["entry"].value)


def look_and_change():
    """Load an object, and let somebody else change it before that is committed."""
    look()
    parties.call_hook()
    local.getJob().annotations["changed"] = True


def look(result=None):
    parties.done.append(local.getJob()._p_jar.root()["entry"].value)


@pytest.fixture
def client(database):
    zc.async_.configure.base()
    parties.make_queue(database)
    with contextlib.closing(parties.Client(database)) as client:
        client.root["entry"] = Entry()
        client.root["entry"].value = 0
        client.manager.commit()
        yield client
    parties.done.clear()


@pytest.fixture
def dispatcher(database, client):
    with contextlib.closing(parties.Dispatcher(database)) as dispatcher:
        oids.guard(dispatcher.connection)
        yield dispatcher


@pytest.fixture
def looks(monkeypatch):
    """The connections that have looked."""
    looks = []
    new_transaction = ZODB.Connection.Connection.newTransaction

    def note(connection, *args):
        looks.append(connection)
        new_transaction(connection, *args)

    monkeypatch.setattr(ZODB.Connection.Connection, "newTransaction", note)
    return looks


@pytest.fixture
def change(database):
    """Change the object when a job lets somebody."""

    def change():
        with contextlib.closing(parties.Client(database)) as other:
            other.root["entry"].value = 5
            other.manager.commit()

    parties.set_hook(change)


@pytest.fixture
def run(client, dispatcher):
    """Have a job run as in a worker."""

    def run(job):
        client.queue.put(job)
        client.manager.commit()
        (claimed,) = dispatcher.claim()
        dispatcher.run(claimed)
        client.manager.begin()
        assert job.status == COMPLETED

    return run


def test_a_worker_asks_once_for_a_job(client, dispatcher, looks):
    job = client.queue.put(parties.nothing)
    client.manager.commit()
    (claimed,) = dispatcher.claim()
    looks.clear()
    dispatcher.run(claimed)
    # The second time it is the test that aborts something.
    assert looks.count(dispatcher.connection) == 2
    client.manager.begin()
    assert job.status == COMPLETED


def test_a_poll_asks_when_it_begins_and_after_its_commit(client, dispatcher, looks):
    client.queue.put(parties.nothing)
    client.manager.commit()
    looks.clear()
    assert dispatcher.poll().jobs
    connection = dispatcher.poller._connection
    assert looks.count(connection) == 2
    dispatcher.poller.close()
    # As any other connection, from now on.
    assert not vars(connection)["newTransaction"].is_soon_begun


def test_a_tear_down_sees_what_others_have_committed(run, change):
    run(Nosy(look_and_change))
    assert parties.done == [0, 5]


def test_so_does_a_callback(run, change):
    job = Job(look_and_change)
    job.addCallback(look)
    run(job)
    assert parties.done == [0, 5]


def test_what_is_loaded_before_the_next_look_is_no_older_than_the_commit(
    database, client, dispatcher, looks
):
    """The record may have been dropped from the cache meanwhile."""
    zc.async_.relstorage.look_once(dispatcher.connection)
    entry = dispatcher.root["entry"]
    entry.value = 1
    looks.clear()
    dispatcher.manager.commit()
    assert looks == []
    entry._p_deactivate()
    assert entry.value == 1
    zc.async_.relstorage.look_once(dispatcher.connection, False)
