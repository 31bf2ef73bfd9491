"""What a commit tells dispatchers of other processes."""

import selectors

import pytest
import transaction
from ZODB.POSException import ReadOnlyError

import zc.async_.relstorage
from benchmarks.clients import Small
from tests.races import parties
from tests.relstorage.conftest import At
from zc.async_.agent import Agent
from zc.async_.interfaces import KEY
from zc.async_.relstorage import notifying

psycopg2 = pytest.importorskip("psycopg2")

#: Seconds for a notice to arrive that was sent.
PATIENCE = 90


class Ear:
    """A connection that listens, as that of any other client of the server."""

    def __init__(self, server, zodb):
        self._connection = psycopg2.connect(server.dsn(zodb.name))
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._cursor.execute(f'LISTEN "{notifying.CHANNEL}"')
        self.close = self._connection.close

    def heard(self):
        """The notices since the last call. A word of our own comes after all of them."""
        self._cursor.execute("SELECT pg_notify(%s, 'end')", (notifying.CHANNEL,))
        notices = []
        while "end" not in notices:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                if not self._connection.notifies:
                    assert selector.select(PATIENCE)
            self._connection.poll()
            notices += [notice.payload for notice in self._connection.notifies]
            self._connection.notifies.clear()
        return notices[: notices.index("end")]

    def oids(self):
        """The oids of which there was notice, in one set for each notice."""
        return [None if oids is None else set(oids) for oids in self.changes()]

    def changes(self):
        return [notifying.read(notice)[0] for notice in self.heard()]


@pytest.fixture
def database(database):
    parties.make_queue(database)
    return database


@pytest.fixture
def client(database):
    client = parties.Client(database)
    yield client
    client.close()


@pytest.fixture
def dispatcher(database):
    """Asked for before there is a job."""
    dispatcher = parties.Dispatcher(database)
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def ear(server, zodb, client):
    """Hears what is committed from now on. There is a lane already."""
    client.put(parties.nothing)
    ear = Ear(server, zodb)
    yield ear
    ear.close()


def test_a_put_tells_of_the_lane(client, ear):
    job = client.put(parties.nothing)
    (oids,) = ear.oids()
    (lane,) = client.queue.lanes.values()
    assert lane.newest._p_oid in oids
    # Nobody can watch what is new.
    assert job._p_oid not in oids


def test_the_first_put_of_a_connection_tells_of_the_tree_of_lanes(client, ear, database):
    client.manager.begin()
    before = {record._p_oid for record in client.queue.lanes.records()}
    other = parties.Client(database)
    other.put(parties.nothing)
    (oids,) = ear.oids()
    assert oids & before
    other.close()


def test_a_transaction_that_is_aborted_tells_nothing(client, ear):
    client.manager.begin()
    client.queue.put(parties.nothing)
    client.manager.abort()
    client.manager.begin()
    client.queue.put(parties.nothing)
    client.manager.get().join(At("tpc_vote", raise_error))
    with pytest.raises(ZeroDivisionError):
        client.manager.commit()
    client.manager.abort()
    assert ear.heard() == []


def raise_error():
    raise ZeroDivisionError


def test_the_application_s_own_commits_tell_nothing(client, ear):
    client.root["own"] = 1
    client.manager.commit()
    assert ear.heard() == []


def test_nor_does_the_end_of_a_job(dispatcher, client, ear):
    client.put(parties.nothing)
    (first, second) = dispatcher.claim()
    ear.heard()
    dispatcher.run(first)
    dispatcher.run(second)
    assert ear.heard() == []


def test_what_operators_change_is_told(dispatcher, database, client, ear):
    """By a connection that puts nothing."""
    client.manager.begin()
    client.queue.quotas.create("one", 0)
    client.manager.commit()
    ear.heard()
    with database.transaction() as connection:
        agent = connection.root()[KEY][""].dispatchers[dispatcher.uuid]["main"]
        agent.size = 7
    assert [agent._p_oid in oids for oids in ear.oids()] == [True]
    with database.transaction() as connection:
        quota = connection.root()[KEY][""].quotas["one"]
        quota.size = 1
    assert [quota._p_oid in oids for oids in ear.oids()] == [True]
    with database.transaction() as connection:
        connection.root()[KEY][""].quotas.remove("one")
    assert [quota._p_oid in oids for oids in ear.oids()] == [True]
    with database.transaction() as connection:
        del connection.root()[KEY][""].dispatchers[dispatcher.uuid]["main"]
    assert len(ear.oids()) == 1


def test_a_new_queue_is_told(database, client, ear):
    with database.transaction() as connection:
        queues = connection.root()[KEY]
        queues["more"] = type(queues[""])()
    assert [queues._p_oid in oids for oids in ear.oids()] == [True]


def test_what_was_put_before_a_savepoint_is_told(client, ear):
    client.manager.begin()
    client.queue.put(parties.nothing)
    client.manager.savepoint()
    client.connection.cacheMinimize()
    client.root["own"] = 1
    client.manager.commit()
    (oids,) = ear.oids()
    (lane,) = client.queue.lanes.values()
    assert lane.newest._p_oid in oids


def test_what_is_rolled_back_to_a_savepoint_is_not(client, ear):
    client.manager.begin()
    client.root["own"] = 1
    savepoint = client.manager.savepoint()
    client.queue.put(parties.nothing)
    savepoint.rollback()
    client.manager.commit()
    assert ear.heard() == []


def test_of_very_many_changes_those_of_the_queue_are_told(client, ear):
    smalls = client.root["smalls"] = [Small() for _ in range(2 * notifying.MOST)]
    client.manager.commit()
    for small in smalls:
        small.value = 1
    client.queue.put(parties.nothing)
    client.manager.commit()
    (oids,) = ear.oids()
    (lane,) = client.queue.lanes.values()
    assert lane.newest._p_oid in oids
    assert len(oids) < 10


def test_if_there_are_too_many_of_these_anything_may_have_changed(client, ear):
    agents = client.root["agents"] = [Agent() for _ in range(notifying.MOST + 1)]
    client.manager.commit()
    ear.heard()
    for agent in agents:
        agent.size = 7
    client.manager.commit()
    assert ear.oids() == [None]


def test_a_notice_says_which_connection_of_this_process_sent_it(client, ear):
    client.put(parties.nothing)
    (notice,) = ear.heard()
    assert notifying.read(notice)[1] is client.connection._normal_storage
    # Nobody here.
    assert notifying.read("0123456789ab.7 " + notice.split(" ", 1)[1])[1] is None


def test_notices_of_others_on_the_channel_do_no_harm():
    for words in ("", "hello", "a g h", "x * y", "a -1", "\N{SNOWMAN} zz"):
        assert notifying.read(words) == (None, None)


def test_a_process_with_a_storage_that_only_reads_sends_nothing(zodb, database):
    with zodb.database(read_only=True) as reading:
        connection = reading.open(transaction.TransactionManager())
        zc.async_.relstorage.guard(connection)
        connection.root()[KEY][""].quotas.create("one")
        with pytest.raises(ReadOnlyError):
            connection.transaction_manager.commit()
        connection.transaction_manager.abort()
        connection.close()
