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


class Time:
    """Virtual seconds. Sleeping is noted."""

    def __init__(self):
        self.seconds = 1000.0
        self.slept = []

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.slept.append(round(seconds, 6))
        self.seconds += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def gapped(time):
    """Turns, after puts so often that gaps are left."""
    found = turns.Turns(time.now, time.sleep)
    found.heard_of_put()
    time.seconds += turns.OFTEN / 2
    found.heard_of_put()
    return found


def turn(turns, time, seconds, who=1):
    turns.take(who)
    time.seconds += seconds
    turns.end(who)


@pytest.mark.parametrize(("took", "gap"), [(0.01, 0.005), (0.02, 0.01), (30, turns.LONGEST)])
def test_a_gap_of_half_a_turn_is_left_while_applications_put_often(gapped, time, took, gap):
    turn(gapped, time, 0)
    gapped.take(1)
    time.seconds += took
    gapped.heard_of_put()
    gapped.heard_of_put()
    gapped.end(1)
    turn(gapped, time, 0, who=2)
    assert time.slept == [gap]


def test_whoever_comes_after_the_gap_waits_for_no_more(gapped, time):
    turn(gapped, time, 0.02)
    time.seconds += 0.006
    turn(gapped, time, 0)
    assert time.slept == [0.004]
    time.seconds += 0.5
    turn(gapped, time, 0)
    assert time.slept == [0.004]


def test_no_gap_is_left_for_lone_puts_or_none(time):
    """Else a job that was just put would wait for the gap after its own claim."""
    lone = turns.Turns(time.now, time.sleep)
    for _turn in range(3):
        turn(lone, time, 0.01)
    for _put in range(3):
        time.seconds += turns.OFTEN
        lone.heard_of_put()
        turn(lone, time, 0.01)
        turn(lone, time, 0.01)
    assert time.slept == []


def test_there_are_no_gaps_some_time_after_the_last_put(gapped, time):
    time.seconds += turns.OFTEN
    for _turn in range(3):
        turn(gapped, time, 0.01)
    assert time.slept == []


def test_connections_of_other_storages_are_as_they_were(db):
    connection = db.open()
    before = dict(vars(connection))
    take_turns(connection)
    assert vars(connection) == before
    connection.close()
