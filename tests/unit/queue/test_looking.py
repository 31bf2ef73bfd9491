"""Iterations over a queue and indices of it: the order, and what they load."""

import datetime
import itertools
import random

import hypothesis
import hypothesis.strategies as st
import pytest

import zc.async_.clock
import zc.async_.queue.backlog
from tests.unit import calls
from tests.unit.queue.claims import examples, to_backlog, turns, two_clients
from zc.async_.interfaces import NEW, PENDING
from zc.async_.job import Job
from zc.async_.queue import waiting_in_batches
from zc.async_.queue.lane import SEGMENT_SIZE, Lane

SECOND = datetime.timedelta(seconds=1)


def expected(jobs):
    """Those of the jobs that wait, each loaded and sorted: what an iteration should give."""
    return sorted(
        (job for job in jobs if job.status == PENDING), key=lambda job: job.position_key()
    )


# -- the order


def put_one(client, clock, draw, jobs):
    job = Job(calls.nothing)
    if draw.random() < 0.4:
        job.priority = draw.choice([-1, 1, 2, 2, 2, *range(3, 30)])
    if draw.random() < 0.5:
        job.begin_after = clock.after(seconds=draw.choice([-5, 0, 5, 500]))
    if draw.random() < 0.2:
        job.quota_names = ["full"]
    jobs.append(client.queue.put(job))
    if draw.random() < 0.2:
        # Unlike the edits below this is done before anybody can have seen it.
        edit_one(client, clock, draw, jobs[-2:])


def edit_one(client, clock, draw, jobs):
    for job in draw.sample(jobs, 1) if jobs else ():
        if job.status == PENDING:
            if draw.random() < 0.5:
                job.priority = draw.randrange(-1, 3)
            else:
                job.begin_after = clock.after(seconds=draw.choice([-5, 5]))


def remove_one(client, clock, draw, jobs):
    for job in draw.sample(jobs, 1) if jobs else ():
        if job.status == PENDING:
            client.queue.remove(job)


def claim_some(client, clock, draw, jobs):
    for _number in range(draw.randrange(4)):
        job = client.queue.claim(lambda job: draw.random() < 0.7)
        if job is not None and draw.random() < 0.5:
            client.queue.putBack(job)
        elif job is not None and draw.random() < 0.5:
            client.queue.put_later(job, clock() + draw.choice([-1, 5_000_000]))


def commit(client, clock, draw, jobs):
    client.commit()


def move_clock(client, clock, draw, jobs):
    # Never to the same microsecond: an entry could be taken for an earlier one of its job.
    clock.advance(seconds=draw.choice([-2, 1, 1, 20]), microseconds=draw.randrange(1, 100_000))


ACTIONS = [put_one] * 6 + [edit_one] * 2 + [remove_one, claim_some, commit, move_clock]


@examples(60)
@hypothesis.given(st.integers(0, 1 << 32), st.booleans())
def test_an_iteration_gives_what_waits_sorted_as_the_jobs_say(clock, seed, tell_all):
    draw = random.Random(seed)
    with two_clients() as clients:
        clients[0].queue.quotas.create("full", 0)
        clients[0].commit()
        for client, jobs, steps in turns(draw, clients, 6, 20):
            for _step in steps:
                draw.choice(ACTIONS)(client, clock, draw, jobs)
                if tell_all:
                    assert list(client.queue) == expected(jobs)
            assert list(client.queue) == expected(jobs)
            assert len(client.queue) == len(expected(jobs))
            assert client.queue[1:4] == expected(jobs)[1:4]
            client.commit()
            client.begin()
            batches = waiting_in_batches(client.queue, 3)
            assert list(itertools.chain.from_iterable(batches)) == expected(jobs)


