"""Two who change the piles of jobs with quotas at the same time."""

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from tests.unit.queue.claims import refuse, to_backlog
from tests.unit.queue.piles import check, index_of, parked, put
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job
from zc.async_.queue import limited
from zc.async_.queue.limited import Pile
from zc.async_.queue.places import Places


def commit_both(first, second):
    """Commit one after the other; the second conflicts, and has to begin anew."""
    first.commit()
    with pytest.raises(ConflictError):
        second.commit()
    second.abort()


def of_index(number):
    """Accepts the job that was put with a priority."""
    return lambda job: job.priority == number


@pytest.mark.parametrize("first_commits", ["who takes", "who adds"])
@pytest.mark.parametrize("count", [1, 2], ids=["without a record", "with a record"])
def test_who_takes_the_last_job_of_a_pile_and_who_adds_one_conflict(
    client, other, quotas, first_commits, count
):
    # Others, or trees would be emptied, which conflicts in any case.
    quotas(5, *"abcdef")
    for name in "abcdef":
        put(client, name)
    for _number in range(count - 1):
        put(client, "a", priority=1)
    to_backlog(client)
    for _number in range(count - 1):
        client.claim()
    other.begin()
    assert client.queue.claim().quota_names == ("a",)
    assert index_of(client).pile(("a",)) is None
    add_unread(other, "a")
    assert index_of(other).pile(("a",)).count == 2
    commit_both(*((client, other) if first_commits == "who takes" else (other, client)))
    to_backlog(client)
    check(client)


def test_two_who_make_a_pile_of_the_same_names_conflict(client, other, quotas):
    quotas(5, "a", "b", "c")
    put(client, "b"), put(client, "c")
    to_backlog(client)
    other.begin()
    for party in (client, other):
        add_unread(party, "a")
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()


def add_unread(client, *names):
    """Have a job in the backlog that no lane has had."""
    job = Job(calls.nothing)
    job.kept_quota_names = names
    client.connection.add(job)
    index = index_of(client)
    pile = index.pile(names) or Pile(names)
    pile.add(job.position_key(), job)
    limited.change_count(client.queue.backlog, 1)
    index.file(pile, Places(client.queue.quotas))
    return job


def test_claims_of_jobs_of_different_quotas_do_not_conflict(client, other, quotas):
    names = [f"q{number:02}" for number in range(10)]
    quotas(1, *names)
    for number, name in enumerate(names):
        put(client, name, priority=number)
    to_backlog(client)
    other.begin()
    assert client.queue.claim(of_index(1)).quota_names == ("q01",)
    assert other.queue.claim(of_index(2)).quota_names == ("q02",)
    client.commit()
    other.commit()
    client.begin()
    check(client)
    assert len(client.claim_all()) == 8


@pytest.mark.parametrize("first_commits", ["who parks", "who opens", "who removes"])
def test_a_pile_is_not_left_under_a_quota_that_is_opened_meanwhile(
    client, other, quotas, first_commits
):
    quotas(0, "a")
    job = put(client, "a")
    # Else both would read it from its lane.
    to_backlog(client)
    other.begin()
    assert client.queue.claim() is None
    assert parked(client) == ({}, {"a": 1})
    if first_commits == "who removes":
        other.queue.quotas.remove("a")
    else:
        other.queue.quotas["a"].size = 1
    if first_commits == "who parks":
        client.commit()
        other.commit()
    else:
        other.commit()
        # Before it sees what it should, another claim may do away with the note.
        other.claim(refuse)
        assert not list(other.queue.quotas.reopened_names())
        with pytest.raises(ConflictError):
            client.commit()
        client.abort()
    assert client.claim() is job


def test_a_pile_added_under_a_closed_quota_while_that_is_dealt_with_is_not_left_there(
    client, other, quotas
):
    quotas(0, "a")
    quotas(1, "b")
    put(client, "a")
    client.commit()
    assert client.claim() is None
    put(client, "a", "b")
    client.commit()
    client.begin()
    assert client.queue.claim() is None
    assert parked(client) == ({}, {"a": 2})
    other.begin()
    other.queue.quotas["a"].size = 1
    other.commit()
    with pytest.raises(ConflictError):
        client.commit()
    client.abort()
    assert client.claim() is not None


@pytest.mark.parametrize("first_commits", ["who takes", "who adds"])
def test_the_last_pile_from_under_a_quota_and_a_new_one_under_it_conflict(
    client, other, quotas, first_commits
):
    quotas(1, "a", "b", "c", "d")
    held = [put(client, name) for name in "acc"]
    second = put(client, "a")
    put(client, "a", "b")
    to_backlog(client)
    assert [client.claim(), client.claim()] == held[:2]
    assert parked(client) == ({"a": 1, "c": 1}, {})
    other.begin()
    # Comes to the other pile, and finds `a` full.
    assert other.queue.claim() is None
    assert parked(other) == ({"a": 2, "c": 1}, {})
    client.queue.remove(second)
    held[0]._set_status(COMPLETED)
    # Drops the job that waits no more, and leaves the other pile where it is.
    assert client.queue.claim(refuse) is None
    assert parked(client) == ({"c": 1}, {})
    commit_both(*((client, other) if first_commits == "who takes" else (other, client)))
    to_backlog(client)
    check(client)


def test_two_who_open_quotas_do_not_conflict(client, other, quotas):
    quotas(0, "a", "b")
    other.begin()
    client.queue.quotas["a"].size = 1
    other.queue.quotas["b"].size = 1
    client.commit()
    other.commit()
    client.begin()
    assert sorted(client.queue.quotas.reopened_names()) == ["a", "b"]


def test_who_removes_a_quota_and_who_gives_it_places_conflict(client, other, quotas):
    quotas(1, "a")
    other.begin()
    client.queue.quotas.remove("a")
    other.queue.quotas["a"].size = 2
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()
