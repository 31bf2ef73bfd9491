"""Lanes and the leases of connections to them."""

import gc
import uuid

import hypothesis
import hypothesis.strategies as st
import pytest
import transaction
import ZODB
import zope.component
from ZODB.DemoStorage import DemoStorage
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import IUUID, KEY
from zc.async_.job import Job
from zc.async_.queue import Queue
from zc.async_.queue import lane as lane_module
from zc.async_.queue.lane import SEGMENT_SIZE, Lane


def numbers(lane):
    return [entry[:2] for entry, _segment, _position in lane.unread()]


def filled(count):
    lane = Lane()
    for number in range(count):
        lane.append(number, f"job {number}")
    return lane


def entries(*range_arguments):
    return [(number, f"job {number}") for number in range(*range_arguments)]


def read(lane, count):
    for number, (_entry, segment, position) in enumerate(lane.unread(), 1):
        if number == count:
            lane.mark_read(segment, position)
            return


SIZES = [0, 1, SEGMENT_SIZE - 1, SEGMENT_SIZE, SEGMENT_SIZE + 1, 3 * SEGMENT_SIZE + 5]


@pytest.mark.parametrize("count", SIZES)
def test_a_lane_gives_back_what_was_added_in_order(count):
    lane = filled(count)
    assert numbers(lane) == entries(count)
    assert len(lane) == count
    assert bool(lane) == bool(count)


@pytest.mark.parametrize("before", [0, SEGMENT_SIZE - 1, SEGMENT_SIZE])
@pytest.mark.parametrize("after", [0, 1, 3 * SEGMENT_SIZE])
def test_a_lane_knows_whether_an_unread_job_may_need_labels(before, after):
    lane = filled(before)
    assert not lane.may_need_labels()
    lane.append(before, "job", None, True)
    for number in range(before + 1, before + 1 + after):
        lane.append(number, f"job {number}")
        assert lane.may_need_labels()
    if before:
        read(lane, before)
    assert lane.may_need_labels()
    read(lane, 1)
    assert not lane.may_need_labels()
    lane.append(1000, "job")
    assert not lane.may_need_labels()


def test_a_lane_knows_it_of_a_job_that_gets_needs_in_the_transaction_of_its_put(client):
    job = client.queue.put(calls.nothing)
    lanes = client.queue.lanes.values()
    assert not any(lane.may_need_labels() for lane in lanes)
    job.needs = ["gpu"]
    assert any(lane.may_need_labels() for lane in lanes)
    client.commit()
    job.needs = ()
    client.commit()
    # It may be so; a look at the job tells.
    assert any(lane.may_need_labels() for lane in lanes)


@pytest.mark.parametrize("count", SIZES[1:])
@pytest.mark.parametrize("done", SIZES[1:])
def test_what_was_read_is_not_read_again(count, done):
    lane = filled(count)
    read(lane, done)
    done = done if done <= count else 0
    assert numbers(lane) == entries(done, count)
    assert len(lane) == count - done


@pytest.mark.parametrize("done", SIZES[1:])
def test_adding_goes_on_after_reading(done):
    lane = filled(SIZES[-1])
    read(lane, done)
    for number in range(SIZES[-1], 2 * SIZES[-1]):
        lane.append(number, f"job {number}")
    assert numbers(lane) == entries(done, 2 * SIZES[-1])


def test_a_segment_that_was_read_is_used_again_for_the_next_entries():
    lane = filled(SEGMENT_SIZE)
    segment = lane.newest
    read(lane, SEGMENT_SIZE)
    lane.append(99, "job 99")
    assert lane.newest is segment
    assert segment.entries == ((99, "job 99", None),)
    assert numbers(lane) == [(99, "job 99")]


def test_a_segment_with_something_unread_is_left_as_it_is():
    lane = filled(SEGMENT_SIZE)
    segment = lane.newest
    read(lane, SEGMENT_SIZE - 1)
    lane.append(99, "job 99")
    assert lane.newest is not segment
    assert len(segment.entries) == SEGMENT_SIZE
    assert numbers(lane) == [(SEGMENT_SIZE - 1, f"job {SEGMENT_SIZE - 1}"), (99, "job 99")]


