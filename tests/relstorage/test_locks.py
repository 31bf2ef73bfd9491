"""RelStorage does not wait for the locks of what a transaction only expects to be as it is."""

import concurrent.futures
import contextlib
import threading

import pytest

import zc.async_.configure
from tests.processes import Entry
from tests.races import parties
from tests.relstorage.conftest import At
from zc.async_ import local
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, RetryCommonForever
from zc.async_.relstorage import locks

#: Seconds for another thread to do as it was told.
PATIENCE = 20


@pytest.fixture
def client(database):
    zc.async_.configure.base()
    parties.make_queue(database)
    with contextlib.closing(parties.Client(database)) as client:
        client.root["expected"] = Entry()
        client.manager.commit()
        yield client


@pytest.fixture
def dispatcher(database, client):
    with contextlib.closing(parties.Dispatcher(database)) as dispatcher:
        yield dispatcher


@pytest.fixture
def let_go(client, connect, database):
    """Lets go of the lock of another transaction, which has not changed what it is about to.

    That holds it from the beginning.
    """
    holds, may_end = threading.Event(), threading.Event()

    def hold():
        holds.set()
        assert may_end.wait(PATIENCE)
        raise RuntimeError("it does not commit")

    def commit():
        other = connect(database)
        other.root["expected"].count = 1
        other.manager.get().join(At("tpc_vote", hold))
        with pytest.raises(RuntimeError):
            other.manager.commit()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        ended = thread.submit(commit)
        assert holds.wait(PATIENCE)

        def let_go():
            may_end.set()
            ended.result(PATIENCE)

        yield let_go
        let_go()


def expect():
    """Change something, while another object is as it is."""
    jar = local.getJob()._p_jar
    expected = jar.root()["expected"]
    # A ghost has no serial yet that could be expected.
    expected._p_activate()
    jar.readCurrent(expected)
    parties.call_hook()
    jar.root()["count"] = jar.root().get("count", 0) + 1


@pytest.mark.parametrize("policy", [None, RetryCommonForever])
def test_a_job_pauses_between_its_tries_while_another_transaction_holds_a_lock(
    client, dispatcher, let_go, monkeypatch, policy
):
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == len(locks.PAUSES):
            let_go()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    job = client.put(Job(expect), retry_policy_factory=policy)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    client.manager.begin()
    assert (job.status, job.result, client.root["count"]) == (COMPLETED, None, 1)
    assert tuple(pauses) == locks.PAUSES


def test_a_conflict_with_what_was_committed_needs_none(client, dispatcher, monkeypatch):
    def change():
        client.root["expected"].count += 1
        client.manager.commit()

    pauses = []
    monkeypatch.setattr(locks.time, "sleep", pauses.append)
    job = client.put(Job(expect))
    (claimed,) = dispatcher.claim()
    parties.set_hook(change)
    dispatcher.run(claimed)
    client.manager.begin()
    assert (job.status, job.result, client.root["count"]) == (COMPLETED, None, 1)
    assert pauses == []
