"""The lanes of a queue, those that are removed, and those of older versions."""

import uuid

import pytest
import zope.component
from BTrees.OOBTree import OOBTree
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import IUUID
from zc.async_.job import Job
from zc.async_.queue import disused
from zc.async_.queue.lane import SEGMENT_SIZE, Lane
from zc.async_.queue.lanes import Lanes

# -- as a mapping


@pytest.fixture(params=["of today", "of an older version", "of both"])
def lanes(request):
    earlier = OOBTree({"": Lane()})
    if request.param == "of today":
        return Lanes()
    if request.param == "of both":
        return Lanes(earlier).with_buckets()
    return Lanes(earlier, buckets=0)


def test_lanes_are_found_by_their_keys(lanes):
    added = {f"{number}/0/1": Lane() for number in range(50)}
    assert len(lanes) == 0
    for key, lane in added.items():
        assert key not in lanes
        assert lanes.get(key, 5) == 5
        lanes[key] = lane
    assert len(lanes) == 50
    assert dict(lanes.items()) == added
    assert set(lanes) == set(lanes.keys()) == set(added)
    assert set(lanes.values()) == set(added.values())
    for key, lane in added.items():
        assert key in lanes
        assert lanes[key] is lanes.get(key) is lane
        del lanes[key]
    assert len(lanes) == 0
    assert list(lanes) == []
    for key in ["0/0/1", ""]:
        with pytest.raises(KeyError):
            lanes[key]
        assert key not in lanes


def test_lanes_that_cannot_be_loaded_to_be_counted_say_why(client, monkeypatch):
    client.root["lanes"] = lanes = Lanes()
    client.commit()
    away = lanes._buckets[0]._p_oid
    client.connection.cacheMinimize()
    load = client.connection._storage.load

    def fail(oid):
        if oid == away:
            raise ClientDisconnected
        return load(oid)

    monkeypatch.setattr(client.connection._storage, "load", fail)
    with pytest.raises(ClientDisconnected):
        len(lanes)


def test_the_number_of_records_does_not_grow_with_that_of_lanes():
    lanes = Lanes()
    before = len(list(lanes.records()))
    for number in range(1000):
        lanes[str(number)] = Lane()
    assert len(list(lanes.records())) == before


# -- many processes


@pytest.fixture
def as_instance():
    """Has connections be those of another process from now on."""

    def as_instance():
        instance = uuid.uuid4()
        zope.component.provideUtility(instance, IUUID)
        return instance

    return as_instance


def put_at_the_same_time(client, as_instance, count, between=lambda: None):
    """The first put of each of so many new instances."""
    database = client.connection.db()
    clients = []
    for number in range(count):
        as_instance()
        clients.append(calls.Client(database))
        clients[-1].begin()
        clients[-1].queue.put(Job(calls.echo, number))
    between()
    for each in clients:
        each.commit()
        each.close()


def test_first_puts_of_a_thousand_instances_do_not_conflict(client, as_instance):
    for _round in range(250):
        put_at_the_same_time(client, as_instance, 4)
    client.begin()
    assert len(client.queue) == len(client.queue.lanes) == 1000


def test_lanes_of_many_instances_are_bounded_and_going_ones_are_in_nobodys_way(
    client, other, as_instance, monkeypatch
):
    monkeypatch.setattr(disused, "MANY", 10)
    monkeypatch.setattr(disused, "DISUSED_AFTER_OF_MANY", 0)
    longest = claimed = 0
    for _round in range(50):
        put_at_the_same_time(client, as_instance, 4, between=lambda: remove_disused(other))
        longest = max(longest, len(calls.lane_keys(other)))
        while other.claim() is not None:
            claimed += 1
    assert claimed == 200
    assert longest <= 10 + 4 + 4


# -- a database of an older version


@pytest.fixture
def old(client, connect):
    """A client; what its queue wrote looks as if an older version had written it."""
    client.begin()
    assert not len(client.queue.lanes)
    client.queue.lanes = Lanes(OOBTree({"": Lane()}), buckets=0)
    client.commit()
    state = client.queue.__getstate__()
    state["lanes"] = state["lanes"]._earlier
    client.queue._p_activate()
    vars(client.queue)["lanes"] = state["lanes"]
    client.queue._p_changed = True
    client.commit()
    client.connection.cacheMinimize()
    client.begin()
    assert client.queue.lanes.is_of_older_version
    assert not list(client.queue.lanes)
    return client


def upgrade(client):
    client.begin()
    client.queue.lanes = client.queue.lanes.with_buckets()
    client.commit()