def test_a_connection_that_sees_an_old_cursor_loses_nothing(client, other):
    for _number in range(SEGMENT_SIZE):
        client.queue.put(calls.nothing)
    client.commit()
    client.begin()
    assert len(other.claim_all()) == SEGMENT_SIZE
    # This connection does not know yet that its segment was read.
    job = client.put(calls.nothing)
    assert other.claim_all() == [other.mine(job)]
    job = client.put(calls.nothing)
    assert other.claim_all() == [other.mine(job)]


# -- leases


def test_two_open_connections_never_share_a_lane(client, connect):
    clients = [client, *(connect() for _number in range(4))]
    for each in clients:
        each.put(calls.nothing)
    assert len(calls.lane_keys(client)) == 5


def test_a_connection_keeps_its_lane_while_it_is_open(client):
    client.put(calls.nothing)
    before = calls.lane_keys(client)
    for _number in range(3 * SEGMENT_SIZE):
        client.put(calls.nothing)
    assert calls.lane_keys(client) == before


def test_the_lane_of_a_closed_connection_is_used_again(client, connect):
    first = connect()
    first.put(calls.nothing)
    keys = calls.lane_keys(client)
    first.close()
    connect().put(calls.nothing)
    assert calls.lane_keys(client) == keys


def test_lowest_lanes_are_used_first(client, connect):
    first, second, third = connect(), connect(), connect()
    for each in (first, second, third):
        each.put(calls.nothing)
    keys = calls.lane_keys(client)
    third.close()
    second.close()
    fourth, fifth = connect(), connect()
    fourth.put(calls.nothing)
    fifth.put(calls.nothing)
    assert calls.lane_keys(client) == keys


def test_a_connection_reopened_from_the_pool_leases_anew(client, connect):
    first = connect()
    first.put(calls.nothing)
    raw = first.connection
    first.close()
    second = connect()
    assert second.connection is raw
    second.put(calls.nothing)
    third = connect()
    third.put(calls.nothing)
    assert len(calls.lane_keys(client)) == 2
    second.begin()
    third.begin()
    second.queue.put(calls.nothing)
    third.queue.put(calls.nothing)
    second.commit()
    third.commit()


def test_a_connection_that_began_before_the_last_user_of_a_lane_committed_gets_another(
    client, connect
):
    first, early = connect(), connect()
    first.put(calls.nothing)
    early.begin()
    early.queue.put  # noqa: B018  (loads the queue as it is now)
    first.put(calls.nothing)
    first.close()
    early.put(calls.nothing)
    assert len(calls.lane_keys(client)) == 2
    late = connect()
    late.put(calls.nothing)
    assert len(calls.lane_keys(client)) == 2


def test_that_holds_for_a_connection_with_a_savepoint_too(client, connect):
    first, early = connect(), connect()
    first.put(calls.nothing)
    early.begin()
    early.root["something"] = 1
    early.manager.savepoint()
    first.put(calls.nothing)
    first.close()
    early.put(calls.nothing)
    assert len(calls.lane_keys(client)) == 2


def test_a_connection_dropped_without_being_closed_keeps_its_lane_to_itself(client, db):
    lost = calls.Client(db)
    lost.put(calls.nothing)
    keys = calls.lane_keys(client)
    lost.abort()
    del lost
    gc.collect()
    another = calls.Client(db)
    another.put(calls.nothing)
    assert len(calls.lane_keys(client)) == len(keys) + 1
    another.close()


def test_a_connection_that_closes_its_database_is_closed_without_an_error(tmp_path, caplog):
    connection = ZODB.connection(str(tmp_path / "data.fs"))
    client = calls.Client(connection.db())
    calls.make_queue(client)
    client.close()
    transaction.begin()
    connection.root()[KEY][""].put(calls.nothing)
    transaction.commit()
    # It closes the database first, and then gives its lane back.
    connection.close()
    assert caplog.records == []


