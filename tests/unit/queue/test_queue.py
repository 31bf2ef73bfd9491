"""Queues: looking, removing, claiming by hand."""

import datetime

import pytest

from tests.unit import calls
from zc.async_.interfaces import COMPLETED, KEY, NEW, PENDING
from zc.async_.job import Job
from zc.async_.queue import Queue


def loaded_jobs(client):
    """How many jobs the connection has read from the database."""
    return sum(isinstance(obj, Job) for _oid, obj in client.connection._cache.lru_items())


# -- looking


def test_len_counts_due_and_later_jobs(queue, clock):
    assert len(queue) == 0
    assert not queue
    queue.put(calls.nothing)
    queue.put(calls.nothing, clock.after(days=1))
    assert len(queue) == 2
    assert queue


def test_len_is_right_wherever_the_jobs_are(client, other, clock):
    client.put(calls.nothing, clock.after(days=1))
    for _number in range(10):
        client.put(calls.nothing)
    for expected in range(10, 0, -1):
        other.claim()
        client.begin()
        assert len(client.queue) == len(list(client.queue)) == expected
    assert other.claim() is None
    assert len(other.queue) == 1


def test_len_falls_at_once_on_remove(client, clock):
    job = client.put(calls.nothing)
    later = client.put(calls.nothing, clock.after(days=1))
    client.claim(calls.fail)
    fresh = client.put(calls.nothing)
    for expected, each in [(2, job), (1, later), (0, fresh)]:
        client.queue.remove(each)
        assert len(client.queue) == expected
    client.commit()
    assert client.claim() is None
    clock.advance(days=2)
    assert client.claim() is None
    assert len(client.queue) == 0


def test_len_and_bool_read_no_job(client, connect, clock):
    for number in range(100):
        client.queue.put(calls.nothing, clock.after(days=1) if number % 2 else None)
        if number == 50:
            client.commit()
            client.claim(calls.fail)
    client.queue.pull()
    client.commit()
    fresh = connect()
    fresh.connection.cacheMinimize()
    assert len(fresh.queue) == 99
    assert fresh.queue
    assert loaded_jobs(fresh) == 0
    list(fresh.queue)
    assert loaded_jobs(fresh) == 100


def test_indices_follow_the_order(queue):
    jobs = [queue.put(calls.nothing, priority=-number) for number in range(4)]
    assert [queue[index] for index in (0, 3, -1, -4)] == [jobs[0], jobs[3], jobs[3], jobs[0]]
    assert queue[1:3] == jobs[1:3]
    for index in (4, -5):
        with pytest.raises(IndexError):
            queue[index]


def test_a_queue_knows_which_jobs_wait_in_it(queue):
    job = queue.put(calls.nothing)
    assert job in queue
    assert Job(calls.nothing) not in queue
    assert None not in queue
    assert job not in Queue()
    queue.claim()
    assert job not in queue


# -- taking by hand


def test_pull_takes_the_first_job_or_that_at_an_index(queue):
    jobs = [queue.put(calls.nothing) for _number in range(4)]
    assert queue.pull() is jobs[0]
    assert queue.pull(-1) is jobs[3]
    assert queue.pull(1) is jobs[2]
    assert list(queue) == [jobs[1]]
    assert len(queue) == 1
    assert {job.status for job in (jobs[0], jobs[2], jobs[3])} == {NEW}
    assert jobs[0].parent is None


def test_pull_takes_jobs_that_are_not_due(queue, clock):
    job = queue.put(calls.nothing, clock.after(days=1))
    assert queue.pull() is job


@pytest.mark.parametrize("index", [0, 1, -1])
def test_pull_from_an_empty_queue_is_an_index_error(queue, index):
    with pytest.raises(IndexError):
        queue.pull(index)


def test_remove_takes_that_job(queue):
    first, second = queue.put(calls.nothing), queue.put(calls.nothing)
    queue.remove(first)
    assert list(queue) == [second]
    assert first.status == NEW
    assert first.queue is None