def test_a_queue_of_an_older_version_goes_on(old, connect):
    jobs = [old.put(Job(calls.echo, number)) for number in range(3)]
    reader = connect()
    assert [job.args[0] for job in reader.queue] == [0, 1, 2]
    assert reader.claim()._p_oid == jobs[0]._p_oid
    assert remove_disused(old) == 0
    upgrade(reader)
    old.begin()
    jobs.append(old.put(Job(calls.echo, 3)))
    putter = connect()
    jobs.append(putter.put(Job(calls.echo, 4)))
    assert [reader.claim()._p_oid for _job in jobs[1:]] == [job._p_oid for job in jobs[1:]]
    assert len(calls.lane_keys(reader)) == 2
    assert len(calls.lane_keys(reader) & set(reader.queue.lanes._earlier)) == 1


def test_what_is_put_by_who_has_not_seen_the_change_is_not_lost(old, connect):
    putter, reader = connect(), connect()
    putter.begin()
    job = putter.queue.put(calls.nothing)
    upgrade(old)
    putter.commit()
    assert reader.claim()._p_oid == job._p_oid
    reader.begin()
    assert not len(reader.queue)


def test_lanes_of_an_older_version_are_removed_as_others(old, connect, later):
    old.put(calls.nothing)
    assert old.claim() is not None
    upgrade(old)
    assert remove_disused(connect()) == 1
    assert calls.lane_keys(old) == set()
    old.put(calls.nothing)
    assert old.claim() is not None


# -- lanes that nobody uses


@pytest.fixture
def later(monkeypatch):
    """A day is over at once."""
    monkeypatch.setattr(disused, "DISUSED_AFTER", 0)


def remove_disused(client, *living):
    client.begin()
    removed = disused.remove_disused(client.queue.lanes, living)
    client.commit()
    return removed


def test_lanes_that_nobody_used_for_a_day_are_removed(client, other, later):
    client.put(calls.nothing)
    client.claim()
    assert remove_disused(other) == 1
    assert calls.lane_keys(other) == set()
    client.begin()
    client.put(calls.nothing)
    assert len(calls.lane_keys(other)) == 1
    assert other.claim() is not None


def test_lanes_that_were_used_today_stay(client, other):
    client.put(calls.nothing)
    client.claim()
    assert remove_disused(other) == 0


@pytest.mark.parametrize(("many", "removed"), [(1, 0), (0, 1)])
def test_lanes_go_sooner_where_they_are_many(client, other, monkeypatch, many, removed):
    monkeypatch.setattr(disused, "MANY", many)
    monkeypatch.setattr(disused, "DISUSED_AFTER_OF_MANY", 0)
    client.put(calls.nothing)
    client.claim()
    assert len(calls.lane_keys(other)) == 1
    assert remove_disused(other) == removed


def test_lanes_with_something_unread_stay(client, other, later):
    client.put(calls.nothing)
    assert remove_disused(other) == 0
    assert other.claim() is not None


def test_lanes_of_living_instances_stay(client, other, later):
    instance = uuid.uuid4()
    zope.component.provideUtility(instance, IUUID)
    client.put(calls.nothing)
    client.claim()
    assert remove_disused(other, uuid.uuid4(), instance) == 0
    assert remove_disused(other, uuid.uuid4()) == 1


@pytest.mark.parametrize("puts", [1, SEGMENT_SIZE - 1, SEGMENT_SIZE, SEGMENT_SIZE + 1])
def test_a_put_that_meets_the_removal_of_its_lane_is_not_lost(client, other, later, puts):
    for _put in range(puts):
        client.put(calls.nothing)
        client.claim()
    client.begin()
    job = client.queue.put(calls.nothing)
    assert remove_disused(other) == 1
    with pytest.raises(ConflictError):
        client.commit()
    client.begin()
    job = client.put(calls.nothing)
    assert other.claim()._p_oid == job._p_oid


def test_the_removal_of_a_lane_that_meets_a_put_is_given_up(client, other, later):
    client.put(calls.nothing)
    client.claim()
    other.begin()
    assert disused.remove_disused(other.queue.lanes, ()) == 1
    job = client.put(calls.nothing)
    with pytest.raises(ConflictError):
        other.commit()
    other.begin()
    assert other.claim()._p_oid == job._p_oid


def test_a_lane_that_is_new_in_its_transaction_stays(client, later):
    client.queue.put(calls.nothing)
    client.queue.claim()
    assert disused.remove_disused(client.queue.lanes, ()) == 0
