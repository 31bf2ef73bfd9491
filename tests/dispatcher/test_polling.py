"""Polls, made by hand: conflicts, and databases out of reach."""

import datetime
import logging
import math
import time

import pytest
import transaction
import ZEO.Exceptions
from ZODB.POSException import ConflictError

import zc.async_.clock
from tests.dispatcher import choosers, work
from tests.dispatcher.looking import nothing_written
from tests.dispatcher.polls import key, later
from tests.participants import Participant
from zc.async_.agent import Agent
from zc.async_.dispatcher import contention, polling
from zc.async_.interfaces import KEY, PENDING
from zc.async_.queue import Queue, Queues
from zc.async_.testing import BEGINNING

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")


class Unwilling(Queues):
    """Queues that cannot always be looked at."""

    def keys(self):
        if choosers.errors:
            raise choosers.errors.pop(0)
        return super().keys()


def test_a_database_without_queues_has_nothing_to_poll(make_poller, client):
    del client.root[KEY]
    client.manager.commit()
    assert make_poller().poll() == polling.Outcome()


def test_a_poll_with_nothing_to_do_writes_nothing(active, database):
    poller = active()
    with nothing_written(database):
        poller.poll()


def test_the_next_time_is_the_earliest_of_all_queues(active, put, client):
    poller = active()
    client.root[KEY]["second"] = Queue()
    client.manager.commit()
    for name, minutes in (("", 3), ("second", 1)):
        client.root[KEY][name].put(
            work.answer, begin_after=BEGINNING + datetime.timedelta(minutes=minutes)
        )
    client.manager.commit()
    outcome = poller.poll()
    assert outcome.done == {"", "second"}
    assert outcome.next_time == zc.async_.clock.to_microseconds(
        BEGINNING + datetime.timedelta(minutes=1)
    )


# -- conflicts


def test_a_conflict_hands_nothing_out_and_wants_another_poll_soon(active, put, client, agents):
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=1)
    jobs = [put(work.answer) for _ in range(2)]
    work.hooks.append(sibling.poll)
    outcome = poller.poll()
    assert outcome.jobs == []
    assert 0 < outcome.again <= contention.LONGEST_BACKOFF
    assert outcome.done == set()
    assert not outcome.failed
    assert [claimed.job_id for claimed in poller.poll().jobs] == [key(jobs[1])]


def test_after_conflicts_in_a_row_fewer_jobs_are_claimed_at_last_one(active, put):
    poller, sibling = active(size=8, chooser=choosers.choose_with_hook), active(size=8)
    most = []
    for _conflict in range(contention.PATIENCE + 5):
        put(work.answer)
        put(work.answer)
        work.hooks.append(lambda: sibling.poll(busy={("", "main"): 7}))
        assert poller.poll().jobs == []
        most.append(poller.poller.contention.most_jobs("", 8))
    assert most[contention.PATIENCE - 1 :] == [8, 4, 2, 1, 1, 1]
    assert poller.poller.contention.most_jobs("", 0) == 0
    # What is left is claimed bit by bit, and a success ends the restraint.
    outcome = poller.poll()
    assert (len(outcome.jobs), outcome.again) == (1, 0)
    assert poller.poller.contention.most_jobs("", 8) == 8
    assert len(poller.poll().jobs) == 7


def test_after_a_conflict_a_queue_with_nothing_left_is_left_alone(active, put):
    """Else the dispatcher would poll over and over until something is put."""
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=20)
    for _conflict in range(contention.PATIENCE + 2):
        put(work.answer)
        work.hooks.append(sibling.poll)
        assert poller.poll().again is not None
    assert poller.poller.contention.most_jobs("", 3) < 3
    assert poller.poll().again is None


def test_conflicts_in_one_queue_are_followed_by_longer_waits_though_all_is_well_in_another(
    active, put, client, monkeypatch
):
    monkeypatch.setattr(contention.random, "uniform", lambda _least, most: most)
    client.root[KEY]["other"] = Queue()
    client.manager.commit()
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=20)
    waits = []
    for _conflict in range(8):
        put(work.answer)
        work.hooks.append(sibling.poll)
        outcome = poller.poll()
        assert "other" in outcome.done
        waits.append(outcome.again)
    assert waits == [0.003, 0.006, 0.012, 0.024, 0.048, 0.096, 0.1, 0.1]


