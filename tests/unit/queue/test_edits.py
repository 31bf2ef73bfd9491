"""Edits of waiting jobs."""

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from tests.unit.queue.claims import HOUR, claim_nothing, refuse, timed_out
from zc.async_.interfaces import PENDING
from zc.async_.job import Job


def numbers(jobs):
    return [job.args[0] for job in jobs]


def test_an_earlier_begin_after_makes_a_job_due(client, clock, settle):
    job = client.queue.put(calls.nothing, clock.after(days=1))
    settle()
    assert client.claim() is None
    job.begin_after = clock.after(hours=1)
    settle()
    assert client.claim() is None
    clock.advance(hours=1)
    assert client.claim() is job
    assert len(client.queue) == 0


def test_a_later_begin_after_makes_a_job_wait(client, clock, settle):
    job = client.queue.put(calls.nothing)
    settle()
    job.begin_after = clock.after(hours=1)
    client.commit()
    assert client.claim() is None
    assert len(client.queue) == 1
    clock.advance(hours=1)
    assert client.claim() is job


def test_begin_after_can_be_set_back_to_none(client, clock, settle):
    job = client.queue.put(calls.nothing, clock.after(days=1))
    settle()
    job.begin_after = None
    client.commit()
    assert client.claim() is job


def test_an_edited_begin_by_holds(client, clock, settle):
    jobs = [client.queue.put(calls.nothing, None, HOUR) for _number in range(3)]
    settle()
    jobs[0].begin_by = HOUR / 2
    jobs[1].begin_by = HOUR * 2
    jobs[2].begin_by = None
    settle()
    clock.advance(minutes=31)
    claim_nothing(client)
    assert timed_out(jobs[0])
    assert [job.status for job in jobs[1:]] == [PENDING, PENDING]
    clock.advance(minutes=60)
    claim_nothing(client)
    assert [job.status for job in jobs[1:]] == [PENDING, PENDING]
    clock.advance(minutes=60)
    assert client.claim() is jobs[2]
    assert timed_out(jobs[1])
    assert len(client.queue) == 0


def test_a_begin_by_given_to_a_waiting_job_holds(client, clock, settle):
    job = client.queue.put(calls.nothing)
    settle()
    job.begin_by = HOUR
    client.commit()
    claim_nothing(client)
    clock.advance(hours=1)
    claim_nothing(client)
    assert timed_out(job)


def test_an_edited_priority_moves_a_job(client, settle):
    jobs = [client.queue.put(calls.nothing) for _number in range(3)]
    settle()
    jobs[2].priority = 1
    jobs[0].priority = -1
    assert list(client.queue) == [jobs[2], jobs[1], jobs[0]]
    assert len(client.queue) == 3
    client.commit()
    assert client.claim_all() == [jobs[2], jobs[1], jobs[0]]


def test_an_edit_keeps_the_arrival(client, clock, settle):
    jobs = [client.queue.put(calls.nothing) for _number in range(3)]
    settle()
    clock.advance(seconds=1)
    jobs[0].args = [1]
    assert list(client.queue) == jobs
    client.commit()
    assert client.claim_all() == jobs


def test_edited_quota_names_hold(client, settle, limited):
    client.queue.quotas.create("b")
    (job,) = limited()
    (first,) = limited()
    settle()
    first.quota_names = ["b"]
    client.commit()
    assert client.claim() is job
    assert client.claim() is first
    assert list(client.queue.quotas["b"]) == [first]
    assert list(client.queue.quotas["a"]) == [job]


def test_quota_names_can_be_taken_away(client, settle, limited):
    first, second = limited(count=2)
    settle()
    assert client.claim() is first
    second.quota_names = ()
    client.commit()
    assert client.claim() is second


def test_a_waiting_job_cannot_name_an_unknown_quota(client, settle):
    job = client.queue.put(calls.nothing)
    settle()
    with pytest.raises(ValueError, match="unknown quota name"):
        job.quota_names = ["content catalog"]
    assert job.quota_names == ()


def test_edits_of_another_connection_hold(client, other, settle, clock):
    jobs = [client.queue.put(Job(calls.echo, number)) for number in range(3)]
    settle()
    other.begin()
    other.mine(jobs[0]).begin_after = clock.after(hours=1)
    other.mine(jobs[2]).priority = 1
    other.mine(jobs[1]).args[0] = 7
    assert numbers(other.queue) == [2, 7, 0]
    other.commit()
    client.begin()
    assert numbers(client.queue) == [2, 7, 0]
    assert len(client.queue) == 3
    assert numbers(client.claim_all()) == [2, 7]
    clock.advance(hours=1)
    assert numbers(client.claim_all()) == [0]
    assert len(client.queue) == 0


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda job: setattr(job, "priority", 1), id="priority"),
        pytest.param(lambda job: setattr(job, "needs", ["gpu"]), id="needs"),
        pytest.param(lambda job: job.args.append(1), id="args"),
        pytest.param(lambda job: job.kwargs.update(a=1), id="kwargs"),
        pytest.param(lambda job: setattr(job, "callable", calls.echo), id="callable"),
        pytest.param(lambda job: setattr(job, "begin_by", HOUR), id="begin_by"),
        pytest.param(lambda job: setattr(job, "begin_after", None), id="begin_after"),
        pytest.param(lambda job: job.queue.remove(job), id="remove"),
    ],
)
def test_an_edit_conflicts_with_a_claim_of_the_job(client, other, settle, edit):
    job = client.queue.put(calls.nothing)
    settle()
    other.begin()
    edit(other.mine(job))
    assert client.claim() is job
    with pytest.raises(ConflictError):
        other.commit()
    other.abort()
    client.begin()
    assert len(client.queue) == 0


def test_an_edit_does_not_conflict_with_claims_of_other_jobs(client, other, settle):
    first, second = client.queue.put(calls.nothing), client.queue.put(calls.nothing)
    settle()
    other.begin()
    other.mine(second).args.append(1)
    assert client.claim() is first
    other.commit()
    assert client.claim() is second
    assert second.args == [1]


def test_edits_in_the_transaction_of_the_put_leave_one_entry(client):
    job = client.queue.put(calls.nothing)
    job.priority = 5
    job.args.append(1)
    assert len(client.queue) == 1
    assert sum(len(lane) for lane in client.queue.lanes.values()) == 1


def test_an_edit_in_the_transaction_of_the_put_holds_after_a_claim_in_it(client):
    first, second = client.queue.put(calls.nothing), client.queue.put(calls.nothing)
    assert client.queue.claim(refuse) is None
    second.priority = 1
    assert list(client.queue) == [second, first]
    assert client.queue.claim() is second
    client.commit()
    assert client.claim() is first


def test_two_claims_at_the_same_time_do_not_take_the_same_job(client, other, settle):
    job = client.queue.put(calls.nothing)
    settle()
    client.begin()
    other.begin()
    assert client.queue.claim() is job
    assert other.queue.claim() == other.mine(job)
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()
