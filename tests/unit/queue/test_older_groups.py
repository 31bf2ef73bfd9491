"""Jobs with quotas in groups, as older versions wrote them."""

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from tests.unit.queue.claims import to_backlog
from tests.unit.queue.piles import check, first_free, put
from zc.async_.interfaces import NEW
from zc.async_.job import Job
from zc.async_.job.order import GroupKey
from zc.async_.queue import ready
from zc.async_.queue.backlog import Group
from zc.async_.queue.limited import indices


def as_older_versions_wrote(client):
    """Have the waiting jobs in groups, all of them, as before there was an index."""
    client.begin()
    backlog = client.queue.backlog
    for (system, refusals), index in indices(backlog):
        for quota_names in list(index.piles):
            entries = list(index.pile(quota_names).jobs.items())
            backlog.group(GroupKey(system, quota_names, refusals)).add(entries)
    del backlog.limited
    del backlog.limited_count
    del client.queue.quotas.reopened
    client.commit()


@pytest.fixture
def old(client, quotas, clock):
    """A database of the present layout but for quotas; with the jobs that wait."""
    quotas(0, "closed")
    quotas(1, "one")
    quotas(5, "five")
    jobs = []
    for number in range(30):
        clock.advance(microseconds=10)
        names = [(), ("closed",), ("one",), ("five",), ("five", "one")][number % 5]
        jobs.append(put(client, *names, priority=number % 3))
    running = min((j for j in jobs if "one" in j.quota_names), key=lambda job: job.position_key())
    client.commit()
    assert client.claim(lambda job: job is running) is running
    jobs.remove(running)
    to_backlog(client)
    as_older_versions_wrote(client)
    client.connection.cacheMinimize()
    return jobs, running


def test_jobs_in_groups_of_older_versions_are_looked_at(client, old):
    jobs, _running = old
    client.begin()
    assert list(client.queue) == sorted(jobs, key=lambda job: job.position_key())
    assert len(client.queue) == len(jobs)


@pytest.mark.parametrize("limit", [1000, 1, 0], ids=["at once", "one by one", "none"])
def test_jobs_in_groups_of_older_versions_are_claimed(client, old, monkeypatch, limit):
    monkeypatch.setattr(ready, "TAKE_OVER_LIMIT", limit)
    jobs, running = old
    groups = client.queue.backlog.groups
    jobs.append(put(client, "one"))
    client.commit()
    while jobs:
        client.begin()
        first = first_free(client, jobs)
        assert client.queue.claim() is first
        client.commit()
        if first is not None:
            jobs.remove(first)
            # So that the next one has its place.
            first()
        else:
            running, was_running = None, running
            if was_running is not None:
                was_running()
            else:
                client.queue.quotas["closed"].size = 100
                client.commit()
        assert list(client.queue) == sorted(jobs, key=lambda job: job.position_key())
        assert len(client.queue) == len(jobs)
    if limit:
        assert [names for _system, names, _refusals in groups if names] == []
        check(client)


def test_a_claim_says_that_there_are_more_groups_to_take_over(client, old, monkeypatch):
    monkeypatch.setattr(ready, "TAKE_OVER_LIMIT", 3)
    for more in (True, False):
        client.begin()
        with client.queue.claiming() as claim:
            pass
        client.commit()
        assert (claim.changed, claim.more) == (True, more)


@pytest.mark.parametrize("is_empty", [False, True])
def test_who_takes_a_group_over_and_who_still_adds_to_it_conflict(client, other, old, is_empty):
    if is_empty:
        shard = client.queue.backlog.groups[False, ("five",), ()].shards[0]
        for key in list(shard.jobs):
            shard.remove(key)
        client.commit()
    other.begin()
    group = other.queue.backlog.groups[False, ("five",), ()]
    assert isinstance(group, Group)
    job = add_to_group(other, group)
    to_backlog(client)
    with pytest.raises(ConflictError):
        other.commit()
    assert job.status == NEW


def add_to_group(client, group):
    job = Job(calls.nothing)
    client.connection.add(job)
    group.add([(job.position_key(), job)])
    return job


def test_a_quota_of_an_older_version_can_be_opened(client, old):
    assert client.queue.quotas.reopened is None
    client.queue.quotas["closed"].size = 1
    client.commit()
    assert list(client.queue.quotas.reopened_names()) == ["closed"]
    assert any(job.quota_names == ("closed",) for job in client.claim_all())