def test_conflicts_in_one_queue_do_not_restrain_claims_in_another(active, put, client, agents):
    client.root[KEY]["other"] = Queue()
    client.manager.commit()
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=20)
    agents(poller)
    client.root[KEY]["other"].dispatchers[poller.uuid]["main"] = Agent(size=8)
    client.manager.commit()
    for number in range(contention.PATIENCE + 5):
        put(work.answer)
        for _number in range(8 if number == contention.PATIENCE + 4 else 0):
            client.root[KEY]["other"].put(work.answer)
        client.manager.commit()
        work.hooks.append(sibling.poll)
        outcome = poller.poll()
    assert len(outcome.jobs) == 8


@pytest.fixture
def slow(active, put):
    """A poller that a faster one beats to each job."""
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=20)

    def poll():
        put(work.answer)
        work.hooks.append(sibling.poll)
        return poller.poll()

    poller.poll()
    return poller, sibling, poll


def last_ping(client, poller):
    client.manager.begin()
    return client.queue.dispatchers[poller.uuid].last_ping.value


def test_whoever_loses_each_claim_pings_all_the_same(slow, client):
    """Else a slow machine among fast ones would be taken for dead, and its jobs interrupted."""
    poller, _sibling, poll = slow
    before = last_ping(client, poller)
    later(seconds=31)
    assert poll().jobs == []
    assert last_ping(client, poller) == before
    outcome = poll()
    assert (outcome.jobs, outcome.again, outcome.failed) == ([], 0, False)
    assert last_ping(client, poller) == before + datetime.timedelta(seconds=31)


def test_a_ping_after_a_conflict_is_one_poll_and_the_next_one_claims(slow, client):
    """However short the interval is: a dispatcher does not ping and ping."""
    poller, _sibling, poll = slow
    client.manager.begin()
    client.queue.dispatchers[poller.uuid].ping_interval = datetime.timedelta(0)
    client.manager.commit()
    poll()
    poll()
    work.hooks.clear()
    assert len(poller.poll().jobs) == 1


def test_whoever_was_taken_for_dead_is_back_though_it_loses_each_claim(slow, client):
    poller, sibling, poll = slow
    for _look in range(8):
        later(seconds=10)
        sibling.poll()
    client.manager.begin()
    assert not client.queue.dispatchers[poller.uuid].activated
    assert poll().jobs == []
    assert poll().jobs == []
    client.manager.begin()
    assert client.queue.dispatchers[poller.uuid].activated


def idle(count):
    """Of an agent of size 20, so many workers are idle."""
    return {("", "main"): 20 - count}


@pytest.fixture
def contenders(active, client, monkeypatch):
    """Two pollers that got into each other's way lately, and many jobs read from the lanes."""
    poller, sibling = (active(size=20, chooser=choosers.choose_with_hook) for _poller in range(2))
    for _number in range(8 * 16):
        client.queue.put(work.answer)
    client.manager.commit()
    assert len(sibling.poll(busy=idle(1)).jobs) == 1
    for contender in (poller, sibling):
        monkeypatch.setattr(contender.poller.contention, "until", math.inf)
    return poller, sibling


def test_dispatchers_that_conflicted_claim_side_by_side(contenders):
    poller, sibling = contenders
    others = []
    work.hooks.append(lambda: others.extend(sibling.poll(busy=idle(3)).jobs))
    mine = poller.poll(busy=idle(3)).jobs
    assert len(mine) == len(others) == 3
    assert not {claimed.job_id for claimed in mine} & {claimed.job_id for claimed in others}


def test_after_a_while_without_conflicts_the_order_is_exact_again(contenders, client, monkeypatch):
    client.manager.begin()
    expected = [key(job) for job in client.queue][:3]
    for poller in contenders:
        monkeypatch.setattr(poller.poller.contention, "until", 0.0)
    assert [claimed.job_id for claimed in contenders[1].poll(busy=idle(3)).jobs] == expected


def test_a_conflict_has_the_poller_keep_out_of_the_way_for_a_while(active, put, client):
    poller, sibling = active(chooser=choosers.choose_with_hook), active()
    put(work.answer)
    client.manager.begin()
    dispatchers = client.queue.dispatchers
    assert poller.poller.contention.share(dispatchers) is None
    work.hooks.append(sibling.poll)
    before = time.monotonic()
    poller.poll()
    assert poller.poller.contention.until >= before + contention.CONTENTION
    poller.poller.contention.until = sibling.poller.contention.until = math.inf
    assert {p.poller.contention.share(dispatchers) for p in (poller, sibling)} == {0, 1}
    dispatchers[sibling.uuid].deactivate()
    assert poller.poller.contention.share(dispatchers) == 0
    assert sibling.poller.contention.share(dispatchers) is None