def test_a_connection_that_is_still_open_when_its_database_is_closed_leaves_no_error(db, caplog):
    client = calls.Client(db)
    calls.make_queue(client)
    client.put(calls.nothing)
    db.close()
    client.connection.close()
    assert caplog.records == []


def test_a_queue_in_no_database_has_a_lane_for_everybody():
    queue = Queue()
    jobs = [queue.put(calls.nothing) for _number in range(3)]
    assert list(queue) == jobs


def test_lanes_are_apart_for_databases(client, connect):
    database = ZODB.DB(DemoStorage())
    elsewhere = connect(database)
    calls.make_queue(elsewhere)
    elsewhere.put(calls.nothing)
    client.put(calls.nothing)
    # Both are the first of their database.
    assert calls.lane_keys(client) == calls.lane_keys(elsewhere)
    elsewhere.close()
    database.close()


def test_lanes_are_apart_for_instances(client, connect):
    client.put(calls.nothing)
    zope.component.provideUtility(uuid.UUID(int=99), IUUID)
    connect().put(calls.nothing)
    prefixes = {key.split("/")[0] for key in calls.lane_keys(client)}
    assert uuid.UUID(int=99).hex in prefixes
    assert len(prefixes) == 2


def test_prepared_lanes_are_used_by_the_first_connections(client, connect):
    lane_module.prepare(client.queue.lanes, 3)
    client.commit()
    keys = calls.lane_keys(client)
    assert len(keys) == 3
    lane_module.prepare(client.queue.lanes, 3)
    for each in (client, connect(), connect()):
        each.put(calls.nothing)
    assert calls.lane_keys(client) == keys


def test_first_puts_at_the_same_time_do_not_conflict(client, connect):
    clients = [connect() for _number in range(8)]
    for each in clients:
        each.begin()
        each.queue.put(calls.nothing)
    for each in clients:
        each.commit()
    client.begin()
    assert len(client.queue) == 8


def test_puts_at_the_same_time_do_not_conflict_with_each_other_or_with_claims(client, connect):
    putters = [connect() for _number in range(4)]
    claimer = connect()
    claimed = []
    for _round in range(3 * SEGMENT_SIZE):
        for putter in putters:
            putter.begin()
            putter.queue.put(calls.nothing)
        claimer.begin()
        claimed.append(claimer.queue.claim())
        for putter in putters[:2]:
            putter.commit()
        claimer.commit()
        for putter in putters[2:]:
            putter.commit()
    client.begin()
    claimed = [job for job in claimed if job is not None]
    assert len(client.queue) == 4 * 3 * SEGMENT_SIZE - len(claimed)
    assert len({job._p_oid for job in claimed}) == len(claimed)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["begin", "put", "commit", "savepoint", "reopen"])
        ),
        max_size=120,
    )
)
def test_no_order_of_puts_claims_and_reopened_connections_conflicts(steps):
    """The last of the four claims where the others put."""
    database = ZODB.DB(DemoStorage())
    clients = [calls.Client(database) for _number in range(4)]
    calls.make_queue(clients[0])
    clients[0].queue  # noqa: B018  (loads it)
    for client in clients:
        client.begin()
    # Per client: what it did in its transaction; and what was committed.
    own, put, claimed = [[] for _client in clients], [], []
    for number, step in steps:
        client = clients[number]
        if step == "put":
            job = client.queue.claim() if number == 3 else client.queue.put(calls.nothing)
            if job is not None:
                own[number].append(job._p_oid)
        elif step == "savepoint":
            savepoint = client.manager.savepoint()
            if number != 3:
                client.queue.put(calls.nothing)
            savepoint.rollback()
        elif step == "commit":
            client.commit()
            (claimed if number == 3 else put).extend(own[number])
            own[number].clear()
        else:
            own[number].clear()
            client.begin()
            if step == "reopen":
                client.close()
                clients[number] = calls.Client(database)
    clients[3].abort()
    claimed += [job._p_oid for job in clients[3].claim_all()]
    assert sorted(claimed) == sorted(put)
    for client in clients:
        client.close()
    database.close()


