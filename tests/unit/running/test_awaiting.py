"""Deferreds and coroutines that jobs return."""

import threading
import uuid

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.selectreactor import SelectReactor
from ZODB.POSException import ConflictError

import zc.async_.dispatcher
import zc.twist
from tests.unit import calls
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import ACTIVE, COMPLETED, ReassignedError
from zc.async_.running import awaiting
from zc.async_.running import tries as running
from zc.async_.running.awaiting import CannotWaitError

# -- in the thread that called the job


async def coroutine():
    return 42


def deferred_of(kind):
    return {"fired": lambda: succeed(42), "failed": lambda: fail(ValueError("late"))}[kind]()


def test_a_deferred_that_has_fired_is_its_value(client):
    assert client.add_job(deferred_of, "fired")() == 42


def test_a_deferred_that_has_failed_is_a_failure(client):
    job = client.add_job(deferred_of, "failed")
    job()
    assert isinstance(job.result, zc.twist.Failure)
    assert job.result.check(ValueError)
    assert job.status == COMPLETED


def paused():
    deferred = succeed(42)
    deferred.pause()
    return deferred


@pytest.fixture
def short_patience(monkeypatch):
    """Where no reactor runs, nobody waits for long."""
    monkeypatch.setattr(awaiting, "PATIENCE", 0.01)
    monkeypatch.setattr(awaiting, "LOOK", 0.01)


@pytest.mark.parametrize("make", [Deferred, paused])
def test_a_deferred_that_nobody_fires_is_not_waited_for_without_end(client, short_patience, make):
    job = client.add_job(make)
    result = job()
    assert result.check(CannotWaitError)
    assert "run a reactor in another thread" in result.getErrorMessage()
    assert job.status == COMPLETED


def test_a_coroutine_runs_where_it_is_called_if_no_reactor_runs(client):
    assert client.add_job(coroutine)() == 42


def fire_in_thread():
    deferred = Deferred()
    threads.append(threading.Thread(target=deferred.callback, args=(42,)))
    return deferred


threads: list[threading.Thread] = []


def test_a_deferred_that_another_thread_fires_is_waited_for(client, log):
    """It is fired after the changes of the job were committed, which stay."""
    job = client.add_job(fire_in_thread)
    log.note("before")

    class Starter:
        def newTransaction(self, transaction):
            pass

        def beforeCompletion(self, transaction):
            pass

        def afterCompletion(self, transaction):
            if threads:
                threads.pop().start()

    starter = Starter()
    client.manager.registerSynch(starter)
    # Another thread, as most processes have one; else it would be in vain.
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        assert job() == 42
    finally:
        gate.set()
        thread.join()
    client.manager.unregisterSynch(starter)
    assert log.entries == (("before",),)


def test_a_deferred_is_not_waited_for_in_the_thread_of_the_reactor(client):
    reactor = SelectReactor()
    job = client.add_job(Deferred)
    dispatcher = Dispatcher(client.connection.db(), reactor, uuid=uuid.uuid4())
    dispatcher.thread = threading.current_thread()
    try:
        assert "put the job into a queue" in job().getErrorMessage()
    finally:
        zc.async_.dispatcher.pop(dispatcher.UUID)


# -- in workers


def test_a_claimed_job_with_a_deferred_stays_active_until_that_is_finished(client, agent):
    job = client.put(Deferred)
    calls.claim_active(agent)
    deferred = calls.run_claimed(job)
    assert isinstance(deferred, Deferred)
    assert job.status == ACTIVE
    assert len(agent) == 1
    running.finish_deferred(job, job.claim_token, 42)
    assert job.result == 42
    assert job.status == COMPLETED


@pytest.fixture
def waiting(client, agent):
    """A claimed job that waits for the Deferred it returned."""
    client.put(Deferred)
    return calls.run_in_worker(agent)


def test_the_value_of_a_deferred_that_cannot_be_stored_fails_the_job(waiting):
    running.finish_deferred(waiting, waiting.claim_token, calls.make_generator())
    assert "generator" in waiting.result.getErrorMessage()
    assert waiting.status == COMPLETED


def test_a_conflict_while_the_value_of_a_deferred_is_stored_is_tried_over(waiting, failing_commits):
    failing_commits(ConflictError(), ConflictError())
    running.finish_deferred(waiting, waiting.claim_token, 42)
    assert waiting.result == 42


def test_a_deferred_of_a_job_that_was_reassigned_is_given_up(waiting):
    with pytest.raises(ReassignedError):
        running.finish_deferred(waiting, waiting.claim_token + 1, 42)
    assert waiting.status == ACTIVE
