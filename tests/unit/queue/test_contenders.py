"""Jobs with quotas as claims go through them: what holds them back, and what is looked at."""

import pytest

from tests.unit.queue.claims import refuse, to_backlog
from tests.unit.queue.piles import check, index_of, parked, put
from zc.async_.job import Job
from zc.async_.queue import contenders, prefetch, ready
from zc.async_.queue.quota import Members, Quota


def test_a_pile_is_parked_by_the_claim_that_fills_its_quota_and_opened_when_it_has_room(
    client, quotas
):
    quotas(1, "a", "b")
    first, second, third = (put(client, name) for name in "aab")
    client.commit()
    assert client.claim() is first
    assert parked(client) == ({"a": 1}, {})
    assert client.claim() is third
    first()
    # Who wants no job leaves it to others, and writes nothing.
    client.begin()
    with client.queue.claiming() as claim:
        pass
    assert not claim.changed
    assert parked(client) == ({"a": 1}, {})
    assert client.claim(refuse) is None
    assert parked(client) == ({}, {})
    assert client.claim() is second


def test_what_waits_under_a_quota_with_room_is_claimed_in_its_turn(client, quotas):
    quotas(2, "a")
    jobs = [put(client, "a") for _number in range(4)]
    client.commit()
    assert client.claim_all() == jobs[:2]
    later = put(client)
    client.commit()
    jobs[1]()
    assert client.claim_all() == [jobs[2], later]
    jobs[0]()
    assert client.claim_all() == [jobs[3]]


@pytest.mark.parametrize("count", [3, 40], ids=["few piles", "many piles"])
def test_piles_of_a_quota_that_many_share_are_claimed_in_order(client, quotas, count):
    """As if each customer had a quota, and all together another one."""
    quotas(1, "all")
    names = [f"q{number:02}" for number in range(count)]
    quotas(1, *names)
    jobs = [put(client, "all", name) for name in reversed(names)]
    to_backlog(client)
    for job in jobs:
        assert client.claim() is job
        check(client)
        assert client.claim() is None
        check(client)
        job()
    assert not index_of(client)
    assert parked(client) == ({}, {})


def test_a_pile_goes_from_one_full_quota_to_the_next(client, quotas):
    quotas(1, "a", "b")
    a, b, both = put(client, "a"), put(client, "b"), put(client, "a", "b")
    client.commit()
    assert client.claim_all() == [a, b]
    assert client.claim() is None
    (name,) = parked(client)[0]
    {"a": a, "b": b}[name]()
    assert client.claim() is None
    (other_name,) = parked(client)[0]
    assert other_name != name
    {"a": a, "b": b}[other_name]()
    assert client.claim() is both


def test_claims_ask_no_closed_quota(client, connect, quotas):
    names = [f"q{number:02}" for number in range(50)]
    quotas(0, *names)
    for name in names:
        put(client, name)
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, dict.fromkeys(names, 1))
    last = put(client)
    client.commit()
    fresh = connect()
    assert fresh.claim() is fresh.mine(last)
    assert loaded(fresh, Quota) == []


def loaded(client, *kinds):
    """The objects of some classes that a connection has in memory."""
    objects = [obj for _oid, obj in client.connection._cache.lru_items()]
    return [obj for obj in objects if isinstance(obj, kinds)]


def test_a_claim_looks_at_few_of_many_quotas_with_room(client, connect, quotas):
    names = [f"q{number:03}" for number in range(300)]
    quotas(1, *names)
    jobs = [put(client, name) for name in names]
    to_backlog(client)
    client.begin()
    fresh = connect()
    fresh.connection.cacheMinimize()
    # So that none is asked for beforehand.
    assert fresh.claim() is fresh.mine(jobs[0])
    most = prefetch.PREFETCH_STORED + 1
    assert len(loaded(fresh, Quota)) <= most
    assert len(loaded(fresh, Members)) <= most
    assert len(loaded(fresh, Job)) <= most


