"""Two who claim jobs that need labels, or change labels, at the same time."""

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from tests.unit.queue.claims import to_backlog
from tests.unit.queue.needs import EU, GPU, needing
from tests.unit.queue.piles import check


def test_claims_of_jobs_of_different_needs_do_not_conflict(client, other):
    labels = [f"label-{number}" for number in range(8)]
    for label in labels:
        for _time in range(3):
            needing(client, label)
    to_backlog(client)
    other.begin()
    assert client.queue.claim(labels=labels[2:3]).needs == ("label-2",)
    assert other.queue.claim(labels=labels[3:4]).needs == ("label-3",)
    client.commit()
    other.commit()
    client.begin()
    check(client)


@pytest.mark.parametrize("first_commits", ["who takes", "who adds"])
@pytest.mark.parametrize("count", [1, 2, 20], ids=["one job", "a record", "a tree"])
def test_who_takes_the_last_job_of_a_set_and_who_adds_one_lose_none(
    client, other, count, first_commits
):
    # Others, or trees would be emptied, which conflicts in any case.
    for label in "abcdefgh":
        needing(client, label)
    for _number in range(count):
        needing(client, "gpu")
    to_backlog(client)
    for _number in range(count - 1):
        client.queue.claim(labels=GPU)
    client.commit()
    late = client.put(calls.nothing, needs=GPU)
    other.begin()
    # It reads the lane, and files the job.
    assert other.queue.claim(labels=EU) is None
    assert client.queue.claim(labels=GPU) is not late
    parties = [client, other] if first_commits == "who takes" else [other, client]
    parties[0].commit()
    with pytest.raises(ConflictError):
        parties[1].commit()
    parties[1].abort()
    to_backlog(client)
    check(client)
    left = []
    while (job := client.queue.claim(labels=GPU)) is not None:
        left.append(job)
    assert late in left


@pytest.mark.parametrize("whose", ["agent", "dispatcher"])
def test_a_claim_conflicts_with_a_change_of_the_labels_that_it_relies_on(
    client, other, uuid_1, whose
):
    agent = client.agent(uuid_1, labels=GPU)
    agent.parent.labels = ("eu",)
    job = needing(client, "gpu" if whose == "agent" else "eu")
    client.commit()
    other.begin()
    assert agent.claimJob() is job
    theirs = other.mine(agent)
    if whose == "agent":
        theirs.labels = ()
    else:
        theirs.parent.labels = ()
    other.commit()
    with pytest.raises(ConflictError):
        client.commit()


def test_a_claim_of_what_needs_nothing_conflicts_with_no_change_of_labels(client, other, uuid_1):
    agent = client.agent(uuid_1, labels=GPU)
    job = client.put(calls.nothing)
    other.begin()
    assert agent.claimJob() is job
    other.mine(agent).labels = ()
    other.commit()
    client.commit()
