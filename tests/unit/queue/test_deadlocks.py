"""Jobs that would wait for each other's places for ever: one of them gives up its place."""

import pytest

from tests.unit import calls
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, parallel, serial
from zc.async_.queue import deadlocks


@pytest.fixture(autouse=True)
def quotas(client):
    for name in "abcd":
        client.queue.quotas.create(name)
    client.commit()
    return client.queue.quotas


def part(*quota_names, needs=()):
    job = Job(calls.nothing)
    job.quota_names, job.needs = quota_names, needs
    return job


def composed(name, *parts, compose=parallel):
    """A job that needs a place in a quota; and so do its parts, where names stand for them."""
    job = compose(*[part(one) if isinstance(one, str) else one for one in parts])
    job.quota_names = [name]
    return job


@pytest.fixture
def agent(client, uuid_1):
    """An agent with many places."""
    return client.agent(uuid_1, size=20, labels=["gpu"])


@pytest.fixture
def claim(client, agent):
    """Claims, and commits."""

    def claim():
        client.begin()
        job = agent.claimJob()
        client.commit()
        return job

    return claim


@pytest.fixture
def begin(client, claim):
    """Has jobs begin, and wait for their parts, which nobody can claim then."""

    def begin(*jobs):
        jobs = [client.put(job) for job in jobs]
        assert [claim() for _job in jobs] == jobs
        for job in jobs:
            job()
        client.commit()
        return jobs

    return begin


@pytest.fixture
def run_all(client, agent):
    """Runs what can be claimed, until nothing can."""

    def run_all():
        calls.run_all(agent)
        client.commit()

    return run_all


@pytest.fixture
def break_up(client):
    """Breaks up what there is; returns who gave up a place where."""

    def break_up():
        client.begin()
        given_up = deadlocks.break_up(client.queue)
        assert bool(given_up) == bool(client.connection._registered_objects)
        client.commit()
        return given_up

    return break_up


@pytest.mark.parametrize("compose", [serial, parallel])
def test_of_two_the_one_that_was_put_last_gives_up_its_place(
    quotas, begin, run_all, break_up, compose
):
    first, second = begin(composed("a", "b", compose=compose), composed("b", "a", compose=compose))
    run_all()
    assert (list(quotas["a"]), list(quotas["b"])) == ([first], [second])
    assert break_up() == [(second, "b")]
    assert (list(quotas["a"]), list(quotas["b"])) == ([first], [])
    assert break_up() == []
    run_all()
    assert (first.status, second.status) == (COMPLETED, COMPLETED)
    assert (list(quotas["a"]), list(quotas["b"])) == ([], [])


def test_in_a_circle_of_many_one_is_enough(begin, run_all, break_up):
    jobs = begin(composed("a", "b"), composed("b", "c"), composed("c", "d"), composed("d", "a"))
    run_all()
    assert break_up() == [(jobs[-1], "d")]
    run_all()
    assert {job.status for job in jobs} == {COMPLETED}


def test_each_circle_is_broken_up(begin, run_all, break_up):
    jobs = begin(composed("a", "b"), composed("c", "d"), composed("b", "a"), composed("d", "c"))
    run_all()
    assert break_up() == [(jobs[3], "d"), (jobs[2], "b")]
    run_all()
    assert {job.status for job in jobs} == {COMPLETED}


def test_who_waits_for_a_circle_is_not_of_it(quotas, begin, run_all, break_up):
    _first, second, other = begin(composed("a", "b"), composed("b", "a"), composed("c", "a"))
    run_all()
    assert break_up() == [(second, "b")]
    assert list(quotas["c"]) == [other]
    run_all()
    assert other.status == COMPLETED


def test_a_part_of_a_part_is_waited_for_too(begin, run_all, break_up):
    inner = parallel(part("b"), part("d"))
    first, second = begin(composed("a", inner), composed("b", "a"))
    run_all()
    assert break_up() == [(second, "b")]
    run_all()
    assert first.status == second.status == COMPLETED


def test_so_is_a_job_that_was_returned(clock, client, begin, run_all, break_up):
    returned = client.put(part("b"), begin_after=clock.after(hours=1))
    first = Job(calls.identity, returned)
    first.quota_names = ["a"]
    _first, second = begin(first, composed("b", "a"))
    run_all()
    assert break_up() == []
    clock.advance(hours=2)
    run_all()
    assert break_up() == [(second, "b")]
    run_all()
    assert first.status == second.status == COMPLETED


