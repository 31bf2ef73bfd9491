"""Workers of a process commit one after the other, unless one of them takes too long."""

import concurrent.futures
import threading
import uuid

import pytest
from ZODB.POSException import ConflictError

from tests.relstorage.conftest import At
from zc.async_.dispatcher.connections import close_for_worker, open_for_worker
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.relstorage import take_turns, turns
from zc.async_.relstorage.notifying import Notifying

#: Seconds for another thread to do as it was told.
PATIENCE = 20


@pytest.fixture
def others():
    """A pool with a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def workers(party, connect, database):
    """Connections that take turns; twice, which changes nothing."""
    found = [connect(database) for _worker in range(2)]
    for worker in found:
        take_turns(worker.connection)
        before = dict(vars(worker.connection))
        take_turns(worker.connection)
        assert vars(worker.connection) == before
    return found


@pytest.fixture
def waiting(monkeypatch):
    """Set when somebody waits for a turn, for as long as it takes."""
    waiting = threading.Event()
    monkeypatch.setattr(turns, "PATIENCE", PATIENCE)
    wait_for = threading.Condition.wait_for

    def tell(condition, *args):
        waiting.set()
        return wait_for(condition, *args)

    monkeypatch.setattr(turns.threading.Condition, "wait_for", tell)
    return waiting


@pytest.mark.parametrize("fails", [False, True])
def test_a_commit_waits_for_the_end_of_another(workers, others, waiting, fails):
    first, second = workers
    order = []

    def vote():
        waiting.clear()
        commit = others.submit(commit_second)
        assert waiting.wait(PATIENCE)
        order.append("first")
        if fails:
            raise RuntimeError("it does not commit")
        return commit

    def commit_second():
        second.root["b"].value = 1
        second.manager.commit()
        order.append("second")

    first.root["a"].value = 1
    first.manager.get().join(At("tpc_vote", vote))
    if fails:
        with pytest.raises(RuntimeError):
            first.manager.commit()
        first.manager.abort()
    else:
        first.manager.commit()
    others.submit(int).result(PATIENCE)
    assert order == ["first", "second"]
    second.manager.begin()
    assert (second.root["a"].value, second.root["b"].value) == (0 if fails else 1, 1)


def test_one_that_takes_too_long_holds_no_other_up(workers, others, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    first, second = workers

    def vote():
        second.root["b"].value = 1
        others.submit(second.manager.commit).result(PATIENCE)

    first.root["a"].value = 1
    first.manager.get().join(At("tpc_vote", vote))
    first.manager.commit()
    second.manager.begin()
    assert (second.root["a"].value, second.root["b"].value) == (1, 1)
    # Nobody has a turn any more.
    assert turns._turns[first.connection.db()]._whose is None


def test_a_conflict_ends_a_turn(workers, party):
    first, second = workers
    for worker in workers:
        worker.root["a"].value += 1
    first.manager.commit()
    with pytest.raises(ConflictError):
        second.manager.commit()
    second.manager.abort()
    assert turns._turns[first.connection.db()]._whose is None


def test_others_do_not_wait(workers, party, others, monkeypatch):
    """Those of the application, in the same process."""
    monkeypatch.setattr(turns, "PATIENCE", 2 * PATIENCE)
    first, _second = workers

    def vote():
        party.root["b"].value = 1
        others.submit(party.manager.commit).result(PATIENCE)

    first.root["a"].value = 1
    first.manager.get().join(At("tpc_vote", vote))
    first.manager.commit()
    party.manager.begin()
    assert (party.root["a"].value, party.root["b"].value) == (1, 1)


def test_workers_of_dispatchers_take_turns_as_long_as_they_have_a_connection(database):
    connection = open_for_worker(database)
    assert isinstance(vars(connection)["tpc_vote"], turns._Vote)
    # Before anything else, and this is still done.
    assert isinstance(vars(connection)["tpc_vote"].before, Notifying)
    close_for_worker(connection)
    again = database.open()
    assert again is connection
    assert isinstance(vars(again)["tpc_vote"], Notifying)
    assert "tpc_finish" not in vars(again)
    again.close()


def test_so_do_pollers(database):
    poller = Poller(database, uuid.uuid4(), Listener(int))
    connection = poller._connection
    assert isinstance(vars(connection)["tpc_vote"], turns._Vote)
    poller.close()
    assert isinstance(vars(connection)["tpc_vote"], Notifying)


def test_connections_of_other_storages_are_as_they_were(db):
    connection = db.open()
    before = dict(vars(connection))
    take_turns(connection)
    assert vars(connection) == before
    connection.close()
