"""Jobs whose process is gone."""

import datetime

import pytest
import ZEO.Exceptions
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import ACTIVE, COMPLETED, NEW, PENDING, AbortedError
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job
from zc.async_.running import interruptions


@pytest.fixture
def interrupted(client, agent):
    """A job with `calls.Policy` that is active, as one is whose process is gone."""
    client.put(calls.nothing, retry_policy_factory=calls.Policy)
    return calls.claim_active(agent)


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        pytest.param(True, None, id="now"),
        pytest.param(datetime.timedelta(), None, id="at once"),
        pytest.param(datetime.timedelta(minutes=5), 5, id="later"),
        pytest.param(datetime.datetime(2030, 1, 1, 12, 5, tzinfo=datetime.UTC), 5, id="then"),
    ],
)
def test_an_interrupted_job_waits_as_its_policy_says(
    client, agent, interrupted, answers, clock, happened, answer, after
):
    answers(answer)
    interrupted.handleInterrupt()
    client.commit()
    assert happened == [("interrupted",)]
    assert interrupted.status == PENDING
    assert len(agent) == 0
    if after:
        assert client.claim() is None
        clock.advance(minutes=after)
    assert client.claim() is interrupted


def test_an_interrupted_job_that_is_not_to_be_retried_was_aborted(interrupted, answers, happened):
    answers(False)
    interrupted.handleInterrupt()
    assert interrupted.status == COMPLETED
    assert interrupted.result.check(AbortedError)


def test_an_interrupted_job_whose_policy_raises_fails(interrupted, answers, happened, caplog):
    answers(RuntimeError("bad policy"))
    interrupted.handleInterrupt()
    assert interrupted.result.check(AbortedError)
    assert "bad policy" in caplog.text


@pytest.mark.parametrize("error", [ConflictError, ZEO.Exceptions.ClientDisconnected])
def test_the_interruption_is_not_lost_when_the_transaction_fails(
    interrupted, answers, happened, error
):
    answers(error(), True)
    with pytest.raises(error):
        interrupted.handleInterrupt()
    assert interrupted.status == ACTIVE
    interrupted.handleInterrupt()
    assert interrupted.status == PENDING


@pytest.mark.parametrize("answer", [True, datetime.timedelta(minutes=90)])
def test_after_begin_by_an_interrupted_job_is_not_retried(
    client, agent, answers, clock, happened, answer
):
    answers(answer)
    job = client.put(
        calls.nothing, begin_by=datetime.timedelta(hours=1), retry_policy_factory=calls.Policy
    )
    agent.claimJob().activate_at(clock.time)
    if answer is True:
        clock.advance(hours=1)
    job.handleInterrupt()
    assert job.status == COMPLETED
    assert job.result.check(BeginByPassedError)


@pytest.mark.parametrize("status", [NEW, PENDING, COMPLETED])
def test_only_a_job_that_somebody_had_is_interrupted(status, happened):
    job = Job(calls.nothing)
    job.retry_policy_factory = calls.Policy
    job._set_status(status)
    job.handleInterrupt()
    assert happened == []
    assert job.status == status


def test_an_interrupted_job_is_given_a_moment_and_then_runs_before_others(
    client, agent, clock, monkeypatch
):
    monkeypatch.setattr(interruptions, "RESPITE", 250_000)
    job, other = client.put(calls.nothing), client.put(calls.nothing)
    calls.claim_active(agent)
    job.handleInterrupt()
    client.commit()
    assert job.status == PENDING
    assert client.queue[0] is job
    assert calls.run_next(agent) is other
    clock.advance(milliseconds=249)
    last = client.put(calls.nothing)
    assert calls.run_next(agent) is last
    clock.advance(milliseconds=1)
    client.put(calls.nothing)
    assert calls.run_next(agent) is job


def test_the_policy_of_an_interrupted_job_is_kept(client, agent, clock):
    job = client.put(calls.nothing)
    for number in range(1, 4):
        agent.claimJob().activate_at(clock.time)
        job.handleInterrupt()
        client.commit()
        assert job.getRetryPolicy().data["interruptions"] == number
