"""Jobs with quotas as the backlog files them: putting them, and looking at their piles."""

import collections

from tests.unit import calls
from zc.async_.interfaces import PENDING
from zc.async_.job import Job
from zc.async_.queue.limited import indices


def put(client, *quota_names, priority=0):
    job = Job(calls.nothing)
    job.quota_names = quota_names
    job.priority = priority
    return client.queue.put(job)


def index_of(client):
    """The index of jobs that nobody has refused."""
    return client.queue.backlog.limited[False, ()]


def parked(client):
    """How many piles are parked under which quotas that claims ask, and under which closed ones."""
    index = index_of(client)
    return dict(index.held), dict(index.closed)


def first_free(client, jobs):
    """The job that a claim should give, by a look at every job and quota."""
    quotas = client.queue.quotas
    full = {name for name, quota in quotas.items() if quota.filled}
    free = [job for job in jobs if job.status == PENDING and not full & set(job.quota_names)]
    return min(free, key=lambda job: job.position_key(), default=None)


def check(client):
    """Every pile is filed once, where it belongs."""
    entries = 0
    for _key, index in indices(client.queue.backlog):
        filed = [(head, pile.quota_names) for head, pile in index.opened()]
        assert [head for head, _names in filed] == sorted(index.open)
        counts = collections.Counter()
        for name in {name for name, _head in index.parked_by}:
            for head, pile in index.under(name):
                assert pile.held_by == name
                assert head in index.parked
                filed.append((head, pile.quota_names))
                counts[name] += 1
        assert len(index.parked) == len(index.parked_by)
        assert counts == {**index.held, **index.closed}
        assert not set(index.held) & set(index.closed)
        piles = {quota_names: index.pile(quota_names) for quota_names in index.piles}
        assert sorted(filed) == sorted((pile.first(), names) for names, pile in piles.items())
        for pile in piles.values():
            assert pile.head == pile.first()
            assert pile.count == len(pile.jobs) > 0
            entries += pile.count
    assert entries == client.queue.backlog.limited_count()
