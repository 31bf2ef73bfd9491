"""Jobs of queues before a claim: in a lane or in the backlog, and in need of quotas."""

import pytest

from tests.unit import calls
from tests.unit.queue.claims import claim_nothing
from zc.async_.job import Job


@pytest.fixture(params=["in a lane", "in the backlog"])
def settle(request, client):
    """Leaves waiting jobs where they are, or has them moved to the backlog."""

    def settle():
        client.commit()
        if request.param == "in the backlog":
            claim_nothing(client)
        client.begin()

    return settle


@pytest.fixture
def limited(client):
    """Puts jobs that need a place in a quota of size 1 named 'a'."""
    client.queue.quotas.create("a")
    client.commit()

    def put(*names, count=1):
        jobs = []
        for number in range(count):
            job = Job(calls.echo, number)
            job.quota_names = names or ("a",)
            jobs.append(client.put(job))
        return jobs

    return put


@pytest.fixture
def quotas(client):
    """Makes quotas of a size with these names; returns all that there are."""

    def quotas(size, *names):
        for name in names:
            client.queue.quotas.create(name, size)
        client.commit()
        return client.queue.quotas

    return quotas
