"""Jobs with many callbacks."""

import pytest

from tests.unit import calls
from zc.async_.interfaces import ACTIVE, COMPLETED, NEW
from zc.async_.job import Job


def loads_of(client, run):
    """How many records `run` loads, with a cache that holds few of them."""
    client.begin()
    client.connection.cacheMinimize()
    client.connection._cache.cache_size = 100
    client.connection.getTransferCounts(clear=True)
    run()
    return client.connection.getTransferCounts()[0]


def many_early(client, count):
    job = client.add_job(calls.nothing)
    for _number in range(count):
        job.addCallback(calls.identity)
    return job


def many_proxies(client, count):
    job = client.add_job(calls.nothing)
    for _number in range(count):
        job.addCallbacks(failure=calls.identity)
    return job


def many_late(client, count):
    job = client.add_job(calls.nothing)
    job.activate_at(0)
    client.commit()
    for _number in range(count):
        job.addCallback(calls.identity)
    job.end_with(None)
    return job


def many_behind_a_proxy(client, count):
    job = client.add_job(calls.nothing)
    proxy = job.addCallbacks(success=calls.identity)
    for _number in range(count):
        proxy.addCallback(calls.identity)
    return job


MANY = pytest.mark.parametrize("make", [many_early, many_late, many_proxies, many_behind_a_proxy])


@MANY
def test_a_callback_costs_the_same_among_many(client, make):
    loads = []
    for count in (150, 600):
        job = make(client, count)
        client.commit()
        loads.append(loads_of(client, job if job.status == NEW else job.resumeCallbacks))
        assert job.status == COMPLETED
    few, many = loads
    assert many < 6 * few


@MANY
def test_the_order_of_many_callbacks_is_that_of_adding(client, other, make):
    job = make(client, 100)
    client.commit()
    other.begin()
    there = other.mine(job)
    assert len(there.callbacks) in (1, 100)
    assert there.callbacks == tuple(map(other.mine, job.callbacks))


@pytest.mark.parametrize("status", [NEW, ACTIVE])
def test_to_add_a_callback_to_many_does_not_write_all_of_them(client, db, status):
    job = client.add("job", Job(calls.nothing))
    proxy = job.addCallbacks(success=calls.identity)
    if status == ACTIVE:
        job.activate_at(0)
    client.commit()
    written = []
    for _number in range(300):
        before = db.getSize()
        job.addCallback(calls.identity)
        proxy.addCallback(calls.identity)
        client.commit()
        written.append(db.getSize() - before)
    assert sum(written[200:]) < 2 * sum(written[50:150])


def test_a_chain_of_callbacks_may_be_long(client):
    job = Job(calls.nothing)
    last = calls.add_chain(job, 1500)
    client.put(job)
    client.queue.remove(job)
    client.commit()
    job()
    assert last.status == COMPLETED
    assert job.status == COMPLETED