def test_a_conflict_in_one_queue_does_not_keep_others_from_their_turn(active, put, client):
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=1)
    client.root[KEY]["second"] = Queue()
    client.manager.commit()
    poller.poll()
    client.manager.begin()
    client.root[KEY]["second"].dispatchers[poller.uuid]["main"] = Agent()
    put(work.answer)
    job = client.root[KEY]["second"].put(work.answer)
    client.manager.commit()
    work.hooks.append(sibling.poll)
    outcome = poller.poll()
    assert outcome.done == {"second"}
    assert [claimed.job_id for claimed in outcome.jobs] == [key(job)]
    assert outcome.again > 0


def test_a_chooser_that_meets_a_conflict_is_no_failure_of_the_agent(active, put):
    poller = active(chooser=choosers.choose_and_raise)
    put(work.answer)
    choosers.errors.append(ConflictError())
    outcome = poller.poll()
    assert outcome.again > 0
    assert outcome.info[""]["main"]["error"] is None
    assert len(poller.poll().jobs) == 1


# -- a poller and its thread


def test_what_ends_a_thread_is_raised_and_the_poller_can_be_used_again(active, put):
    poller = active(chooser=choosers.choose_and_raise)
    put(work.answer)
    choosers.errors.append(SystemExit())
    with pytest.raises(SystemExit):
        poller.poll()
    assert len(poller.poll().jobs) == 1


# -- polls that fail


@pytest.fixture
def unwilling(client, active):
    """A poller of a database whose queues cannot always be looked at."""
    poller = active()
    client.manager.begin()
    queues = client.root[KEY] = Unwilling()
    queues[""] = Queue()
    client.manager.commit()
    poller.poll()
    return poller


def test_a_poll_that_fails_is_logged_and_the_next_comes_as_usual(unwilling, caplog, put):
    put(work.answer)
    choosers.errors.append(ValueError("no keys"))
    outcome = unwilling.poll()
    assert (outcome.failed, outcome.again, outcome.info) == (True, None, {})
    (record,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert "poll failed" in record.getMessage()
    assert not unwilling.poll().failed


def test_a_poll_that_meets_a_conflict_before_it_reaches_a_queue_comes_again_soon(unwilling):
    choosers.errors.append(ConflictError())
    outcome = unwilling.poll()
    assert outcome.failed
    assert 0 < outcome.again <= contention.LONGEST_BACKOFF


def test_a_database_out_of_reach_is_asked_ever_more_seldom(unwilling, caplog):
    waits = []
    for _try in range(62):
        choosers.errors.append(ZEO.Exceptions.ClientDisconnected("gone"))
        outcome = unwilling.poll()
        assert outcome.failed
        waits.append(outcome.again)
    assert waits == [*range(1, 61), 60, 60]
    assert "next try in 1 s: ZEO.Exceptions.ClientDisconnected: gone; see" in caplog.text
    assert unwilling.poll().again is None
    choosers.errors.append(ZEO.Exceptions.ClientDisconnected())
    assert unwilling.poll().again == 1
    # That has no text of its own.
    assert caplog.messages[-1] == (
        "poll: database out of reach, next try in 1 s: ZEO.Exceptions.ClientDisconnected; see "
        "whether its server runs, and whether it can be reached from here"
    )


def choose_and_lose_the_database(agent):
    """A chooser that claims, and whose transaction cannot be committed."""
    job = agent.queue.claim()
    if job is not None:
        unreachable = Participant(ZEO.Exceptions.ClientDisconnected("no commit"), "tpc_begin")
        agent._p_jar.transaction_manager.get().join(unreachable)
    return job


def test_a_claim_whose_commit_does_not_reach_the_database_hands_nothing_out(active, put, client):
    poller = active(chooser=choose_and_lose_the_database)
    job = put(work.answer)
    outcome = poller.poll()
    assert (outcome.jobs, outcome.again, outcome.failed) == ([], 1, True)
    assert outcome.done == set()
    client.manager.begin()
    assert job.status == PENDING


def test_a_poller_keeps_its_connection_apart_from_those_of_the_thread(active, put):
    poller = active()
    transaction.begin()
    present = transaction.get()
    put(work.answer)
    assert len(poller.poll().jobs) == 1
    assert transaction.get() is present