def test_without_leases_puts_would_conflict(client, other, monkeypatch):
    """Shows that the tests above can fail."""
    monkeypatch.setattr(lane_module._slots, "lane_key", lambda connection: "the only lane")
    client.put(calls.nothing)
    other.begin()
    other.queue.put(calls.nothing)
    client.put(calls.nothing)
    with pytest.raises(ConflictError):
        other.commit()
    other.abort()


# -- transactions that come to nothing


def test_a_put_that_is_aborted_leaves_nothing(client):
    client.queue.put(calls.nothing)
    client.abort()
    assert len(client.queue) == 0
    assert calls.lane_keys(client) == set()
    job = client.put(calls.nothing)
    assert list(client.queue) == [job]


def test_a_put_that_is_rolled_back_to_a_savepoint_leaves_nothing(client, other):
    kept = client.queue.put(calls.nothing)
    savepoint = client.manager.savepoint()
    gone = client.queue.put(calls.nothing)
    savepoint.rollback()
    assert len(client.queue) == 1
    client.commit()
    other.begin()
    assert list(other.queue) == [other.mine(kept)]
    assert gone._p_jar is None


def test_the_first_put_of_a_connection_can_be_rolled_back_and_repeated(client, other):
    savepoint = client.manager.savepoint()
    client.queue.put(calls.nothing)
    savepoint.rollback()
    job = client.queue.put(calls.nothing)
    client.commit()
    other.begin()
    assert list(other.queue) == [other.mine(job)]
    # A lane that the rollback took away must not be written to.
    later = client.put(calls.nothing)
    other.begin()
    assert list(other.queue) == [other.mine(job), other.mine(later)]


def test_a_rollback_over_several_segments_loses_only_what_came_after_the_savepoint(client, other):
    kept = [client.queue.put(calls.nothing) for _number in range(SEGMENT_SIZE - 1)]
    savepoint = client.manager.savepoint()
    for _number in range(3 * SEGMENT_SIZE):
        client.queue.put(calls.nothing)
    client.manager.savepoint()
    savepoint.rollback()
    kept += [client.queue.put(calls.nothing) for _number in range(3)]
    client.commit()
    assert other.claim_all() == [other.mine(job) for job in kept]


def test_a_put_that_is_retried_after_a_conflict_is_there_once(client, other):
    client.add("counter", calls.Counter())
    other.begin()
    tries = 0
    for attempt in other.manager.attempts(3):
        with attempt:
            tries += 1
            other.root["counter"].increase()
            other.queue.put(calls.nothing)
            if tries == 1:
                client.begin()
                client.root["counter"].increase()
                client.commit()
    client.begin()
    assert tries == 2
    assert len(client.queue) == 1
    assert client.root["counter"].count == 2


def test_leases_do_not_keep_connections_alive():
    database = ZODB.DB(None)
    connection = database.open(transaction.TransactionManager())
    lane_module._slots.lane_key(connection)
    assert connection in lane_module._slots._leased
    connection.close()
    assert connection not in lane_module._slots._leased
    database.close()


def test_release_of_a_connection_without_a_lease_does_nothing(client, connect):
    fresh = connect()
    lane_module._slots.release(fresh.connection)
    fresh.put(calls.nothing)
    client.put(calls.nothing)
    assert len(calls.lane_keys(client)) == 2


def test_jobs_can_be_put_through_the_lanes_of_two_queues(client):
    from zc.async_.interfaces import KEY

    second = client.root[KEY]["second"] = Queue()
    client.commit()
    job_1, job_2 = Job(calls.nothing), Job(calls.nothing)
    client.queue.put(job_1)
    second.put(job_2)
    client.commit()
    assert list(client.queue) == [job_1]
    assert list(second) == [job_2]
