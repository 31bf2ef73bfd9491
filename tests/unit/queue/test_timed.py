"""Deadlines of waiting jobs."""

from tests.unit import calls
from tests.unit.queue.claims import HOUR, claim_nothing, refuse, timed_out
from zc.async_.interfaces import COMPLETED, NEW, PENDING
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job


def test_a_job_that_cannot_begin_in_time_fails(client, clock, settle):
    job = client.queue.put(calls.nothing, None, HOUR)
    settle()
    clock.advance(minutes=59)
    claim_nothing(client)
    assert job.status == PENDING
    clock.advance(minutes=2)
    assert client.claim() is None
    assert timed_out(job)
    assert len(client.queue) == 0
    assert list(client.queue) == []


def test_a_job_claimed_in_time_does_not_fail(client, clock, settle):
    job = client.queue.put(calls.nothing, None, HOUR)
    settle()
    assert client.claim() is job
    assert len(client.queue.backlog.deadlines) == 0
    clock.advance(hours=2)
    assert client.claim() is None
    assert job.status == NEW


def test_the_deadline_counts_from_begin_after(client, clock, settle):
    job = client.queue.put(calls.nothing, clock.after(hours=2), HOUR)
    settle()
    clock.advance(hours=2)
    claim_nothing(client)
    assert job.status == PENDING
    clock.advance(hours=1)
    claim_nothing(client)
    assert timed_out(job)


def test_a_job_whose_time_was_over_before_the_put_fails(client, clock):
    job = client.put(calls.nothing, clock.after(hours=-3), HOUR)
    assert client.claim() is None
    assert timed_out(job)


def test_the_failure_of_a_late_job_goes_to_its_callbacks(client, clock, agent, happened):
    job = client.queue.put(calls.nothing, None, HOUR)
    job.addCallbacks(failure=calls.happen)
    client.commit()
    clock.advance(hours=2)
    assert calls.run_next(agent) is None
    assert not happened
    assert calls.run_all(agent) != []
    assert happened[0][0].check(BeginByPassedError)
    assert job.status == COMPLETED


def test_the_deadline_holds_behind_a_full_quota(client, clock):
    client.queue.quotas.create("a")
    first, second = Job(calls.nothing), Job(calls.nothing)
    for job in (first, second):
        job.quota_names = ["a"]
        client.put(job, None, HOUR)
    assert client.claim() is first
    assert client.claim() is None
    clock.advance(hours=2)
    assert client.claim() is None
    assert timed_out(second)
    assert first.status == NEW
    assert len(client.queue) == 0
    first()
    assert client.claim() is None


def test_the_deadline_holds_behind_a_filter(client, clock, uuid_1):
    agent = client.agent(uuid_1, filter=refuse)
    job = client.put(calls.nothing, None, HOUR)
    assert calls.run_next(agent) is None
    clock.advance(hours=2)
    assert calls.run_next(agent) is None
    assert timed_out(job)
    assert len(client.queue) == 0


def test_the_deadline_holds_while_the_agents_are_paused(client, clock, uuid_1):
    client.agent(uuid_1, size=0)
    job = client.put(calls.nothing, None, HOUR)
    for _time in range(2):
        client.begin()
        # As a dispatcher does, whatever its agents want.
        with client.queue.claiming():
            pass
        client.commit()
        clock.advance(hours=2)
    assert timed_out(job)


def test_removed_jobs_are_not_failed_by_their_deadline(client, clock, settle):
    job = client.queue.put(calls.nothing, None, HOUR)
    settle()
    client.queue.remove(job)
    client.commit()
    clock.advance(hours=2)
    assert client.claim() is None
    assert job.status == NEW
    assert job.result is None
    assert len(client.queue) == 0
