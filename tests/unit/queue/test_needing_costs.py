"""What jobs cost that need labels: the records that claims and looks load."""

import uuid

import pytest

from tests.unit import calls
from tests.unit.queue.claims import to_backlog
from tests.unit.queue.needs import needing, sets
from tests.unit.queue.piles import put
from zc.async_.job import Job


def loads_of(connect, action):
    """How many records a new connection loads."""
    fresh = connect()
    fresh.connection.cacheMinimize()
    fresh.begin()
    fresh.connection.getTransferCounts(clear=True)
    action(fresh.queue)
    count, _stores = fresh.connection.getTransferCounts(clear=True)
    fresh.close()
    return count


def fill(client, count, *needs, quota_names=()):
    for number in range(count):
        job = put(client, *quota_names, needs=needs)
        if number % 250 == 249:
            to_backlog(client)
            client.connection.cacheGC()
    to_backlog(client)
    return job


def claim(queue):
    assert queue.claim() is not None


def claim_of_some(queue):
    assert queue.claim(labels=["us", str(uuid.UUID(int=3))]) is not None


CLAIMS = [claim, claim_of_some]


@pytest.mark.parametrize("quota_names", [(), ("full",)], ids=["no quota", "a quota"])
def test_a_claim_reads_as_much_with_many_jobs_that_only_others_can_run_as_with_few(
    client, connect, quotas, quota_names
):
    quotas(0, "full")
    counts = []
    for more in (10, 9990):
        fill(client, more, "gpu", quota_names=quota_names)
        client.put(calls.nothing)
        client.put(calls.nothing)
        to_backlog(client)
        counts.append([loads_of(connect, claim) for claim in CLAIMS])
        client.claim_all()
    assert counts[0] == counts[1]
    assert max(counts[0]) < 40


def test_a_thousand_sets_of_needs_are_skipped(client, connect):
    counts = []
    client.queue.put(calls.nothing)
    for start, end in ((0, 10), (10, 1000)):
        for number in range(start, end):
            # Among them are such that begin with what there is.
            needs = [f"label-{number:04}", "us"] if number % 2 else ["a", f"us-{number:04}"]
            needing(client, *needs)
        to_backlog(client)
        counts.append([loads_of(connect, claim) for claim in CLAIMS])
    assert len(sets(client)) == 1000
    # A tree has a root and leaves, which a small one has in one record.
    assert all(many <= few + 4 for few, many in zip(*counts, strict=True))


def test_of_a_thousand_sets_that_all_may_run_one_is_looked_into(client, connect):
    labels = [f"label-{number:02}" for number in range(50)]
    for number, label in enumerate(labels[1:] * 20):
        needing(client, *{label, labels[number // 49]})
    to_backlog(client)
    client.begin()
    first = client.queue[0]
    assert len(sets(client)) > 800

    def claim(queue):
        assert queue.claim(labels=labels)._p_oid == first._p_oid

    # The leaves of a tree, and few jobs.
    assert loads_of(connect, claim) < 150


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda queue: queue[0], id="the first job"),
        pytest.param(len, id="len"),
        pytest.param(lambda queue: queue.unserved(), id="unserved"),
    ],
)
def test_looking_reads_few_records_of_many_jobs(client, connect, look):
    counts = []
    for more in (200, 1800):
        fill(client, more, "gpu")
        counts.append(loads_of(connect, look))
    assert counts[1] <= counts[0] + 2
    assert counts[1] < 40


def test_the_first_job_of_many_sets_loads_no_other(client):
    for number in range(300):
        for _time in range(2):
            needing(client, f"label-{number}", priority=number % 7)
    to_backlog(client)
    client.begin()
    client.connection.cacheMinimize()
    assert client.queue[0].priority == 6
    cached = [record for _oid, record in client.connection._cache.items()]
    loaded = [job for job in cached if isinstance(job, Job) and job._p_changed is not None]
    assert len(loaded) == 1
