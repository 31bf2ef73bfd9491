"""The completed jobs of an agent."""

import datetime
import itertools

import pytest

from tests.unit import calls
from zc.async_.agent.history import BUCKETS, SEGMENT_SIZE, Completed
from zc.async_.job import Job

DAY = datetime.timedelta(days=1)


@pytest.fixture
def completed():
    return Completed()


@pytest.fixture
def fill(completed, clock):
    """Adds that many jobs, one a minute; returns them with their times, the newest first."""
    added = []

    def fill(count=1, **interval):
        for _number in range(count):
            job = f"job {len(added)}"
            completed.add(job)
            added.insert(0, (clock.now, job))
            clock.advance(**(interval or {"minutes": 1}))
        return added

    return fill


def jobs(pairs):
    return [job for _time, job in pairs]


def test_a_fresh_history_is_empty(completed):
    assert len(completed) == 0
    assert not completed
    assert list(completed) == []
    for method in (completed.first, completed.last):
        with pytest.raises(ValueError, match="no job completed"):
            method()


def test_it_can_be_cleared_and_goes_on(completed, fill):
    fill(2 * SEGMENT_SIZE)
    completed.clear()
    assert not completed
    assert list(completed) == []
    added = fill()
    assert list(completed) == jobs(added)[:1]


@pytest.mark.parametrize("count", [1, SEGMENT_SIZE, SEGMENT_SIZE + 1, 5 * SEGMENT_SIZE + 3])
def test_the_newest_comes_first(completed, fill, count):
    added = fill(count)
    assert list(completed) == jobs(added)
    assert len(completed) == count
    assert completed
    assert completed.first() == jobs(added)[0]
    assert completed.last() == jobs(added)[-1]


def test_jobs_of_one_moment_are_all_there(completed, clock):
    for number in range(3 * SEGMENT_SIZE):
        completed.add(number)
    assert list(completed) == list(reversed(range(3 * SEGMENT_SIZE)))
    assert len(completed) == 3 * SEGMENT_SIZE
    assert list(completed.iter(clock.now)) == list(completed)
    assert list(completed.iter(None, clock.now)) == []


def test_a_span_of_time_has_the_jobs_at_its_start_and_not_those_at_its_stop(completed, fill):
    added = fill(50)
    times = [time for time, _job in added]
    for start, stop in [(0, 49), (10, 40), (10, 10), (17, 33), (30, 31)]:
        assert list(completed.iter(times[start], times[stop])) == jobs(added[start:stop])
    assert list(completed.iter(times[20])) == jobs(added[20:])
    assert list(completed.iter(stop=times[20])) == jobs(added[:20])


def test_times_between_the_jobs_will_do(completed, fill):
    added = fill(50)
    second = datetime.timedelta(seconds=1)
    times = [time for time, _job in added]
    assert list(completed.iter(times[10] - second, times[40] + second)) == jobs(added[11:40])
    assert completed.first(times[10] + second) == jobs(added)[10]
    assert completed.last(times[10] - second) == jobs(added)[10]


def test_naive_times_are_in_utc(completed, fill):
    added = fill(3)
    naive = added[1][0].replace(tzinfo=None)
    assert completed.first(naive) == jobs(added)[1]


def test_first_and_last_say_so_if_there_is_none(completed, fill, clock):
    added = fill(3)
    with pytest.raises(ValueError, match="at that time or before"):
        completed.first(added[-1][0] - DAY)
    with pytest.raises(ValueError, match="after that time"):
        completed.last(clock.now)


def test_spans_go_over_midnight(completed, fill):
    added = fill(60, hours=2)
    times = [time for time, _job in added]
    assert list(completed) == jobs(added)
    assert list(completed.iter(times[3], times[50])) == jobs(added[3:50])
    assert completed.first(times[30]) == jobs(added)[30]
    assert completed.last(times[30]) == jobs(added)[29]


def test_jobs_are_kept_for_a_week(completed, fill, clock):
    added = fill(24 * 20, hours=1)
    kept = list(completed)
    assert kept == jobs(added)[: len(kept)]
    assert len(completed) == len(kept)
    oldest = added[len(kept) - 1][0]
    assert datetime.timedelta(days=BUCKETS - 1) <= clock.now - oldest
    assert clock.now - oldest <= datetime.timedelta(days=BUCKETS)


def test_rotation_drops_what_is_old_though_nothing_is_added(completed, fill, clock):
    fill(10)
    assert not completed.rotate(clock.time)
    assert len(completed) == 10
    clock.advance(days=BUCKETS)
    assert completed.rotate(clock.time)
    assert len(completed) == 0
    assert list(completed) == []


def test_after_a_pause_longer_than_a_week_only_the_new_job_is_there(completed, fill, clock):
    fill(10)
    clock.advance(days=100)
    completed.add("new")
    assert list(completed) == ["new"]


def test_a_clock_that_is_set_back_loses_nothing(completed, fill, clock):
    added = fill(5)
    clock.advance(days=-1)
    completed.add("later")
    assert len(completed) == 6
    assert completed.first() == "later"
    assert list(completed) == ["later", *jobs(added)]
    # By the clock it was the first of all.
    assert list(completed.iter(stop=added[-1][0])) == jobs(added)[:-1]
    assert completed.first(clock.now) == "later"


def test_a_history_is_the_same_for_another_connection(client, agent, other, clock):
    added = []
    for _number in range(2 * SEGMENT_SIZE):
        added.insert(0, client.put(calls.nothing))
        clock.advance(hours=1)
        calls.run_next(agent)
        agent.keep_books()
        client.commit()
    other.begin()
    there = other.mine(agent).completed
    assert list(there) == [other.mine(job) for job in added]
    assert len(there) == len(added)


def test_adding_writes_little_however_long_the_history_is(client):
    completed = client.add("completed", Completed())
    for number in range(20 * SEGMENT_SIZE):
        completed.add(number)
    client.commit()
    completed.add(Job(calls.nothing))
    # The newest segment, at most with its bucket and the tree of that.
    assert len(client.connection._registered_objects) <= 3


def test_the_newest_jobs_of_many_load_few_records(client):
    completed = client.add("completed", Completed())
    for _number in range(200 * SEGMENT_SIZE):
        completed.add(Job(calls.nothing))
    client.commit()
    client.connection.cacheMinimize()
    client.begin()
    before = client.connection.getTransferCounts()[0]
    assert len(list(itertools.islice(completed, 2 * SEGMENT_SIZE))) == 2 * SEGMENT_SIZE
    # History, bucket, tree with some of its leaves, segments; not the jobs.
    assert client.connection.getTransferCounts()[0] - before < 10
