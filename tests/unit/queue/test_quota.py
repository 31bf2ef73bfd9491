"""Quotas by themselves; what they do to claims is in test_places.py."""

import datetime

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job
from zc.async_.queue.quota import Quota, Quotas


@pytest.fixture
def quotas(queue):
    queue.quotas.create("a")
    queue.quotas.create("b", 3)
    return queue.quotas


def put_limited(client, count, name="a"):
    jobs = []
    for _number in range(count):
        job = Job(calls.nothing)
        job.quota_names = [name]
        jobs.append(client.put(job))
    return jobs


def put_returning(client, other, *quota_names):
    """Put a job that returns another one, and waits for it."""
    job = Job(calls.identity, other)
    job.quota_names = quota_names
    return client.put(job)


def test_a_quota_is_made_with_its_name_and_size(quotas):
    assert quotas["a"].name == "a"
    assert quotas["a"].size == 1
    assert quotas["b"].size == 3
    assert quotas["a"].parent is quotas
    assert quotas.parent.quotas is quotas


def test_quotas_are_a_mapping_in_the_order_of_their_names(quotas):
    assert list(quotas) == quotas.keys() == ["a", "b"]
    assert quotas.values() == [quotas["a"], quotas["b"]]
    assert quotas.items() == [("a", quotas["a"]), ("b", quotas["b"])]
    assert quotas.get("a") is quotas["a"]
    assert quotas.get("c") is None
    assert quotas.get("c", 1) == 1
    assert "a" in quotas
    assert "c" not in quotas
    assert len(quotas) == 2
    assert quotas
    assert not Quotas()


def test_there_is_one_quota_of_a_name(quotas):
    with pytest.raises(ValueError, match="there is a quota 'a' already"):
        quotas.create("a")


def test_a_quota_can_be_removed_and_made_again(quotas):
    quota = quotas["a"]
    quotas.remove("a")
    assert list(quotas) == ["b"]
    assert (quota.parent, quota.name) == (None, None)
    with pytest.raises(KeyError):
        quotas["a"]
    with pytest.raises(KeyError):
        quotas.remove("a")
    quotas.create("a", 5)
    assert quotas["a"].size == 5


@pytest.mark.parametrize("size", [-1, 1.5, "1", None, True])
def test_a_size_is_an_integer_of_at_least_0(quotas, size):
    with pytest.raises(ValueError, match="at least 0"):
        quotas["a"].size = size
    with pytest.raises(ValueError, match="at least 0"):
        quotas.create("c", size)
    assert quotas["a"].size == 1
    assert "c" not in quotas


def test_a_fresh_quota_is_empty(quotas):
    quota = quotas["a"]
    assert len(quota) == 0
    assert list(quota) == []
    assert not quota.filled
    assert not quota


def test_a_quota_of_size_0_is_filled():
    assert Quota("c", 0).filled


def test_a_claimed_job_holds_its_place_until_it_is_completed(client, quotas):
    (job,) = put_limited(client, 1)
    assert not quotas["a"].filled
    client.claim()
    assert list(quotas["a"]) == [job]
    assert job in quotas["a"]
    assert quotas["a"]
    assert quotas["a"][0] is job
    assert quotas["a"]._data == (job,)
    with pytest.raises(IndexError):
        quotas["a"][1]
    with pytest.raises(AttributeError):
        quotas["a"]._data = ()
    assert len(quotas["a"]) == 1
    assert quotas["a"].filled
    job()
    assert job.status == COMPLETED
    assert len(quotas["a"]) == 0
    assert job not in quotas["a"]
    assert not quotas["a"].filled


def test_a_job_put_back_gives_up_its_place(client, quotas):
    (job,) = put_limited(client, 1)
    client.claim()
    client.queue.putBack(job)
    assert list(quotas["a"]) == []
    assert client.queue.claim() is job
    assert list(quotas["a"]) == [job]


def test_a_job_that_waits_keeps_its_place_in_quotas_that_the_other_does_not_name(client, quotas):
    first = client.add("first", Job(calls.nothing))
    job = put_returning(client, first, "a")
    (second,) = put_limited(client, 1)
    assert client.claim() is job
    job()
    client.commit()
    assert job.waits_for_result()
    assert list(quotas["a"]) == [job]
    assert client.claim() is None
    first()
    client.commit()
    assert job.status == COMPLETED
    assert client.claim() is second


def test_in_those_that_the_other_names_it_gives_its_place_up_for_good(client, quotas):
    first = Job(calls.nothing)
    first.quota_names = ["a"]
    client.put(first)
    first.begin_after = datetime.timedelta(hours=1)
    job = put_returning(client, first, "a", "b")
    (second,) = put_limited(client, 1)
    assert client.claim() is job
    job()
    client.commit()
    assert list(quotas["a"]) == []
    assert list(quotas["b"]) == [job]
    assert client.claim() is second
    assert list(quotas["a"]) == [second]
    # What the other names later does not bring it back.
    first.quota_names = []
    client.commit()
    assert list(quotas["a"]) == [second]


def test_a_job_that_an_older_version_had_wait_holds_no_place(client, quotas):
    first = client.add("first", Job(calls.nothing))
    job = put_returning(client, first, "a")
    assert client.claim() is job
    job()
    del job.given_up_places
    client.commit()
    assert job.waits_for_result()
    assert list(quotas["a"]) == []


def test_it_does_so_too_if_the_other_comes_to_name_it_meanwhile(client, agent, quotas):
    first = client.put(calls.nothing)
    first.begin_after = datetime.timedelta(hours=1)
    job = Job(calls.identity, first)
    job.quota_names = ["a"]
    client.put(job)
    assert calls.run_next(agent) is job
    client.commit()
    assert list(quotas["a"]) == [job]
    first.quota_names = ["a"]
    client.commit()
    assert list(quotas["a"]) == []
    # That is written, so that dispatchers hear of it.
    assert quotas["a"].members.jobs == ()


def test_a_job_in_its_callbacks_holds_no_place(client, quotas, happened):
    (job,) = put_limited(client, 1)
    job.addCallback(Job(note_quota, quotas["a"]))
    client.commit()
    client.claim()()
    assert happened == [(0,)]


def note_quota(quota, result):
    calls.happen(len(quota))


def test_clean_forgets_those_that_need_no_place(client, quotas):
    jobs = put_limited(client, 3, "b")
    for _job in jobs:
        client.claim()
    jobs[1]()
    quotas["b"].clean()
    assert [job for job, _token in quotas["b"].members.jobs] == [jobs[0], jobs[2]]
    client.commit()
    quotas["b"].clean()
    assert not client.connection._registered_objects


def test_release_tells_whether_a_place_was_freed(client, quotas):
    first, second = put_limited(client, 2, "b")
    client.claim(), client.claim()
    assert not quotas["b"].release([first, second])
    first()
    assert not quotas["b"].release([Job(calls.nothing)])
    assert quotas["b"].release([first])
    assert [job for job, _token in quotas["b"].members.jobs] == [second]


def test_quotas_are_the_same_for_every_connection(client, quotas, other):
    put_limited(client, 1)
    job = other.claim()
    client.begin()
    assert list(quotas["a"]) == [client.mine(job)]
    assert quotas["a"].filled


def test_two_quotas_of_a_name_made_at_the_same_time_conflict(client, quotas, other):
    client.commit()
    other.begin()
    other.queue.quotas.create("c")
    client.queue.quotas.create("c")
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()
