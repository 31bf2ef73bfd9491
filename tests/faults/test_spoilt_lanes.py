"""Lanes of a database in which a reference leads to another object than it should.

So it was left by ZEO servers that gave an oid twice, and by restores of a part of the records.
"""

import logging

import pytest
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData

import zc.async_.queue.lane
from tests.dispatcher import work
from zc.async_.interfaces import COMPLETED
from zc.async_.queue import disused


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(zc.async_.queue.lane, "_told", set())


@pytest.fixture
def other(client):
    """Something else."""
    client.root["other"] = other = PersistentMapping()
    client.manager.commit()
    return other


@pytest.fixture
def spoil(database, client, other):
    """Has the record of one object be that of another."""

    def spoil(record):
        storage = database.storage
        data, _serial = storage.load(other._p_oid)
        _data, serial = storage.load(record._p_oid)
        committed = TransactionMetaData()
        storage.tpc_begin(committed)
        storage.store(record._p_oid, serial, data, "", committed)
        storage.tpc_vote(committed)
        storage.tpc_finish(committed)
        client.manager.begin()
        client.connection.cacheMinimize()
        client.connection.cacheGC()

    return spoil


def lane_of(client):
    return zc.async_.queue.lane.lease(client.queue.lanes, client.connection)


def whole_lane(lane):
    return lane


def newest_segment(lane):
    return lane.newest


def cursor(lane):
    return lane.cursor


PARTS = [whole_lane, newest_segment, cursor]


@pytest.mark.parametrize("part", PARTS)
def test_puts_claims_and_iterations_go_past_a_spoilt_lane_and_say_so(
    client, put, spoil, part, caplog
):
    put(work.answer)
    spoil(part(lane_of(client)))
    assert list(client.queue) == []
    assert len(client.queue) == 0
    job = put(work.answer)
    assert list(client.queue) == [job]
    assert len(client.queue) == 1
    assert client.queue.claim() is job
    client.manager.abort()
    told = [r for r in caplog.records if r.levelno == logging.ERROR and "cannot be read" in r.msg]
    assert len(told) == 1
    assert "put again what is missing" in told[0].getMessage()


@pytest.mark.parametrize("part", PARTS)
def test_a_dispatcher_goes_on_in_a_queue_with_a_spoilt_lane(
    client, put, spoil, part, dispatcher, reactor, completed
):
    client.queue.put(work.answer)
    client.manager.commit()
    spoil(part(lane_of(client)))
    completed(put(work.answer))
    assert dispatcher.getStatusInfo()["status"] == "RUNNING"


def test_what_is_behind_a_spoilt_segment_is_read_as_far_as_it_is_found(client, put, spoil):
    for _job in range(3 * zc.async_.queue.lane.SEGMENT_SIZE):
        put(work.answer)
    lane = lane_of(client)
    jobs = list(client.queue)
    spoil(lane.cursor.segment.next)
    size = zc.async_.queue.lane.SEGMENT_SIZE
    assert list(client.queue) == jobs[:size] + jobs[2 * size :]
    with client.queue.claiming() as claim:
        while claim.next() is not None:
            pass
    client.manager.commit()
    # Nothing of it is left.
    assert len(client.queue) == 0


def second_segment(lane):
    return lane.cursor.segment.next


@pytest.fixture
def trouble(client, monkeypatch):
    """Has the storage fail to load an object, so many times; nothing is in the cache."""
    storage = client.connection._storage
    load = storage.load

    def trouble(oid, times):
        left = [OSError(5, "Input/output error")] * times

        def fail(wanted):
            if wanted == oid and left:
                raise left.pop()
            return load(wanted)

        monkeypatch.setattr(storage, "load", fail)
        client.manager.begin()
        client.connection.cacheMinimize()

    return trouble


def claim_all(client):
    claimed = []
    with client.queue.claiming() as claim:
        while (job := claim.next()) is not None:
            claimed.append(job)
    client.manager.commit()
    return claimed


@pytest.mark.parametrize("part", [*PARTS, second_segment])
def test_a_storage_that_is_in_trouble_has_nothing_passed_over(client, put, trouble, part, caplog):
    jobs = [put(work.answer) for _job in range(3 * zc.async_.queue.lane.SEGMENT_SIZE)]
    oid = part(lane_of(client))._p_oid
    trouble(oid, times=1000)
    with pytest.raises(OSError, match="Input/output"):
        claim_all(client)
    client.manager.abort()
    trouble(oid, times=1)
    assert claim_all(client) == jobs
    assert not [r for r in caplog.records if "cannot be read" in r.msg]


def test_a_disused_lane_that_is_spoilt_is_left_for_who_restores_it(client, put, spoil):
    put(work.answer)
    lanes = client.queue.lanes
    spoil(lane_of(client).newest)
    before = list(lanes)
    disused.remove_disused(lanes, [])
    assert [key for key in before if key in lanes] == before


def test_a_job_whose_record_is_anothers_keeps_nobody_from_the_next(client, put, spoil, completed):
    spoilt, whole = put(work.answer), put(work.answer)
    spoil(spoilt)
    assert list(client.queue) == [whole]
    assert client.queue.claim() is whole
    assert whole.status != COMPLETED
    client.manager.abort()