def test_jobs_due_later_come_by_priority_first_though_there_are_many_priorities(client, clock):
    jobs = []
    for number in range(3 * zc.async_.queue.backlog.LATER_RANKS):
        jobs.append(
            client.put(calls.nothing, clock.after(seconds=100 - number), priority=number // 2)
        )
    to_backlog(client)
    assert len(client.queue.backlog.later_by_rank) == zc.async_.queue.backlog.LATER_RANKS
    assert list(client.queue) == expected(jobs)
    clock.advance(hours=1)
    assert len(client.claim_all()) == len(jobs)
    assert len(client.queue) == 0
    assert client.queue.backlog.later_count == 0


def test_a_clock_that_was_set_back_leaves_the_order_by_time(client, clock):
    first = client.put(calls.nothing)
    clock.advance(hours=-1)
    second = client.put(calls.nothing)
    assert list(client.queue) == [second, first]


def test_jobs_that_one_put_of_an_open_claim_are_there_once(client):
    jobs = [client.put(calls.nothing) for _number in range(3)]
    with client.queue.claiming():
        assert list(client.queue) == jobs


# -- databases of older versions


def as_older_versions_wrote(client):
    """Take from lanes and backlog what older versions did not write."""
    for lane in client.queue.lanes.values():
        vars(lane).pop("ordered_from", None)
        lane._p_changed = True
        segment = lane.cursor.segment
        while segment is not None:
            segment.entries = tuple(entry[:2] for entry in segment.entries)
            segment = segment.next
    backlog = client.queue.backlog
    for _rank, tree in backlog.ranked():
        backlog.later.update(tree)
    del backlog.later_by_rank
    client.commit()


@pytest.mark.parametrize("read", [False, True], ids=["in lanes", "in the backlog"])
def test_entries_of_older_versions_are_put_in_order(client, clock, read):
    def put_all():
        for number in range(20):
            when = clock.after(seconds=-number) if number % 3 else clock.after(seconds=50 - number)
            jobs.append(client.put(calls.nothing, when, priority=number % 4))

    jobs = []
    put_all()
    if read:
        to_backlog(client)
    as_older_versions_wrote(client)
    assert list(client.queue) == expected(jobs)
    put_all()
    assert list(client.queue) == expected(jobs)
    to_backlog(client)
    assert list(client.queue) == expected(jobs)
    clock.advance(hours=1)
    assert len(client.claim_all()) == 40
    assert len(client.queue) == 0


def test_a_lane_of_an_older_version_knows_what_is_in_order_after_its_next_put():
    lane = Lane()
    del lane.ordered_from
    lane.newest.entries = ((1, "one"), (2, "two"))
    lane.append(3, "three")
    assert lane.ordered_from == 3
    lane.append(4, "four")
    assert lane.ordered_from == 3


# -- what is loaded


@pytest.fixture
def loads(db, connect):
    """Tells how many records a new connection loads for something that is done with a queue."""

    def loads(action):
        fresh = connect()
        fresh.connection.cacheMinimize()
        fresh.begin()
        fresh.connection.getTransferCounts(clear=True)
        action(fresh.queue)
        count, _stores = fresh.connection.getTransferCounts(clear=True)
        fresh.close()
        return count

    return loads


def first_by_index(queue):
    return queue[0]


def first_by_iteration(queue):
    return next(iter(queue))


def first_by_slice(queue):
    return queue[:1]


def first_by_pull(queue):
    return queue.pull()


LOOKS = [first_by_index, first_by_iteration, first_by_slice, first_by_pull]


def in_lanes(client, clock, number):
    return client.queue.put(calls.nothing)


def scheduled(client, clock, number):
    return client.queue.put(calls.nothing, clock.after(seconds=1000 - number % 7))


def of_many_priorities(client, clock, number):
    return client.queue.put(calls.nothing, priority=number % 5)


def scheduled_of_many_priorities(client, clock, number):
    when = clock.after(seconds=1000 - number % 7)
    return client.queue.put(calls.nothing, when, priority=number % 5)


def later_and_later(client, clock, number):
    clock.advance(seconds=number % 2)
    return client.queue.put(calls.nothing, clock.after(seconds=50))


def urgent(client, clock, number):
    return client.queue.put(calls.nothing, priority=1)


#: Ways to put, and whether claims have read the jobs.
PLACES = [
    (in_lanes, False),
    (in_lanes, True),
    (later_and_later, False),
    (urgent, False),
    (scheduled, True),
    (of_many_priorities, True),
    (scheduled_of_many_priorities, True),
]


def fill(client, clock, put, read, count):
    for number in range(count):
        put(client, clock, number)
    client.commit()
    if read:
        to_backlog(client)


@pytest.mark.parametrize(("put", "read"), PLACES)
def test_the_first_job_costs_as_much_among_many_as_among_few(client, clock, loads, put, read):
    counts = []
    for more in (300, 1700):
        fill(client, clock, put, read, more)
        counts.append([loads(look) for look in LOOKS])
    few, many = counts
    # Trees get deeper.
    assert all(after <= before + 2 for before, after in zip(few, many, strict=True))
    assert max(many) < 60


def test_the_first_job_among_many_in_lanes_of_many_priorities_loads_no_other(client, clock):
    fill(client, clock, of_many_priorities, False, 300)
    client.begin()
    client.connection.cacheMinimize()
    assert client.queue[0].priority == 4
    cached = [record for _oid, record in client.connection._cache.items()]
    loaded = [job for job in cached if isinstance(job, Job) and job._p_changed is not None]
    assert len(loaded) == 1


def test_entries_that_say_nothing_of_their_place_are_those_of_plain_puts(client, clock):
    plain = client.queue.put(calls.nothing)
    past = client.queue.put(calls.nothing, clock.after(seconds=-1))
    urgent = client.queue.put(calls.nothing, priority=1)
    assert (plain.place_key(), past.place_key()) == (None, None)
    assert urgent.place_key() is not None


# -- meanwhile


@pytest.mark.parametrize("read", [False, True], ids=["in lanes", "in the backlog"])
def test_a_loop_that_edits_each_job_ends(client, clock, read):
    fill(client, clock, in_lanes, read, 40)
    client.begin()
    seen = []
    for job in client.queue:
        seen.append(job)
        job.begin_after = clock.after(seconds=100)
        client.commit()
    assert len(seen) == len(set(map(id, seen))) == 40
    assert len(client.queue) == 40


@pytest.mark.parametrize("read", [False, True], ids=["in lanes", "in the backlog"])
def test_a_loop_that_removes_each_job_sees_all_and_empties_the_queue(client, clock, read):
    fill(client, clock, in_lanes, read, 40)
    client.begin()
    seen = [client.queue.remove(job) or job for job in client.queue]
    assert len(seen) == 40
    assert not client.queue
    assert {job.status for job in seen} == {NEW}


@pytest.mark.parametrize("read", [False, True], ids=["in lanes", "in the backlog"])
def test_a_loop_that_puts_a_job_for_each_ends(client, clock, read):
    fill(client, clock, in_lanes, read, 40)
    client.begin()
    before = list(client.queue)
    seen = []
    for job in client.queue:
        seen.append(job)
        client.put(calls.nothing)
    assert seen == before
    assert len(client.queue) == 80


@pytest.mark.parametrize("read", [False, True], ids=["in lanes", "in the backlog"])
def test_a_loop_during_which_others_claim_and_put_gives_all_that_still_wait(
    client, clock, other, read
):
    fill(client, clock, in_lanes, read, 100)
    client.begin()
    seen = []
    for number, job in enumerate(client.queue):
        seen.append(job)
        if number == 10:
            other.begin()
            claimed = [client.mine(other.queue.claim()) for _number in range(30)]
            other.queue.put(calls.nothing)
            other.commit()
            client.put(calls.nothing)
    assert len(seen) == len(set(map(id, seen)))
    waiting = set(map(id, expected(seen)))
    assert len(waiting) >= 100 - 30
    assert len(claimed) == 30


def test_a_claim_within_a_loop_leaves_the_loop_what_was_not_taken(client, clock):
    fill(client, clock, in_lanes, False, 3 * SEGMENT_SIZE)
    client.begin()
    jobs = list(client.queue)
    seen = []
    for job in client.queue:
        seen.append(job)
        if len(seen) == 1:
            assert client.queue.claim() is job
            # The claim has read all: the newest segment is used for the next ones.
            for _number in range(10):
                client.queue.put(calls.nothing)
    assert seen[: len(jobs)] == jobs


# -- indices


@pytest.fixture
def jobs(client):
    return [client.put(calls.nothing) for _number in range(12)]


def test_batches_grow_up_to_a_size(queue, jobs):
    batches = list(waiting_in_batches(queue, 4))
    assert [len(batch) for batch in batches] == [1, 2, 4, 4, 1]
    assert list(itertools.chain.from_iterable(batches)) == jobs


def test_a_batch_may_have_fewer_jobs_than_entries(client, queue, jobs):
    for job in jobs[:4]:
        queue.remove(job)
    client.commit()
    batches = list(waiting_in_batches(queue, 4))
    assert batches == [[], [], jobs[4:7], jobs[7:11], jobs[11:]]


def test_batches_of_a_queue_of_another_kind_are_of_its_iteration(jobs):
    assert list(waiting_in_batches(jobs[:4], 2)) == [jobs[:1], jobs[1:3], jobs[3:4]]


@pytest.mark.parametrize("index", [0, 3, 11, -1, -12, True])
def test_an_index_is_one_of_the_list(queue, jobs, index):
    assert queue[index] is jobs[index]


@pytest.mark.parametrize("index", [12, -13, 1 << 80, -(1 << 80)])
def test_an_index_that_is_out_of_range_says_so(queue, jobs, index):
    with pytest.raises(IndexError):
        queue[index]
    with pytest.raises(IndexError):
        queue.pull(index)


@pytest.mark.parametrize("index", ["0", 1.0, None, slice("a", None)])
def test_what_is_no_index_is_refused(queue, jobs, index):
    with pytest.raises(TypeError):
        queue[index]


@pytest.mark.parametrize("start", [None, 0, 2, 20, -3, 1 << 80])
@pytest.mark.parametrize("stop", [None, 0, 5, 20, -2, 1 << 80])
@pytest.mark.parametrize("step", [None, 1, 3, -1, -2])
def test_a_slice_is_that_of_the_list(queue, jobs, start, stop, step):
    assert queue[start:stop:step] == jobs[start:stop:step]


def test_a_queue_can_be_looked_at_backwards(queue, jobs):
    assert list(reversed(queue)) == jobs[::-1]