def test_so_are_parts_that_need_labels(begin, run_all, break_up):
    _first, second = begin(composed("a", part("b", needs=["gpu"])), composed("b", "a"))
    run_all()
    assert break_up() == [(second, "b")]


def test_who_waits_for_what_can_come_keeps_its_place(claim, client, begin, run_all, break_up):
    """In one quota, a job waits for something that needs no place."""
    client.queue.quotas["b"].size = 2
    client.commit()
    free = part()
    jobs = begin(composed("a", "b"), composed("b", "a"), composed("b", free))
    assert claim() is free
    assert claim() is None
    assert break_up() == []
    free()
    client.commit()
    run_all()
    assert {job.status for job in jobs} == {COMPLETED}


def test_a_job_that_runs_ends(claim, client, begin, run_all, break_up):
    client.queue.quotas["b"].size = 2
    client.commit()
    first, second = begin(composed("a", "b"), composed("b", "a"))
    running = client.put(part("b"))
    client.queue.quotas["b"].size = 1
    client.commit()
    assert claim() is None
    assert break_up() == [(second, "b")]
    run_all()
    assert {job.status for job in (first, second, running)} == {COMPLETED}


def test_a_chain_is_no_circle(claim, begin, break_up):
    begin(composed("a", "b"), composed("b", "c"), composed("c", part()))
    last = claim()
    assert last.quota_names == ()
    assert claim() is None
    assert break_up() == []


def test_what_waits_without_being_waited_for_changes_nothing(claim, client, begin, break_up):
    """Two composed jobs at a time, each with many others after it."""
    begin(composed("a", part()), composed("b", part()))
    for name in "abab":
        client.put(part(name))
    while claim() is not None:
        pass
    assert break_up() == []


def test_parts_that_cannot_be_read_are_passed_over(begin, run_all, break_up, monkeypatch):
    first, second = begin(composed("a", "b"), composed("b", "a"))
    run_all()
    awaited_by = deadlocks.yielding.awaited_by

    def fail_at_parts(job):
        return awaited_by(job) if job in (first, second) else calls.happen_and_fail()

    with monkeypatch.context() as patch:
        patch.setattr(deadlocks.yielding, "awaited_by", fail_at_parts)
        assert break_up() == []
    assert break_up() == [(second, "b")]


def test_ten_thousand_parts_take_several_looks(begin, run_all, break_up, monkeypatch):
    monkeypatch.setattr(deadlocks, "LIMIT", 20)
    monkeypatch.setattr(deadlocks, "LEAST", 10)
    loaded = []
    ask = deadlocks._open_below
    monkeypatch.setattr(deadlocks, "_open_below", lambda job: loaded.append(job) or ask(job))
    first, second = begin(
        composed("a", *[part() for _free in range(25)], "b"),
        composed("b", *[part() for _free in range(35)], "a"),
    )
    run_all()
    for _look in range(3):
        assert break_up() == []
    # What was found in an early look is known in a late one.
    assert break_up() == [(second, "b")]
    assert len(loaded) <= 80
    run_all()
    assert first.status == second.status == COMPLETED


def test_those_that_need_the_place_get_it(claim, client, run_all, break_up):
    """Others that wait longer, or have priority, would have to give it up again."""
    first = client.put(composed("a", *"bbb"))
    second, *later = [client.put(composed("b", "a"), priority=9) for _job in range(5)]
    assert {claim(), claim()} == {first, second}
    for job in (first, second):
        job()
    client.commit()
    assert claim() is None
    assert break_up() == [(second, "b")]
    run_all()
    assert {job.status for job in (first, second, *later)} == {COMPLETED}


def test_an_entry_that_does_not_count_changes_nothing(client, begin, run_all, break_up):
    needed = part("b")
    begin(composed("a", needed), composed("b", "a"))
    run_all()
    # Somebody helps by hand.
    needed.quota_names = ()
    client.commit()
    assert break_up() == []
    run_all()
    assert needed.status == COMPLETED


def test_a_quota_that_was_made_smaller_has_room_after_one_look(
    quotas, client, begin, run_all, break_up
):
    quotas["b"].size = 3
    client.commit()
    first, *others = begin(composed("a", "b"), *[composed("b", "a") for _job in range(3)])
    quotas["b"].size = 1
    client.commit()
    run_all()
    assert break_up() == [(job, "b") for job in reversed(others)]
    run_all()
    assert {job.status for job in (first, *others)} == {COMPLETED}