@pytest.mark.parametrize("count", [3, 40], ids=["few piles", "many piles"])
def test_a_closed_quota_that_is_opened_lets_its_jobs_pass(client, other, quotas, count):
    quotas(0, "closed")
    names = [f"q{number:02}" for number in range(count)]
    quotas(1, *names)
    jobs = [put(client, "closed", name) for name in names]
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"closed": count})
    other.begin()
    other.queue.quotas["closed"].size = 2
    other.commit()
    assert client.claim_all() == jobs[:2]
    check(client)
    assert not list(client.queue.quotas.reopened_names())


def test_a_closed_quota_that_is_removed_lets_its_jobs_pass(client, other, quotas):
    quotas(0, "a", "b")
    jobs = [put(client, "a"), put(client, "b"), put(client, "a")]
    client.commit()
    assert client.claim() is None
    other.begin()
    other.queue.quotas.remove("a")
    other.commit()
    assert client.claim_all() == [jobs[0], jobs[2]]
    assert parked(client) == ({}, {"b": 1})


def test_a_quota_that_is_opened_and_closed_again_stays_closed(client, quotas):
    quotas(0, "a")
    put(client, "a")
    client.commit()
    assert client.claim() is None
    quotas(0)["a"].size = 1
    quotas(0)["a"].size = 0
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"a": 1})
    assert not list(client.queue.quotas.reopened_names())


def test_a_quota_that_is_closed_while_it_is_full_is_asked_no_more(client, quotas):
    quotas(1, "a")
    first, second = put(client, "a"), put(client, "a")
    client.commit()
    assert client.claim() is first
    assert parked(client) == ({"a": 1}, {})
    client.queue.quotas["a"].size = 0
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"a": 1})
    first()
    client.queue.quotas["a"].size = 1
    client.commit()
    assert client.claim() is second


def test_a_quota_made_again_while_its_jobs_are_parked_holds_for_them(client, quotas):
    quotas(0, "a")
    jobs = [put(client, "a"), put(client, "a")]
    client.commit()
    assert client.claim() is None
    client.queue.quotas.remove("a")
    client.queue.quotas.create("a", 1)
    client.commit()
    assert client.claim_all() == jobs[:1]


def test_a_quota_made_later_holds_back_jobs_that_name_it(client, quotas):
    quotas(1, "a")
    put(client, "a")
    client.queue.quotas.remove("a")
    to_backlog(client)
    client.queue.quotas.create("a", 0)
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"a": 1})


def test_claims_see_to_a_bounded_number_of_opened_quotas(client, quotas, monkeypatch):
    monkeypatch.setattr(ready, "MOVES", 10)
    names = [f"q{number:02}" for number in range(25)]
    quotas(0, *names)
    jobs = [put(client, name) for name in names]
    client.commit()
    assert client.claim() is None
    for name in names:
        client.queue.quotas[name].size = 1
    client.commit()
    for opened, more in [(10, True), (20, True), (25, False)]:
        with client.queue.claiming() as claim:
            assert claim.next(refuse) is None
        assert claim.more is more
        assert len(index_of(client).open) == opened
        client.commit()
    assert client.claim_all() == jobs


def test_claims_park_a_bounded_number_of_piles_and_pass_over_all(client, quotas, monkeypatch):
    monkeypatch.setattr(contenders, "MOVES", 10)
    names = [f"q{number:02}" for number in range(25)]
    quotas(1, *names)
    for name in names:
        put(client, name)
    to_backlog(client)
    for name in names:
        client.queue.quotas[name].size = 0
    jobs = [put(client) for _number in range(3)]
    client.commit()
    for job, open_ones, more in zip(jobs, (15, 5, 0), (True, True, False), strict=True):
        with client.queue.claiming() as claim:
            assert claim.next() is job
        assert claim.more is more
        assert len(index_of(client).open) == open_ones
        client.commit()


def test_claims_that_find_only_full_quotas_write_nothing(client, quotas):
    quotas(0, "a")
    quotas(1, "b")
    for name in "abb":
        put(client, name)
    client.commit()
    assert client.claim() is not None
    assert client.claim() is None
    client.begin()
    with client.queue.claiming() as claim:
        assert claim.next() is None
    assert not claim.changed
    assert not client.connection._registered_objects
