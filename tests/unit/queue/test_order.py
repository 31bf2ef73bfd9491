"""The order of the jobs of a queue."""

import datetime

import pytest

from tests.unit import calls
from zc.async_.interfaces import COMPLETED, BadStatusError
from zc.async_.job import Job


def test_jobs_are_in_the_order_of_their_putting(queue):
    jobs = [queue.put(calls.nothing) for _number in range(40)]
    assert list(queue) == jobs
    assert [queue.claim() for _job in jobs] == jobs


def test_higher_priorities_come_first(queue):
    low = queue.put(calls.nothing, priority=-1)
    usual = queue.put(calls.nothing)
    high = queue.put(calls.nothing, priority=1)
    assert list(queue) == [high, usual, low]
    assert [queue.claim() for _number in range(3)] == [high, usual, low]


def test_a_date_that_has_passed_queues_as_if_there_were_none(queue, clock):
    first = queue.put(calls.nothing)
    second = queue.put(calls.nothing, clock.after(days=-1))
    third = queue.put(calls.nothing)
    assert list(queue) == [first, second, third]
    assert [queue.claim() for _number in range(3)] == [first, second, third]


def test_a_job_due_later_comes_after_those_put_before_it_is_due(queue, clock):
    later = queue.put(calls.nothing, clock.after(minutes=10))
    now = queue.put(calls.nothing)
    assert list(queue) == [now, later]
    clock.advance(minutes=9)
    before = queue.put(calls.nothing)
    clock.advance(minutes=2)
    after = queue.put(calls.nothing)
    assert list(queue) == [now, before, later, after]
    assert [queue.claim() for _number in range(4)] == [now, before, later, after]


def test_jobs_due_later_are_claimed_once_they_are_due(client, clock):
    job = client.put(calls.nothing, clock.after(minutes=10))
    assert client.claim() is None
    clock.advance(minutes=10, microseconds=-1)
    assert client.claim() is None
    clock.advance(microseconds=1)
    assert client.claim() is job


def test_a_due_job_with_priority_comes_before_others(client, clock):
    important = client.put(calls.nothing, clock.after(minutes=10), priority=1)
    usual = client.put(calls.nothing)
    assert client.claim(calls.fail) is None
    clock.advance(minutes=11)
    client.put(calls.nothing)
    assert client.claim() is important
    assert client.claim() is usual


def test_a_job_put_back_comes_before_all_others(queue):
    first = queue.put(calls.nothing)
    queue.put(calls.nothing, priority=1_000_000)
    assert queue.claim().priority == 1_000_000
    job = queue.claim()
    assert job is first
    queue.put(calls.nothing, priority=1_000_000)
    queue.putBack(job)
    assert queue[0] is first
    assert queue.claim() is first


def test_jobs_put_back_keep_their_order_of_arrival_among_each_other(queue):
    jobs = [queue.put(calls.nothing) for _number in range(5)]
    claimed = [queue.claim() for _job in jobs]
    for job in reversed(claimed):
        queue.putBack(job)
    assert list(queue) == jobs


def test_a_job_put_back_once_has_no_precedence_when_it_is_put_again(queue):
    job = queue.put(calls.nothing)
    queue.putBack(queue.claim())
    queue.remove(job)
    other = queue.put(calls.nothing)
    queue.put(job)
    assert list(queue) == [other, job]


def test_only_a_claimed_job_can_be_put_back(queue):
    job = queue.put(calls.nothing)
    with pytest.raises(BadStatusError):
        queue.putBack(job)
    queue.claim()()
    with pytest.raises(BadStatusError):
        queue.putBack(job)


def test_a_job_put_back_keeps_its_deadline(client, clock):
    job = client.put(calls.nothing, clock.after(days=1), datetime.timedelta(hours=1))
    clock.advance(days=1, minutes=1)
    assert client.claim() is job
    client.queue.putBack(job)
    client.commit()
    assert job.begin_by == datetime.timedelta(hours=1)
    clock.advance(minutes=58)
    assert client.claim() is job
    client.queue.putBack(job)
    client.commit()
    clock.advance(minutes=1)
    assert client.claim() is None
    assert job.status == COMPLETED


def test_a_job_that_is_put_back_before_its_time_may_run_at_once(queue, clock):
    job = Job(calls.nothing)
    job.begin_after = clock.after(hours=1)
    queue.putBack(job)
    assert queue.claim() is job


def test_jobs_of_several_connections_are_merged_by_time(client, connect, clock):
    clients = [connect() for _number in range(3)]
    jobs = []
    for number in range(30):
        clock.advance(milliseconds=1)
        jobs.append(clients[number * 7 % 3].put(calls.nothing))
    client.begin()
    assert list(client.queue) == [client.mine(job) for job in jobs]
    assert client.claim_all() == [client.mine(job) for job in jobs]


def test_the_order_of_a_connection_holds_over_many_sweeps(client, other, monkeypatch):
    monkeypatch.setattr("zc.async_.queue.claim.SWEEP_LIMIT", 7)
    jobs = [client.put(calls.nothing) for _number in range(50)]
    assert other.claim_all() == [other.mine(job) for job in jobs]


def test_entries_are_told_apart_when_the_clock_is_set_back(client, clock):
    first = client.put(calls.nothing)
    clock.advance(seconds=-30)
    second = client.put(calls.nothing)
    assert first.entry_key > second.entry_key
    clock.advance(microseconds=-5)
    third = client.put(calls.nothing)
    assert third.entry_key > second.entry_key
    assert set(client.claim_all()) == {first, second, third}
