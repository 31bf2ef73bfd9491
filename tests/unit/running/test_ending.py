"""Storing the end of a job, and commits whose answer is lost."""

import pytest
import ZEO.Exceptions
from twisted.internet.defer import Deferred
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import ACTIVE, COMPLETED, NEW, ReassignedError
from zc.async_.job import Job
from zc.async_.threadlocal import local

# -- results that are hard to store


def test_the_failure_is_stored_however_often_that_fails(client, other, failing_commits, sleeps):
    job = client.add_job(calls.fail)
    errors = failing_commits(ConflictError(), ValueError(), ConflictError(), OSError())
    assert job().check(ValueError)
    assert errors == []
    assert len(sleeps) == 2
    other.begin()
    assert other.mine(job).result.getErrorMessage() == "it failed"


# -- commits whose answer is lost


@pytest.fixture
def lose_answer(client, monkeypatch, sleeps):
    """Has the storage store the next transaction of a job, and raise then."""
    storage = client.connection._storage
    finish = storage.tpc_finish

    def lose_answer(error):
        def fail(*args):
            monkeypatch.setattr(storage, "tpc_finish", finish)
            finish(*args)
            raise error

        monkeypatch.setattr(storage, "tpc_finish", fail)

    calls.lose_answer = lose_answer
    yield
    del calls.lose_answer


def lose_answer_and(kind):
    """Count, and have the commit of the job be done without an answer."""
    calls.happened.append(kind)
    calls.lose_answer(
        {"disconnected": ZEO.Exceptions.ClientDisconnected(), "other": OSError()}[kind]
    )


def and_return_job(kind):
    lose_answer_and(kind)
    return local.getJob().queue.put(calls.nothing)


def and_return_deferred(kind):
    lose_answer_and(kind)
    return Deferred()


@pytest.mark.parametrize("kind", ["disconnected", "other"])
@pytest.mark.parametrize(
    ("function", "status"),
    [(lose_answer_and, COMPLETED), (and_return_job, ACTIVE), (and_return_deferred, ACTIVE)],
)
def test_a_job_whose_commit_was_done_without_an_answer_is_not_run_again(
    client, agent, lose_answer, happened, function, status, kind
):
    job = client.put(Job(function, kind))
    callback = job.addCallback(calls.nothing)
    client.commit()
    calls.claim_active(agent)
    deferred = calls.run_claimed(job)
    client.begin()
    assert happened == [kind]
    assert job.status == status
    assert (deferred is not None) == (function is and_return_deferred)
    assert callback.status == (COMPLETED if status == COMPLETED else NEW)


def test_a_callback_whose_commit_was_done_without_an_answer_is_not_run_again(
    client, agent, lose_answer, happened
):
    job = client.put(calls.nothing)
    callback = job.addCallback(return_job_as_callback)
    client.commit()
    calls.run_in_worker(agent)
    assert happened == ["disconnected"]
    assert callback.status == ACTIVE


def return_job_as_callback(result):
    lose_answer_and("disconnected")
    return local.getJob().queue.put(calls.nothing)


@pytest.fixture
def finish_late(client, connect, monkeypatch):
    """Has the next commit fail without an answer; another client does it when a policy is asked."""
    storage = client.connection._storage
    finish = storage.tpc_finish
    other = connect()

    def fail(*args):
        monkeypatch.setattr(storage, "tpc_finish", finish)
        raise OSError("no answer")

    def note():
        job = local.getJob()
        calls.noted = job.start_moment, job.runner_claim
        monkeypatch.setattr(storage, "tpc_finish", fail)

    def do(kept):
        other.begin()
        job = other.mine(local.getJob())
        if job.is_callback():
            job.start_moment, job.runner_claim = calls.noted
            job._set_status(ACTIVE)
        job.returned_job = other.mine(kept)
        other.commit()

    calls.note, calls.do = note, do
    yield
    del calls.note, calls.do, calls.noted


class AsksLater(calls.Policy):
    """Is asked when the commit is done."""

    def commitError(self, failure, data_cache):
        calls.do(self.parent._p_jar.root()["kept"])
        return True


def return_kept(*args):
    calls.happened.append("ran")
    jar = local.getJob()._p_jar
    jar.root()["ran"] = len(calls.happened)
    if len(calls.happened) == 1:
        calls.note()
    return jar.root()["kept"]


@pytest.mark.parametrize("as_callback", [False, True])
def test_what_is_committed_only_after_it_was_looked_for_does_not_run_again(
    client, agent, finish_late, happened, as_callback
):
    client.add("kept", Job(calls.nothing))
    returning = Job(return_kept)
    returning.retry_policy_factory = AsksLater
    job = client.put(Job(calls.nothing) if as_callback else returning)
    if as_callback:
        job.addCallback(returning)
        client.commit()
    calls.claim_active(agent)
    with pytest.raises(ReassignedError):
        calls.run_claimed(job)
    client.begin()
    assert happened == ["ran"]
    assert returning.status == ACTIVE
    assert returning.returned_job is client.root["kept"]
    job.handleInterrupt()
    client.commit()
    assert returning.is_suspended()
    assert happened == ["ran"]