def test_remove_of_a_job_that_does_not_wait_is_a_lookup_error(queue):
    job = Job(calls.nothing)
    with pytest.raises(LookupError):
        queue.remove(job)
    queue.put(job)
    with pytest.raises(LookupError):
        Queue().remove(job)
    queue.claim()
    with pytest.raises(LookupError):
        queue.remove(job)


@pytest.mark.parametrize("in_backlog", [False, True])
def test_a_job_taken_out_can_be_put_again_and_comes_last(client, clock, in_backlog):
    queue = client.queue
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    if in_backlog:
        client.claim(calls.fail)
    clock.advance(seconds=1)
    assert queue.pull() is first
    assert queue.put(first) is first
    assert list(queue) == [second, first]
    queue.remove(second)
    queue.put(second)
    assert list(queue) == [first, second]
    assert len(queue) == 2
    client.commit()
    assert client.claim_all() == [first, second]
    assert len(queue) == 0


def test_a_job_taken_out_can_be_put_into_another_queue(client):
    second = client.root[KEY]["second"] = Queue()
    job = client.put(calls.nothing)
    client.queue.remove(job)
    second.put(job)
    client.commit()
    assert client.claim() is None
    assert second.claim() is job


def test_the_deadline_of_a_job_put_again_counts_from_then(client, clock):
    job = client.put(calls.nothing, begin_by=datetime.timedelta(hours=1))
    client.claim(calls.fail)
    clock.advance(minutes=50)
    client.queue.remove(job)
    client.put(job)
    clock.advance(minutes=50)
    client.claim(calls.fail)
    assert job.status == PENDING
    clock.advance(minutes=10)
    client.claim(calls.fail)
    assert job.status == COMPLETED


def test_many_removed_entries_are_dropped_by_pull(client):
    jobs = [client.queue.put(calls.nothing) for _number in range(300)]
    client.commit()
    for job in jobs[:250]:
        client.queue.remove(job)
    client.commit()
    assert client.queue.pull() is jobs[250]
    client.commit()
    assert client.queue.stale_entries() < 250
    assert len(client.queue) == 49
    assert client.claim_all() == jobs[251:]


def test_removing_does_not_conflict_with_a_claim_of_another_job(client, other):
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    client.begin()
    client.queue.remove(second)
    assert other.claim() == other.mine(first)
    client.commit()
    assert other.claim() is None
    assert len(other.queue) == 0


# -- claiming by hand


def test_a_claimed_job_is_nobodys_and_can_be_called(client):
    job = client.put(Job(calls.add, 5, 2))
    assert client.claim() is job
    assert job.status == NEW
    assert job.parent is None
    assert len(client.queue) == 0
    assert job() == 7
    assert job.status == COMPLETED


def test_an_empty_queue_gives_none_or_the_default(queue):
    assert queue.claim() is None
    assert queue.claim(default="nothing") == "nothing"


def test_a_claim_with_a_filter_takes_the_first_job_that_fits(queue):
    jobs = [queue.put(Job(calls.echo, number)) for number in range(5)]
    assert queue.claim(lambda job: job.args[0] > 2) is jobs[3]
    assert queue.claim(lambda job: job.args[0] > 7, "none") == "none"
    assert queue.claim() is jobs[0]
    assert list(queue) == [jobs[1], jobs[2], jobs[4]]


def test_a_claim_gives_each_time_a_new_token(client):
    job = client.put(calls.nothing)
    tokens = set()
    for _number in range(3):
        assert client.claim() is job
        tokens.add(job.claim_token)
        client.queue.putBack(job)
        client.commit()
    assert len(tokens) == 3


# -- in no database


def test_a_queue_and_jobs_in_no_database_work(clock):
    queue = Queue()
    first = queue.put(calls.nothing)
    second = queue.put(Job(calls.add, 1, 2), priority=1)
    assert list(queue) == [second, first]
    first.priority = 2
    assert list(queue) == [first, second]
    assert queue.claim() is first
    assert len(queue) == 1
    assert queue.claim()() == 3
