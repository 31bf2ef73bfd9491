"""Callbacks: how they are added, and performed."""

import logging

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from tests.unit.job.callables import note, note_and_fail, ok, scribble
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED, PENDING, BadStatusError
from zc.async_.job import Job
from zc.async_.running import callback_runs
from zc.async_.running.retry import NeverRetry

#: Nothing has happened before a test.
pytestmark = pytest.mark.usefixtures("happened")


# -- plain callbacks


def test_a_callback_is_called_with_the_result_and_returned_as_a_job(run):
    job = Job(ok)
    callback = job.addCallback(scribble)
    assert isinstance(callback, Job)
    assert callback.parent is job
    assert job.callbacks == (callback,)
    run(job)
    assert job.result == "200 OK"
    assert callback.result == "200 OK: SCRIBBLED"
    assert job.status == callback.status == COMPLETED


def test_a_job_can_be_a_callback_and_has_its_arguments_first(run):
    job, callback = Job(ok), Job(calls.echo, 1, key=2)
    assert job.addCallback(callback) is callback
    run(job)
    assert callback.result == ((1, "200 OK"), {"key": 2})


def test_all_callbacks_get_the_same_result_in_the_order_of_adding(run):
    job = Job(ok)
    for number in range(5):
        job.addCallback(Job(note, number))
    assert run(job) == [0, 1, 2, 3, 4]
    assert {entry[1] for entry in calls.happened} == {"200 OK"}


def test_results_go_down_a_chain(run):
    job = Job(ok)
    first = job.addCallback(scribble)
    second = first.addCallback(scribble)
    run(job)
    assert second.result == "200 OK: SCRIBBLED: SCRIBBLED"


def test_the_callbacks_of_a_callback_come_before_the_next_callback(run):
    job = Job(ok)
    first = job.addCallback(Job(note, "first"))
    job.addCallback(Job(note, "second"))
    first.addCallback(Job(note, "of first"))
    assert run(job) == ["first", "of first", "second"]


def test_a_plain_callback_gets_failures_too(run):
    job = Job(calls.fail)
    callback = job.addCallback(calls.identity)
    run(job)
    assert callback.result.check(ValueError)


def test_a_callback_that_fails_does_not_keep_others_from_their_turn(run, caplog):
    job = Job(ok)
    first = job.addCallback(Job(note_and_fail, "first"))
    job.addCallback(Job(note, "second"))
    assert run(job) == ["first", "second"]
    assert first.result.check(ValueError)
    assert first.status == job.status == COMPLETED
    assert job.result == "200 OK"
    levels = [r.levelno for r in caplog.records if r.name == "zc.async.events"]
    assert levels == [logging.CRITICAL]


def test_each_callback_is_a_transaction_of_its_own(client, run):
    log = client.add("log", calls.Log())
    job = Job(ok)
    job.addCallback(log.note)
    job.addCallback(log.note_and_fail)
    job.addCallback(log.note)
    run(job)
    assert log.entries == (("200 OK",), ("200 OK",))


def test_the_job_is_completed_after_its_callbacks(client, other, clock, run):
    job = Job(ok)
    job.addCallback(Job(look, job))
    run(job)
    assert calls.happened == [(CALLBACKS, "200 OK", ACTIVE)]
    assert job.initial_callbacks_end is not None


def look(job, result):
    from zc.async_.threadlocal import local

    calls.happened.append((job.status, job.result, local.getJob().status))


def test_a_callback_that_returns_a_job_waits_and_the_others_do_not(client, run):
    inner = client.add("inner", Job(ok))
    job = Job(ok)
    callback = job.addCallback(Job(returns, inner))
    job.addCallback(Job(note, "second"))
    assert run(job) == ["second"]
    assert job.status == COMPLETED
    assert callback.status == ACTIVE
    inner()
    assert callback.result == "200 OK"


def returns(value, result):
    return value


