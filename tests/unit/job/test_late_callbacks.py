"""Callbacks that are added when their job has begun, or ended."""

import pytest
from ZODB.POSException import ReadConflictError

from tests.unit import calls
from tests.unit.job.callables import handle, note, note_and_fail, ok, scribble
from zc.async_.interfaces import COMPLETED, NEW
from zc.async_.job import Job

#: Nothing has happened before a test.
pytestmark = pytest.mark.usefixtures("happened")


# -- of jobs


def test_a_callback_of_a_completed_job_in_no_queue_is_called_at_once(client, run):
    job = Job(ok)
    run(job)
    callback = job.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED"
    assert callback.status == COMPLETED
    assert job.status == COMPLETED


def test_what_the_caller_did_before_is_committed_with_it(client, other, run):
    job = Job(ok)
    run(job)
    log = client.add("log", calls.Log())
    log.note("before")
    callback = job.addCallback(Job(note_and_fail, "late"))
    client.abort()
    other.begin()
    assert other.mine(log).entries == (("before",),)
    assert other.mine(job).callbacks == (other.mine(callback),)
    assert other.mine(callback).result.check(ValueError)


def test_a_callback_of_a_completed_job_of_a_queue_is_performed_by_a_dispatcher(client, agent):
    job = client.put(ok)
    calls.run_next(agent)
    callback = job.addCallback(Job(note, "late"))
    client.commit()
    assert callback.status == NEW
    assert calls.happened == []
    assert len(client.queue) == 1
    agent.size = 0
    calls.run_all(agent)
    assert calls.happened == [("late", "200 OK")]
    assert callback.status == COMPLETED


@pytest.mark.parametrize("seen", [True, False])
def test_a_callback_of_a_claimed_job_does_not_make_the_job_conflict(client, other, agent, seen):
    job = client.put(ok)
    calls.claim_active(agent)
    other.begin()
    callback = other.mine(job).addCallback(Job(note, "late"))
    other.commit()
    if seen:
        client.begin()
    calls.run_claimed(job)
    assert job.status == COMPLETED
    # What the transaction of the job did not see, the bookkeeping of the dispatcher does.
    client.begin()
    agent.keep_books()
    client.commit()
    calls.run_all(agent)
    assert calls.happened == [("late", "200 OK")]
    assert client.mine(callback).status == COMPLETED


def test_a_callback_that_meets_the_completion_conflicts_and_then_finds_it(client, other, agent):
    job = client.put(ok)
    calls.claim_active(agent)
    other.begin()
    other.mine(job).addCallback(Job(note, "late"))
    calls.run_claimed(job)
    with pytest.raises(ReadConflictError):
        other.commit()
    other.abort()
    other.begin()
    callback = other.mine(job).addCallback(Job(note, "late"))
    other.commit()
    calls.run_all(agent)
    assert calls.happened == [("late", "200 OK")]
    other.begin()
    assert callback.status == COMPLETED


def test_late_callbacks_come_after_the_earlier_ones(client, agent):
    job = client.put(ok)
    job.addCallback(Job(note, "early"))
    agent.claimJob()
    client.commit()
    job.addCallback(Job(note, "late"))
    client.commit()
    assert [c.args[0] for c in job.callbacks] == ["early", "late"]
    job()
    assert [entry[0] for entry in calls.happened] == ["early", "late"]


# -- of proxies


def test_a_late_callback_of_a_proxy_goes_to_the_chosen_job(run):
    job = Job(ok)
    proxy = job.addCallbacks(scribble)
    run(job)
    callback = proxy.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED: SCRIBBLED"
    late = proxy.addCallbacks(scribble)
    assert late.result == "200 OK: SCRIBBLED: SCRIBBLED"


def test_a_late_callback_of_a_proxy_that_had_nothing_to_call_gets_the_result(run):
    job = Job(ok)
    proxy = job.addCallbacks(failure=handle)
    run(job)
    callback = proxy.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED"
    assert callback.status == proxy.status == COMPLETED


def test_a_late_callback_behind_two_proxies_gets_the_result(run):
    job = Job(ok)
    proxy = job.addCallbacks(failure=handle).addCallbacks(failure=handle)
    run(job)
    callback = proxy.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED"


def test_a_late_callback_of_a_proxy_of_a_queue_is_performed_by_a_dispatcher(client, agent):
    job = client.put(ok)
    proxy = job.addCallbacks(failure=handle)
    client.commit()
    calls.run_next(agent)
    callback = proxy.addCallback(scribble)
    client.commit()
    assert callback.status == NEW
    calls.run_all(agent)
    assert callback.result == "200 OK: SCRIBBLED"
