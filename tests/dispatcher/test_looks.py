"""How often a dispatcher looks for what others have committed: RelStorage asks its server then."""

import threading

import pytest
import ZODB.Connection

from tests.dispatcher import work
from zc.async_ import local
from zc.async_.job import Job


class Nosy(Job):
    """Its tearDown looks into the database."""

    def tearDown(self, setup_info):
        work.happened.append(self._p_jar.root()["counter"].count)


def count_and_ask(counter):
    """Load the counter, and let somebody else count before that is committed."""
    work.happened.append(counter.count)
    work.call_hook()
    local.getJob().annotations["changed"] = True


def ask_again(result):
    work.happened.append(local.getJob()._p_jar.root()["counter"].count)


@pytest.fixture
def counter(client):
    return client.connection.root()["counter"]


@pytest.fixture
def others(client, connect, counter):
    """Count from outside when a job lets them."""
    other = connect()

    def increase():
        other.connection.root()["counter"].count += 5
        other.manager.commit()

    work.hooks.append(increase)


@pytest.fixture
def looks(monkeypatch):
    """The threads that have looked."""
    looks = []
    look = ZODB.Connection.Connection.newTransaction

    def note(connection, *args):
        looks.append(threading.current_thread())
        look(connection, *args)

    monkeypatch.setattr(ZODB.Connection.Connection, "newTransaction", note)
    return looks


def test_a_worker_looks_once_for_each_job(dispatcher, completed, put, looks):
    completed(put(Job(work.answer)))
    (pool,) = [pool for pool in dispatcher.pools() if pool.agent_name == "main"]
    (worker,) = pool.threads
    looks.clear()
    completed(put(Job(work.answer)))
    assert looks.count(worker) == 1


def test_so_it_is_with_polls(dispatcher, looks, monkeypatch):
    """As often as it begins: once before there is anything to read, and once after it."""
    begun = []
    manager = dispatcher.poller._manager
    begin = manager.begin
    monkeypatch.setattr(manager, "begin", lambda: begun.append(1) or begin())
    looks.clear()
    dispatcher.reactor.time_flies(30)
    assert 0 < len(looks) == len(begun)


def test_a_tear_down_sees_what_others_have_committed(put, completed, dispatcher, counter, others):
    completed(put(Nosy(count_and_ask, counter)))
    assert work.happened == [0, 5]


def test_so_does_a_callback(put, completed, dispatcher, counter, others):
    job = Job(count_and_ask, counter)
    job.addCallback(ask_again)
    completed(put(job))
    assert work.happened == [0, 5]
