"""Which jobs wait for labels that nobody has, and entries of theirs that no longer count."""

import pytest

from tests.unit.queue.claims import to_backlog
from tests.unit.queue.needs import EU, GPU, needing, sets
from tests.unit.queue.piles import check
from zc.async_.queue import serving, sieve


def test_needs_that_no_living_dispatcher_satisfies_are_told(client, uuid_1, uuid_2):
    client.agent(uuid_1, labels=GPU)
    for needs in [GPU, EU, EU, ["eu", "gpu"], [uuid_1], [uuid_2], []]:
        needing(client, *needs)
    to_backlog(client)
    assert client.queue.unserved() == {("eu",): 2, ("eu", "gpu"): 1, (str(uuid_2),): 1}
    second = client.agent(uuid_2, labels=EU)
    assert client.queue.unserved() == {("eu", "gpu"): 1}
    # It does not help that two have what one would need.
    second.labels = ["eu", "gpu"]
    second.size = 0
    assert client.queue.unserved() == {}
    second.parent.deactivate()
    assert client.queue.unserved() == {("eu",): 2, ("eu", "gpu"): 1, (str(uuid_2),): 1}


def test_who_is_silent_for_too_long_does_not_live(client, uuid_1, clock):
    client.agent(uuid_1, labels=GPU)
    needing(client, "gpu")
    to_backlog(client)
    assert client.queue.unserved() == {}
    clock.watch(lambda: (client.begin(), client.queue.unserved()), 62)
    assert client.queue.unserved() == {("gpu",): 1}


def test_without_a_living_dispatcher_all_jobs_are_unserved(client, uuid_1):
    assert client.queue.unserved() == {}
    needing(client)
    needing(client, "gpu")
    assert client.queue.unserved() == {(): 2}
    to_backlog(client)
    assert client.queue.unserved() == {(): 1, ("gpu",): 1}
    # Nor is one without an agent of any use.
    client.queue.dispatchers.register(uuid_1)
    client.queue.dispatchers[uuid_1].activate()
    assert client.queue.unserved() == {(): 1, ("gpu",): 1}


@pytest.mark.parametrize("count", [5, 150])
def test_few_are_counted_exactly_and_of_many_the_removed_ones_go_soon(client, count):
    jobs = [needing(client, "gpu") for _number in range(count)]
    to_backlog(client)
    client.queue.remove(jobs[1])
    jobs[2].needs = EU
    client.commit()
    exact = count == 5
    assert client.queue.unserved()["gpu",] == (count - 2 if exact else count)
    assert client.queue.stale_entries() == 2
    assert len(client.queue) == count - 1
    to_backlog(client)
    dropped = 0
    while client.queue.stale_entries():
        dropped += drop(client, 60)
    assert dropped == 2
    assert client.queue.unserved() == {("gpu",): count - 2, ("eu",): 1}
    assert len(client.queue) == count - 1
    check(client)


def drop(client, limit):
    return serving.drop_stale(client.queue, limit)


def test_who_drops_entries_goes_on_where_he_was_and_begins_anew(client):
    jobs = [needing(client, label) for label in "abcabc" for _number in range(12)]
    to_backlog(client)
    assert drop(client, 10) == 0
    for job in jobs[::2]:
        client.queue.remove(job)
    for _look in range(20):
        drop(client, 10)
    assert client.queue.stale_entries() == 0
    check(client)
    assert list(client.queue) == jobs[1::2]
    for job in jobs[1::2]:
        client.queue.remove(job)
    while client.queue.stale_entries():
        drop(client, 10)
    assert sets(client) == []


def test_an_entry_of_a_job_that_cannot_be_read_is_left_to_claims(client, monkeypatch):
    removed, unreadable = needing(client, "gpu"), needing(client, "gpu")
    to_backlog(client)
    client.queue.remove(removed)
    client.queue.remove(unreadable)
    client.commit()

    def problem_of(job):
        return sieve.Problem("for a test", False) if job is unreadable else None

    monkeypatch.setattr(serving, "problem_of", problem_of)
    assert drop(client, 10) == 1
    assert client.queue.stale_entries() == 1
    check(client)


def test_nothing_is_looked_at_if_every_entry_counts(client, monkeypatch):
    needing(client, "gpu")
    to_backlog(client)
    monkeypatch.setattr(serving, "_stretch", None)
    assert drop(client, 10) == 0
