"""Jobs with quotas as the backlog files them: putting them, and looking at their piles."""

import collections

from tests.unit import calls
from zc.async_.interfaces import PENDING
from zc.async_.job import Job
from zc.async_.queue.limited import indices
from zc.async_.queue.needing import all_needing


def put(client, *quota_names, priority=0, needs=()):
    job = Job(calls.nothing)
    job.quota_names = quota_names
    job.priority = priority
    job.needs = needs
    return client.queue.put(job)


def index_of(client):
    """The index of jobs that nobody has refused."""
    return client.queue.backlog.limited[False, ()]


def parked(client):
    """How many piles are parked under which quotas that claims ask, and under which closed ones."""
    index = index_of(client)
    return dict(index.held), dict(index.closed)


def first_free(client, jobs, labels=()):
    """The job that a claim should give, by a look at every job and quota."""
    quotas = client.queue.quotas
    full = {name for name, quota in quotas.items() if quota.filled}
    free = [
        job
        for job in jobs
        if job.status == PENDING
        and not full & set(job.quota_names)
        and set(job.needs) <= set(labels)
    ]
    return min(free, key=lambda job: job.position_key(), default=None)


class Copy:
    """The trees of an index, or those of a part of them with keys as an index has them."""

    def __init__(self, index, needs=None):
        self.index = index
        for name in ("piles", "open", "parked", "parked_by", "held", "closed"):
            tree = dict(getattr(index, name))
            if needs is not None:
                tree = {key[1:]: v for key, v in tree.items() if key[0] == needs}
                if name == "closed":
                    whole = dict(index.closed)
                    tree = {(name,): v for (name, of), v in whole.items() if of == needs}
                if name != "parked_by":
                    tree = {key: v for (key,), v in tree.items()}
            setattr(self, name, tree)


def check(client):
    """Every pile is filed once, where it belongs."""
    entries = 0
    backlog = client.queue.backlog
    copies = [(index, Copy(index)) for _key, index in indices(backlog)]
    for _refusals, whole in all_needing(backlog):
        known = set()
        for needs in whole.sets():
            copies.append((whole.part(needs), Copy(whole, needs)))
            assert needs > max(known, default=())
            known.add(needs)
        for tree in (whole.piles, whole.open, whole.parked, whole.parked_by, whole.held):
            assert {key[0] for key in tree} <= known
        assert {key[1] for key in whole.closed} <= known
    for index, copy in copies:
        filed = [(head, pile.quota_names) for head, pile in index.opened()]
        assert [head for head, _names in filed] == sorted(copy.open)
        counts = collections.Counter()
        for name in {name for name, _head in copy.parked_by}:
            for head, pile in index.under(name):
                assert pile.held_by == name
                assert head in copy.parked
                filed.append((head, pile.quota_names))
                counts[name] += 1
        assert len(copy.parked) == len(copy.parked_by)
        assert counts == {**copy.held, **copy.closed}
        assert dict(index.holders()) == copy.held
        assert not set(copy.held) & set(copy.closed)
        piles = {quota_names: index.pile(quota_names) for quota_names in copy.piles}
        assert sorted(filed) == sorted((pile.first(), names) for names, pile in piles.items())
        assert bool(index) == bool(piles)
        for pile in piles.values():
            assert pile.head == pile.first()
            assert pile.count == len(pile.jobs) > 0
            entries += pile.count
    assert entries == backlog.limited_count()