def test_log_level_and_policy_are_given_to_the_callback():
    callback = Job(ok).addCallback(scribble, 10, NeverRetry)
    assert callback.failure_log_level == 10
    assert callback.retry_policy_factory is NeverRetry


def test_without_values_the_callback_keeps_its_own():
    callback = Job(scribble)
    callback.failure_log_level = 10
    callback.retry_policy_factory = NeverRetry
    Job(ok).addCallback(callback)
    assert callback.failure_log_level == 10
    assert callback.retry_policy_factory is NeverRetry


@pytest.mark.parametrize("status", [PENDING, ASSIGNED, ACTIVE, CALLBACKS, COMPLETED])
def test_only_a_new_job_can_become_a_callback(status):
    callback = Job(scribble)
    callback._set_status(status)
    with pytest.raises(BadStatusError, match="in use already"):
        Job(ok).addCallback(callback)


def test_a_job_can_be_a_callback_once():
    callback = Job(ok).addCallback(scribble)
    with pytest.raises(BadStatusError, match="in use already"):
        Job(ok).addCallback(callback)


def test_callbacks_can_add_callbacks_to_their_job(run):
    job = Job(ok)
    job.addCallback(Job(add_another, job))
    assert run(job) == ["first", "another"]
    assert job.status == COMPLETED


def add_another(job, result):
    note("first", result)
    job.addCallback(Job(note, "another"))


def test_transaction_errors_of_callbacks_are_tried_over_for_ever(run, to_raise):
    to_raise += [ConflictError() for _number in range(20)]
    job = Job(ok)
    callback = job.addCallback(calls.raise_next)
    run(job)
    assert callback.result == 21


# -- resuming


def test_callbacks_that_were_performed_are_not_performed_again(client, run):
    job = Job(ok)
    for number in range(3):
        job.addCallback(Job(note, number))
    client.root["job"] = job
    job.end_with("result")
    client.commit()
    job.callbacks[0]("result")
    job.resumeCallbacks()
    assert [entry[0] for entry in calls.happened] == [0, 1, 2]
    assert job.status == COMPLETED
    job.resumeCallbacks()
    assert len(calls.happened) == 3


def test_a_callback_that_comes_just_before_the_completion_is_performed(
    client, other, agent, monkeypatch
):
    job = Job(ok)
    job.addCallback(Job(note, "first"))
    client.put(job)
    calls.claim_active(agent)
    complete = callback_runs._complete

    def add_and_complete(job, *args):
        if len(job.callbacks) == 1:
            other.begin()
            other.mine(job).addCallback(Job(look, other.mine(job)))
            other.commit()
        return complete(job, *args)

    monkeypatch.setattr(callback_runs, "_complete", add_and_complete)
    calls.run_claimed(job)
    assert [entry[0] for entry in calls.happened] == ["first", CALLBACKS]
    assert job.status == COMPLETED


def test_a_callback_added_elsewhere_by_a_callback_is_performed(run, elsewhere):
    job = Job(ok)
    job.addCallback(Job(note, "first"))
    job.addCallback(add_from_elsewhere)
    assert run(job) == ["first", "late"]
    assert job.status == COMPLETED


def add_from_elsewhere(result):
    other = calls.elsewhere
    other.begin()
    other.root["job"].addCallback(Job(note, "late"))
    other.commit()


# -- logs


def test_the_logs_name_the_job_of_a_callback(client, caplog):
    caplog.set_level(logging.DEBUG, "zc.async.trace")
    job = client.add("job", Job(ok))
    callbacks = [job.addCallback(calls.identity), job.addCallbacks(calls.fail).success]
    client.commit()
    job()
    said = [record.getMessage() for record in caplog.records]
    for callback, ended in zip(callbacks, ("succeeded with result", "failed"), strict=True):
        assert f"starting callback {callback!r} to {job!r}" in said
        assert any(
            message.startswith(f"{callback!r}, a callback of {job!r}, {ended}:\n")
            for message in said
        )
    assert any(message.startswith(f"{job!r} succeeded with result:\n") for message in said)
