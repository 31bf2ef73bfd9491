"""What callables return: values, and jobs to wait for."""

import threading

import pytest

import zc.twist
from tests.unit import calls
from zc.async_.interfaces import ACTIVE, COMPLETED
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job
from zc.async_.running.retry import NeverRetry, RetryCommonForever

# -- results that cannot be stored


def failure_of(client, job, factory):
    """Call a job that has a retry policy; return the message of the failure that it ends with."""
    job.retry_policy_factory = factory
    client.commit()
    result = job()
    assert isinstance(result, zc.twist.Failure)
    assert job.status == COMPLETED
    return result.getErrorMessage()


def change_and_make_lock(log):
    log.note("text")
    return [threading.Lock()]


@pytest.mark.parametrize("factory", [None, NeverRetry, RetryCommonForever])
def test_a_result_that_cannot_be_pickled_fails_the_job_and_names_the_type(
    client, other, log, factory, sleeps
):
    job = client.add_job(change_and_make_lock, log)
    assert "lock" in failure_of(client, job, factory)
    other.begin()
    assert other.mine(log).entries == ()
    assert "lock" in other.mine(job).result.getErrorMessage()
    assert sleeps == []


def test_a_callback_whose_result_cannot_be_pickled_fails_and_others_go_on(client, happened, sleeps):
    job = client.add_job(calls.nothing)
    bad = job.addCallback(calls.make_generator)
    job.addCallback(calls.happen)
    client.commit()
    job()
    assert "generator" in bad.result.getErrorMessage()
    assert happened == [(None,)]
    assert job.status == COMPLETED
    assert sleeps == []


def foreign():
    return calls.elsewhere.root["counter"]


def test_a_result_of_another_connection_fails_the_job(client, elsewhere, sleeps):
    client.add("counter", calls.Counter())
    elsewhere.begin()
    job = client.add_job(foreign)
    assert "tests.unit.calls.Counter" in failure_of(client, job, RetryCommonForever)
    assert sleeps == []


def test_a_job_in_no_database_may_return_anything():
    assert next(Job(calls.make_generator)(), None) is None


# -- what only the commit finds out


def keep(value):
    """Return a new record that refers to the value."""
    log = calls.Log()
    log.value = value
    return log


@pytest.mark.parametrize("policy", [None, RetryCommonForever])
@pytest.mark.parametrize(
    "value", [threading.Lock, lambda: lambda: None, lambda: (n for n in ())], ids="lfg"
)
def test_what_cannot_be_stored_inside_of_a_new_record_fails_at_once(
    client, agent, policy, value, sleeps
):
    job = client.put(make_and_keep, retry_policy_factory=policy)
    calls.make = value
    calls.run_in_worker(agent)
    assert job.status == COMPLETED
    assert "pickle" in job.result.getErrorMessage().lower()
    assert sleeps == []


def make_and_keep():
    return keep(calls.make())


# -- jobs that return jobs


def test_the_result_of_a_returned_job_that_is_completed_is_the_result(client):
    inner = client.add_job(calls.add, 1, 2)
    inner()
    job = client.add_job(calls.identity, inner)
    assert job() == 3
    assert job.result == 3
    assert job.status == COMPLETED


def test_a_failure_of_a_returned_job_is_the_failure(client):
    inner = client.add_job(calls.fail)
    inner()
    job = client.add_job(calls.identity, inner)
    job()
    assert job.result.check(ValueError)


def test_a_job_waits_for_the_job_it_returned(client, clock):
    inner = client.add_job(calls.add, 1, 2)
    job = client.add_job(calls.identity, inner)
    assert job() is inner
    assert job.status == ACTIVE
    assert job.result is inner
    clock.advance(minutes=5)
    inner()
    assert job.status == COMPLETED
    assert job.result == 3
    assert job.active_end == clock.now


def test_the_result_of_the_last_of_a_chain_is_that_of_all(client):
    jobs = [client.add_job(calls.add, 1, 2)]
    for _number in range(3):
        jobs.append(client.add_job(calls.identity, jobs[-1]))
    for job in reversed(jobs):
        job()
    assert [job.result for job in jobs] == [3, 3, 3, 3]
    assert {job.status for job in jobs} == {COMPLETED}


@pytest.mark.parametrize("in_queue", [False, True])
def test_the_callbacks_of_a_waiting_job_wait_with_it(client, agent, happened, in_queue):
    inner = client.add_job(calls.add, 1, 2)
    job = client.add_job(calls.identity, inner)
    job.addCallback(calls.happen_and_fail)
    job.addCallback(calls.happen)
    client.commit()
    if in_queue:
        client.put(job)
        calls.run_next(agent)
    else:
        job()
    assert happened == []
    inner()
    calls.run_all(agent)
    assert happened == [(3,), (3,)]
    assert job.status == COMPLETED
    assert job.result == 3


def test_an_interruption_does_not_touch_a_waiting_job(client, agent, happened):
    inner = client.add_job(calls.add)
    job = client.put(Job(calls.identity, inner), retry_policy_factory=calls.Policy)
    calls.run_next(agent)
    job.handleInterrupt()
    assert happened == []
    assert job.status == ACTIVE


def test_a_waiting_job_that_was_failed_does_not_keep_the_other_from_completing(client, happened):
    inner = client.add_job(calls.add)
    job = client.add_job(calls.identity, inner)
    job()
    job.fail()
    client.commit()
    inner.addCallback(calls.happen)
    client.commit()
    inner()
    assert inner.status == COMPLETED
    assert happened == [(0,)]
    assert job.result.check(BeginByPassedError)


def test_a_returned_job_that_is_claimed_meanwhile_is_waited_for(client, agent):
    inner = client.put(calls.add)
    assert agent.claimJob() is inner
    job = client.add_job(calls.identity, inner)
    job()
    assert job.status == ACTIVE
    inner()
    assert job.status == COMPLETED
