"""Polls, made by hand."""

import datetime
import logging
import math
import threading
import time

import pytest
import transaction
import ZEO.Exceptions
import zope.component
from BTrees.OOBTree import OOBTree
from ZODB.POSException import ConflictError
from ZODB.utils import u64

import zc.async_.clock
from tests.dispatcher import work
from tests.races import parties
from zc.async_.agent import Agent
from zc.async_.dispatcher import polling
from zc.async_.dispatcher.membership import TRIES_TO_LEAVE
from zc.async_.dispatcher.plans import SYSTEM
from zc.async_.interfaces import (
    ACTIVE,
    CALLBACKS,
    COMPLETED,
    KEY,
    PENDING,
    IDispatcherDeactivated,
)
from zc.async_.process import liveness
from zc.async_.queue import Queue, Queues, claim, disused
from zc.async_.queue.lane import Lane
from zc.async_.queue.lanes import Lanes
from zc.async_.queue.quota import Members, Quota
from zc.async_.running.retry import NeverRetry
from zc.async_.testing import BEGINNING, set_now, virtualtime
from zc.twist import Failure

#: What `Unwilling` and `choose_and_raise` raise, one a time.
errors = []


class Unwilling(Queues):
    """Queues that cannot always be looked at."""

    def keys(self):
        if errors:
            raise errors.pop(0)
        return super().keys()


def choose_and_raise(agent):
    """A chooser that raises, and else takes the first job."""
    if errors:
        raise errors.pop(0)
    return agent.queue.claim()


def choose_with_hook(agent):
    """A chooser that lets another party act before the claim is committed."""
    job = agent.queue.claim()
    if job is not None:
        work.call_hook()
    return job


def refuse(job):
    return False


@pytest.fixture(autouse=True)
def pinned():
    """Time stands still at `BEGINNING`, and nobody raises."""
    set_now(BEGINNING)
    errors.clear()


@pytest.fixture
def active(make_poller, client, install_agent):
    """A poller that is active, with an agent 'main' that has the given settings."""

    def active(size=3, **options):
        poller = make_poller()
        poller.poll()
        client.manager.begin()
        client.queue.dispatchers[poller.uuid]["main"] = Agent(size=size, **options)
        client.manager.commit()
        return poller

    return active


@pytest.fixture
def agents(client):
    """The `IDispatcherAgents` of a poller, as they are now."""

    def agents(poller):
        client.manager.begin()
        return client.queue.dispatchers[poller.uuid]

    return agents


def later(**interval):
    virtualtime.let_pass(zc.async_.clock.interval_microseconds(datetime.timedelta(**interval)))


def key(job):
    return job._p_oid, "unnamed"


def completed(client, job):
    """Have a claimed job complete, as a worker would."""
    client.manager.begin()
    job.end_with(42)
    client.manager.commit()


# -- being active


def test_the_first_poll_registers_and_activates(make_poller, agents, install_agent):
    install_agent(size=5)
    poller = make_poller()
    outcome = poller.poll()
    assert agents(poller).activated == BEGINNING
    info = {"active jobs": [], "error": None, "len": 0, "new jobs": [], "size": 5}
    assert outcome.info == {"": {"main": info}}
    assert outcome.sizes == {("", "main"): 5, ("", SYSTEM): 2}
    assert outcome.done == {""}
    assert (outcome.jobs, outcome.next_time, outcome.again, outcome.failed) == (
        [],
        None,
        None,
        False,
    )


@pytest.fixture
def disused_lane(client, monkeypatch):
    """A lane that nobody has used for long, since nothing is long."""
    monkeypatch.setattr(disused, "DISUSED_AFTER", 0)
    client.queue.put(work.answer)
    client.manager.commit()
    client.queue.claim()
    client.manager.commit()
    return client.queue.lanes.keys()[0]


def test_an_activation_removes_lanes_that_nobody_uses(make_poller, client, disused_lane):
    make_poller().poll()
    client.manager.begin()
    assert disused_lane not in client.queue.lanes


def test_an_activation_removes_no_lanes_if_others_are_in_the_way(
    make_poller, client, disused_lane, monkeypatch, agents
):
    remove = disused.remove_disused

    def remove_while_another_puts(lanes, living):
        client.manager.begin()
        client.queue.put(work.answer)
        client.manager.commit()
        return remove(lanes, living)

    monkeypatch.setattr(disused, "remove_disused", remove_while_another_puts)
    poller = make_poller()
    outcome = poller.poll()
    assert not outcome.failed
    assert agents(poller).activated
    client.manager.begin()
    assert disused_lane in client.queue.lanes


def test_polls_remove_unused_lanes_now_and_then_where_there_are_many(
    make_poller, client, monkeypatch
):
    monkeypatch.setattr(disused, "MANY", 1)
    monkeypatch.setattr(disused, "DISUSED_AFTER_OF_MANY", 0)
    poller = make_poller()
    poller.poll()
    others = [parties.Client(client.connection.db()) for _number in range(3)]
    for other in others:
        other.queue.put(work.answer)
        other.manager.commit()
    client.manager.begin()
    while client.queue.claim() is not None:
        client.manager.commit()
    poller.poll()
    client.manager.begin()
    assert len(client.queue.lanes) == 3
    later(seconds=11)
    poller.poll()
    client.manager.begin()
    assert len(client.queue.lanes) == 1
    for other in others:
        other.close()


def test_a_queue_of_an_older_version_is_changed_by_an_activation(make_poller, client):
    client.queue.lanes = Lanes(OOBTree({"": Lane()}), buckets=0)
    client.queue.put(work.answer)
    client.manager.commit()
    poller = make_poller()
    poller.poll()
    client.manager.begin()
    assert not client.queue.lanes.is_of_older_version
    assert len(client.queue) == 1


def test_a_database_without_queues_has_nothing_to_poll(make_poller, client):
    del client.root[KEY]
    client.manager.commit()
    assert make_poller().poll() == polling.Outcome()


def test_a_poll_with_nothing_to_do_writes_nothing(active, database):
    poller = active()
    before = database.lastTransaction()
    poller.poll()
    assert database.lastTransaction() == before


def test_pings_are_written_once_in_their_interval(active, database, agents):
    poller = active()
    later(seconds=31)
    poller.poll()
    assert agents(poller).last_ping.value == zc.async_.clock.now()
    before = database.lastTransaction()
    later(seconds=29)
    poller.poll()
    assert database.lastTransaction() == before


def test_another_process_with_the_same_uuid_says_so_and_does_not_claim(
    active, make_poller, put, client, caplog
):
    first = active()
    job = put(work.answer)
    outcome = make_poller(first.uuid).poll()
    assert outcome.info == {"": None}
    assert (outcome.jobs, outcome.done) == ([], set())
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == (
        f"UUID {first.uuid} is in use: give each dispatcher another one.  (If its process has "
        "ended, this one takes over by itself: see ``ping_death_interval``.)  It is already "
        f"activated in queue  (oid {u64(client.queue._p_oid)}): another process?  (To stop poll "
        "attempts in this process, set ``zc.async_.dispatcher.get().activated = False``.  To stop "
        "polls permanently, don't start a zc.async.dispatcher!)"
    )
    assert [claimed.job_id for claimed in first.poll().jobs] == [key(job)]


def test_when_the_other_process_is_dead_its_place_and_its_jobs_are_taken(
    active, make_poller, put, caplog, client
):
    first = active()
    job = put(work.answer)
    first.poll()
    second = make_poller(first.uuid)
    for _second in range(61):
        assert second.poll().jobs == []
        later(seconds=1)
    (resumed,) = second.poll().jobs
    assert resumed.agent == ("", SYSTEM)
    assert "an earlier process crashed; cleaning up" in caplog.text
    client.manager.begin()
    assert client.connection.get(resumed.job_id[0]).callable == job.handleInterrupt


def test_a_dispatcher_taken_for_dead_goes_on(active, agents, client, put, caplog):
    poller = active()
    agents(poller).deactivate()
    client.manager.commit()
    job = put(work.answer)
    assert [claimed.job_id for claimed in poller.poll().jobs] == [key(job)]
    assert agents(poller).activated == BEGINNING
    assert "was taken for dead, and is not" in caplog.text


def test_in_a_queue_that_was_made_anew_a_dispatcher_is_active_again(active, client, install_agent):
    install_agent()
    poller = active()
    client.manager.begin()
    client.root[KEY][""] = Queue()
    client.queue.put(work.answer)
    client.manager.commit()
    assert len(poller.poll().jobs) == 1


def test_a_dispatcher_that_was_unregistered_by_mistake_registers_again(
    active, agents, client, install_agent, put
):
    install_agent()
    poller = active()
    agents(poller).deactivate()
    client.queue.dispatchers.unregister(poller.uuid)
    client.manager.commit()
    put(work.answer)
    assert len(poller.poll().jobs) == 1


def test_a_dead_sibling_is_buried_and_its_jobs_are_taken(active, make_poller, put, agents, caplog):
    dead = active()
    put(work.answer)
    dead.poll()
    poller = make_poller()
    for _second in range(61):
        poller.poll()
        later(seconds=1)
    assert [claimed.agent for claimed in poll_all(poller)] == [("", SYSTEM)]
    assert agents(dead).activated is None
    assert f"dispatcher {dead.uuid} is dead; its jobs are handed back" in caplog.text


def test_a_sibling_that_has_just_left_is_not_told_of_as_dead(active, agents, client, caplog):
    leaving = active()
    poller = active()
    # It sees the sibling active all along.
    client.manager.begin()
    siblings = client.queue.dispatchers
    assert siblings[leaving.uuid].activated
    leaving.poller.deactivate([])
    assert siblings.ping_between(poller.uuid)
    with pytest.raises(ConflictError):
        client.manager.commit()
    client.manager.abort()
    assert "is dead" not in caplog.text
    assert not siblings.ping_between(poller.uuid)


def poll_all(poller):
    """Poll until all is done; return what was claimed."""
    jobs = []
    while True:
        outcome = poller.poll()
        jobs += outcome.jobs
        if outcome.again is None:
            return jobs


# -- claims


def test_a_poll_claims_for_idle_workers(active, put, client):
    poller = active()
    jobs = [put(work.answer) for _ in range(5)]
    outcome = poller.poll(busy={("", "main"): 1})
    assert [claimed.job_id for claimed in outcome.jobs] == [key(job) for job in jobs[:2]]
    assert {claimed.agent for claimed in outcome.jobs} == {("", "main")}
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE] * 2 + [PENDING] * 3
    assert [claimed.token for claimed in outcome.jobs] == [job.claim_token for job in jobs[:2]]
    # What is told of the agent is as of before the claim.
    assert outcome.info[""]["main"]["len"] == 0
    assert outcome.again is None


def test_what_is_active_is_told(active, put):
    poller = active()
    job = put(work.answer)
    poller.poll()
    info = poller.poll(busy={("", "main"): 1}).info[""]["main"]
    assert (info["len"], info["active jobs"]) == (1, [key(job)])


def test_more_busy_workers_than_places_claim_nothing(active, put):
    poller = active(size=1)
    put(work.answer)
    assert poller.poll(busy={("", "main"): 2}).jobs == []


def test_a_job_tells_its_quotas(active, put, client):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    put(work.answer, quota_names=["one"])
    assert [claimed.quota_names for claimed in poller.poll().jobs] == [("one",)]


def test_a_poll_knows_when_the_next_job_is_due(active, put):
    poller = active()
    for minutes in (2, 1):
        put(work.answer, begin_after=BEGINNING + datetime.timedelta(minutes=minutes))
    due = zc.async_.clock.to_microseconds(BEGINNING + datetime.timedelta(minutes=1))
    assert poller.poll().next_time == due
    assert poller.poll().next_time == due


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


def test_a_poll_that_could_not_read_everything_wants_another_at_once(active, put, monkeypatch):
    monkeypatch.setattr(claim, "SWEEP_LIMIT", 2)
    poller = active()
    for _ in range(3):
        put(work.answer)
    outcome = poller.poll()
    assert (len(outcome.jobs), outcome.again) == (2, 0)
    outcome = poller.poll(busy={("", "main"): 2})
    assert (len(outcome.jobs), outcome.again) == (1, None)


@pytest.mark.parametrize("settings", [{"size": 0}, {"filter": refuse}], ids=["paused", "refusing"])
def test_jobs_of_the_system_need_no_agent_that_takes_them(active, put, client, settings):
    poller = active(**settings)
    job = put(work.answer)
    client.queue.put(job.make_system_job(job.handleInterrupt))
    client.manager.commit()
    assert [claimed.agent for claimed in poller.poll().jobs] == [("", SYSTEM)]
    client.manager.begin()
    assert job.status == PENDING


# -- conflicts


def test_a_conflict_hands_nothing_out_and_wants_another_poll_soon(active, put, client, agents):
    poller, sibling = active(chooser=choose_with_hook), active(size=1)
    jobs = [put(work.answer) for _ in range(2)]
    work.hooks.append(sibling.poll)
    outcome = poller.poll()
    assert outcome.jobs == []
    assert 0 < outcome.again <= polling.LONGEST_CONFLICT_BACKOFF
    assert outcome.done == set()
    assert not outcome.failed
    assert [claimed.job_id for claimed in poller.poll().jobs] == [key(jobs[1])]


def test_after_conflicts_in_a_row_fewer_jobs_are_claimed_at_last_one(active, put):
    poller, sibling = active(size=8, chooser=choose_with_hook), active(size=8)
    most = []
    for _conflict in range(polling.PATIENCE + 5):
        put(work.answer)
        put(work.answer)
        work.hooks.append(lambda: sibling.poll(busy={("", "main"): 7}))
        assert poller.poll().jobs == []
        most.append(poller.poller.most_jobs(8))
    assert most[polling.PATIENCE - 1 :] == [8, 4, 2, 1, 1, 1]
    assert poller.poller.most_jobs(0) == 0
    # What is left is claimed bit by bit, and a success ends the restraint.
    outcome = poller.poll()
    assert (len(outcome.jobs), outcome.again) == (1, 0)
    assert poller.poller.most_jobs(8) == 8
    assert len(poller.poll().jobs) == 7


def test_after_a_conflict_a_queue_with_nothing_left_is_left_alone(active, put):
    """Else the dispatcher would poll over and over until something is put."""
    poller, sibling = active(chooser=choose_with_hook), active(size=20)
    for _conflict in range(polling.PATIENCE + 2):
        put(work.answer)
        work.hooks.append(sibling.poll)
        assert poller.poll().again is not None
    assert poller.poller.most_jobs(3) < 3
    assert poller.poll().again is None


def idle(count):
    """Of an agent of size 20, so many workers are idle."""
    return {("", "main"): 20 - count}


@pytest.fixture
def contenders(active, client, monkeypatch):
    """Two pollers that got into each other's way lately, and many jobs read from the lanes."""
    poller, sibling = (active(size=20, chooser=choose_with_hook) for _poller in range(2))
    for _number in range(8 * 16):
        client.queue.put(work.answer)
    client.manager.commit()
    assert len(sibling.poll(busy=idle(1)).jobs) == 1
    for contender in (poller, sibling):
        monkeypatch.setattr(contender.poller, "_contended_until", math.inf)
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
        monkeypatch.setattr(poller.poller, "_contended_until", 0.0)
    assert [claimed.job_id for claimed in contenders[1].poll(busy=idle(3)).jobs] == expected


def test_a_conflict_has_the_poller_keep_out_of_the_way_for_a_while(active, put, client):
    poller, sibling = active(chooser=choose_with_hook), active()
    put(work.answer)
    client.manager.begin()
    dispatchers = client.queue.dispatchers
    assert poller.poller.share(dispatchers) is None
    work.hooks.append(sibling.poll)
    before = time.monotonic()
    poller.poll()
    assert poller.poller._contended_until >= before + polling.CONTENTION
    poller.poller._contended_until = sibling.poller._contended_until = math.inf
    assert {p.poller.share(dispatchers) for p in (poller, sibling)} == {0, 1}
    dispatchers[sibling.uuid].deactivate()
    assert poller.poller.share(dispatchers) == 0
    assert sibling.poller.share(dispatchers) is None


def test_a_conflict_in_one_queue_does_not_keep_others_from_their_turn(active, put, client):
    poller, sibling = active(chooser=choose_with_hook), active(size=1)
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
    poller = active(chooser=choose_and_raise)
    put(work.answer)
    errors.append(ConflictError())
    outcome = poller.poll()
    assert outcome.again > 0
    assert outcome.info[""]["main"]["error"] is None
    assert len(poller.poll().jobs) == 1


# -- answers that are lost


@pytest.fixture
def lose_answer():
    """Has the storage of a poller fail once after, or before, it has stored a transaction."""

    def lose_answer(poller, error, stored):
        storage = poller.poller._connection._storage
        finish = storage.tpc_finish

        def fail(*args):
            patch.undo()
            if not stored:
                raise error
            finish(*args)
            raise error

        patch.setattr(storage, "tpc_finish", fail)

    # Of its own: the patches of others stay.
    with pytest.MonkeyPatch.context() as patch:
        yield lose_answer


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("error", [ZEO.Exceptions.ClientDisconnected(), OSError("no answer")])
@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_claims_whose_answer_was_lost_are_claimed_anew(
    active, put, client, lose_answer, stored, error, policy
):
    """No worker has had them, so no policy is asked."""
    poller = active()
    jobs = [put(work.answer, retry_policy_factory=policy) for _ in range(2)]
    lose_answer(poller, error, stored)
    outcome = poller.poll()
    assert (outcome.jobs, outcome.failed) == ([], True)
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE if stored else PENDING] * 2
    found = poller.poll().jobs
    found += poller.poll().jobs
    assert [claimed.job_id for claimed in found] == [key(job) for job in jobs]
    client.manager.begin()
    assert [job.claim_token for job in jobs] == [claimed.token for claimed in found]
    assert len(client.queue.dispatchers[poller.uuid]["main"]) == 2
    assert len(client.queue) == 0
    assert poller.poll(busy={("", "main"): 2}).jobs == []


def test_an_activation_whose_answer_was_lost_is_known_again(make_poller, client, lose_answer):
    poller = make_poller()
    lose_answer(poller, ZEO.Exceptions.ClientDisconnected(), stored=True)
    assert poller.poll().failed
    client.manager.begin()
    activated = client.queue.dispatchers[poller.uuid].activated
    assert activated
    assert poller.poll().info == {"": {}}
    client.manager.begin()
    assert client.queue.dispatchers[poller.uuid].activated == activated


def test_a_conflict_leaves_no_claim_unanswered(active, put):
    poller, sibling = active(chooser=choose_with_hook), active(size=1)
    put(work.answer)
    work.hooks.append(sibling.poll)
    assert poller.poll().jobs == []
    assert poller.poller._unanswered.by_queue == {}


# -- being known to live


def test_the_next_process_of_an_instance_need_not_wait_for_the_pings(active, agents, tmp_path):
    """What the operating system does with a process that ends, a release of the lock does here."""
    poller = active()
    assert not agents(poller).dead
    liveness.release(poller.uuid)
    assert agents(poller).dead


def test_a_sibling_cleans_up_at_its_next_poll(active, put, client):
    poller, sibling = active(), active(size=0)
    job = put(work.answer)
    assert len(poller.poll().jobs) == 1
    liveness.release(poller.uuid)
    (claimed,) = sibling.poll().jobs
    assert claimed.agent == ("", SYSTEM)
    client.manager.begin()
    assert not client.queue.dispatchers[poller.uuid].activated
    assert client.connection.get(claimed.job_id[0]).callable == job.handleInterrupt


def test_who_was_taken_for_dead_says_again_that_it_lives(active, client):
    poller = active()
    client.manager.begin()
    holder = client.queue.dispatchers[poller.uuid].holder
    assert holder is not None
    client.queue.dispatchers[poller.uuid].deactivate()
    assert client.queue.dispatchers[poller.uuid].holder is None
    client.manager.commit()
    poller.poll()
    client.manager.begin()
    assert client.queue.dispatchers[poller.uuid].activated
    assert client.queue.dispatchers[poller.uuid].holder == holder


# -- agents that fail


@pytest.mark.parametrize("error", [ValueError("no choice"), ZEO.Exceptions.ClientDisconnected()])
def test_an_agent_whose_chooser_raises_is_left_out_and_reported(active, put, client, caplog, error):
    poller = active(chooser=choose_and_raise)
    client.manager.begin()
    client.queue.dispatchers[poller.uuid]["other"] = Agent(size=1)
    client.manager.commit()
    jobs = [put(work.answer) for _ in range(2)]
    errors.append(error)
    outcome = poller.poll()
    assert [claimed.agent for claimed in outcome.jobs] == [("", "other")]
    failure = outcome.info[""]["main"]["error"]
    assert isinstance(failure, Failure)
    assert failure.type is type(error)
    assert outcome.info[""]["other"]["error"] is None
    assert "agent 'main' could not claim a job" in caplog.text
    # The next poll gives it another chance.
    outcome = poller.poll(busy={("", "other"): 1})
    assert [claimed.agent for claimed in outcome.jobs] == [("", "main")]
    assert outcome.info[""]["main"]["error"] is None
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE, ACTIVE]


def test_what_an_agent_claimed_before_it_failed_is_left_in_the_queue(active, put, client):
    poller = active(chooser=claim_and_raise)
    job = put(work.answer)
    assert poller.poll().jobs == []
    client.manager.begin()
    assert job.status == PENDING
    assert list(client.queue) == [job]


def claim_and_raise(agent):
    agent.queue.claim()
    raise ValueError("after the claim")


def test_what_ends_a_thread_is_raised_and_the_poller_can_be_used_again(active, put):
    poller = active(chooser=choose_and_raise)
    put(work.answer)
    errors.append(SystemExit())
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
    errors.append(ValueError("no keys"))
    outcome = unwilling.poll()
    assert (outcome.failed, outcome.again, outcome.info) == (True, None, {})
    (record,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert "poll failed" in record.getMessage()
    assert not unwilling.poll().failed


def test_a_poll_that_meets_a_conflict_before_it_reaches_a_queue_comes_again_soon(unwilling):
    errors.append(ConflictError())
    outcome = unwilling.poll()
    assert outcome.failed
    assert 0 < outcome.again <= polling.LONGEST_CONFLICT_BACKOFF


def test_a_database_out_of_reach_is_asked_ever_more_seldom(unwilling, caplog):
    waits = []
    for _try in range(62):
        errors.append(ZEO.Exceptions.ClientDisconnected("gone"))
        outcome = unwilling.poll()
        assert outcome.failed
        waits.append(outcome.again)
    assert waits == [*range(1, 61), 60, 60]
    assert "next try in 1 s: ZEO.Exceptions.ClientDisconnected: gone; see" in caplog.text
    assert unwilling.poll().again is None
    errors.append(ZEO.Exceptions.ClientDisconnected())
    assert unwilling.poll().again == 1
    # That has no text of its own.
    assert caplog.messages[-1] == (
        "poll: database out of reach, next try in 1 s: ZEO.Exceptions.ClientDisconnected; see "
        "whether its server runs, and whether it can be reached from here"
    )


class Unreachable:
    """A participant of a transaction whose storage is out of reach."""

    def tpc_begin(self, transaction):
        raise ZEO.Exceptions.ClientDisconnected("no commit")

    def abort(self, transaction):
        """Nothing was done."""

    tpc_abort = abort

    def sortKey(self):
        return ""


def choose_and_lose_the_database(agent):
    """A chooser that claims, and whose transaction cannot be committed."""
    job = agent.queue.claim()
    if job is not None:
        agent._p_jar.transaction_manager.get().join(Unreachable())
    return job


def test_a_claim_whose_commit_does_not_reach_the_database_hands_nothing_out(active, put, client):
    poller = active(chooser=choose_and_lose_the_database)
    job = put(work.answer)
    outcome = poller.poll()
    assert (outcome.jobs, outcome.again, outcome.failed) == ([], 1, True)
    assert outcome.done == set()
    client.manager.begin()
    assert job.status == PENDING


# -- lost jobs


def test_a_lost_job_is_handed_back_and_asks_its_policy(active, put, client):
    poller = active()
    job = put(work.answer)
    (claimed,) = poller.poll().jobs
    (resumed,) = poller.poll(lost=[(claimed.job_id, claimed.token)]).jobs
    assert resumed.agent == ("", SYSTEM)
    client.manager.begin()
    assert len(client.queue.dispatchers[poller.uuid]["main"]) == 0
    job.handleInterrupt()
    client.manager.commit()
    assert job.status == PENDING
    assert job.getRetryPolicy().data["interruptions"] == 1
    (again,) = poller.poll().jobs
    assert again.job_id == claimed.job_id
    assert again.token > claimed.token


def test_a_lost_job_that_has_a_new_token_is_somebody_s(active, put, client):
    poller = active()
    job = put(work.answer)
    (claimed,) = poller.poll().jobs
    outcome = poller.poll(lost=[(claimed.job_id, claimed.token - 1)])
    assert outcome.again is None
    client.manager.begin()
    assert list(client.queue.dispatchers[poller.uuid]["main"]) == [job]


def test_a_job_that_was_lost_in_its_callbacks_goes_on_with_them(active, put, client):
    poller = active()
    job = put(work.answer)
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    (claimed,) = poller.poll().jobs
    completed(client, job)
    assert job.status == CALLBACKS
    (resumed,) = poller.poll(lost=[(claimed.job_id, claimed.token)]).jobs
    client.manager.begin()
    client.connection.get(resumed.job_id[0]).callable()
    assert job.status == COMPLETED
    assert client.root["log"].entries == ((42,),)


# -- bookkeeping


def test_when_all_workers_are_idle_the_books_are_written(active, put, agents, client):
    poller = active()
    job = put(work.answer)
    poller.poll()
    completed(client, job)
    poller.poll()
    main = agents(poller)["main"]
    assert main.running.jobs == ()
    assert list(main.completed) == [job]


def test_while_workers_are_busy_the_books_wait(active, put, agents, client, database):
    poller = active()
    job = put(work.answer)
    poller.poll()
    completed(client, job)
    before = database.lastTransaction()
    poller.poll(busy={("", "main"): 1})
    assert database.lastTransaction() == before


def test_with_a_claim_the_books_are_written(active, put, agents, client):
    poller = active()
    job = put(work.answer)
    poller.poll()
    completed(client, job)
    put(work.answer)
    assert len(poller.poll(busy={("", "main"): 1}).jobs) == 1
    assert list(agents(poller)["main"].completed) == [job]


def test_when_a_place_in_a_quota_is_freed_the_books_are_written(active, put, agents, client):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    job = put(work.answer, quota_names=["one"])
    poller.poll()
    completed(client, job)
    poller.poll(busy={("", "main"): 1})
    assert list(agents(poller)["main"].completed) == [job]
    assert client.queue.quotas["one"].members.jobs == ()


def test_a_quota_that_was_removed_frees_no_place(active, put, client, database):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    job = put(work.answer, quota_names=["one"])
    poller.poll()
    client.manager.begin()
    client.queue.quotas.remove("one")
    client.manager.commit()
    completed(client, job)
    before = database.lastTransaction()
    poller.poll(busy={("", "main"): 1})
    assert database.lastTransaction() == before


def test_jobs_that_others_completed_come_into_the_history(active, put, agents, client):
    poller = active()
    jobs = [put(work.answer) for _ in range(2)]
    poller.poll()
    for job in jobs:
        completed(client, job)
    ids = {("", "main"): [key(jobs[0])], ("", SYSTEM): [key(jobs[1])], ("", "gone"): [key(jobs[0])]}
    agents(poller)["main"].running.jobs = ()
    client.manager.commit()
    poller.poll(busy={("", "main"): 1}, completed=ids)
    assert list(agents(poller)["main"].completed) == jobs[:1]
    assert list(agents(poller).system_agent.completed) == jobs[1:]


def test_the_history_of_another_queue_is_not_touched(active, put, agents, client):
    poller = active()
    job = put(work.answer)
    poller.poll(busy={("", "main"): 3}, completed={("other", "main"): [key(job)]})
    assert list(agents(poller)["main"].completed) == []


# -- what is watched


def changed_by(database, call):
    """The oids that are written by what `call` commits."""
    oids = []
    listener = polling.Listener(lambda: None)
    listener.heard = lambda heard, committer=None: oids.extend(heard)
    assert zc.async_.dispatcher.wakeup.listen(database, listener)
    call()
    zc.async_.dispatcher.wakeup.forget(database, listener)
    return set(oids)


@pytest.fixture
def watched(active, database):
    """The oids that are watched by a poller that polls now."""
    poller = active()

    def watched():
        outcome = poller.poll()
        assert list(outcome.watched) == [database]
        return outcome.watched[database]

    watched.uuid = poller.uuid
    return watched


@pytest.mark.parametrize("count", [1, 80], ids=["few lanes", "a grown tree of lanes"])
def test_the_first_job_of_every_connection_is_noticed(watched, connect, database, count):
    # No warnings of so many open connections.
    database.setPoolSize(2 * count)
    others = [connect() for _ in range(count)]
    for other in others[:-1]:
        other.manager.begin()
        other.queue.put(work.answer)
        other.manager.commit()
    oids = watched()
    others[-1].manager.begin()
    others[-1].queue.put(work.answer)
    assert changed_by(database, others[-1].manager.commit) & oids


def test_every_job_after_it_is_noticed(watched, put, database):
    put(work.answer)
    for _ in range(40):
        oids = watched()
        assert changed_by(database, lambda: put(work.answer)) & oids


CHANGES = {
    "an agent grows": lambda queue, agents: setattr(agents["main"], "size", 5),
    "an agent gets a filter": lambda queue, agents: setattr(agents["main"], "filter", refuse),
    "an agent is added": lambda queue, agents: agents.__setitem__("new", Agent()),
    "a closed quota is opened": lambda queue, agents: setattr(queue.quotas["none"], "size", 5),
    "a closed quota is removed": lambda queue, agents: queue.quotas.remove("none"),
    "a full quota grows": lambda queue, agents: setattr(queue.quotas["one"], "size", 5),
    "a full quota is removed": lambda queue, agents: queue.quotas.remove("one"),
    "a place is freed": lambda queue, agents: setattr(queue.quotas["one"].members, "jobs", ()),
    "the dispatcher is buried": lambda queue, agents: agents.deactivate(),
    "a waiting job is edited": lambda queue, agents: setattr(queue[0], "priority", 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_may_let_a_job_start_is_noticed(watched, client, put, database, change):
    client.queue.quotas.create("one", 1)
    client.queue.quotas.create("none", 0)
    client.manager.commit()
    for name in ("one", "one", "none"):
        put(work.answer, quota_names=[name])
    oids = watched()
    client.manager.begin()
    CHANGES[change](client.queue, client.queue.dispatchers[watched.uuid])
    assert changed_by(database, client.manager.commit) & oids


def test_of_many_quotas_only_full_ones_are_watched_for_which_jobs_wait(active, client, database):
    poller = active(size=60)
    for number in range(100):
        client.queue.quotas.create(f"quota {number}", number % 2)
        client.queue.put(work.answer).quota_names = [f"quota {number}"]
    client.queue.put(work.answer).quota_names = ["quota 1"]
    client.manager.commit()
    outcome = poller.poll()
    assert len(outcome.jobs) == 50
    watched = [client.connection.get(oid) for oid in outcome.watched[database]]
    full = client.queue.quotas["quota 1"]
    assert [record for record in watched if isinstance(record, Quota)] == [full]
    assert [record for record in watched if isinstance(record, Members)] == [full.members]


def test_pings_of_siblings_are_not_noticed(watched, make_poller, database):
    sibling = make_poller()
    sibling.poll()
    oids = watched()
    later(seconds=31)
    assert not changed_by(database, sibling.poll) & oids


def test_the_poller_s_own_commits_wake_nobody(active, put, database, client):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    zc.async_.dispatcher.wakeup.listen(database, poller.listener)
    poller.listener.oids = frozenset(poller.poll().watched[database])
    client.queue.put(work.answer).quota_names = ["one"]
    put(work.answer, quota_names=["one"])
    assert len(poller.woken) == 1
    outcome = poller.poll()
    assert len(outcome.jobs) == 1
    assert len(poller.woken) == 1
    # The next claim takes a place, which is written in a record that is watched since then.
    poller.listener.oids = frozenset(outcome.watched[database])
    assert client.queue.quotas["one"].members._p_oid in poller.listener.oids
    client.manager.begin()
    client.connection.get(outcome.jobs[0].job_id[0]).end_with(42)
    client.manager.commit()
    before = database.lastTransaction()
    assert len(poller.poll().jobs) == 1
    assert database.lastTransaction() != before
    assert len(poller.woken) == 1
    zc.async_.dispatcher.wakeup.forget(database, poller.listener)


def test_nor_do_they_in_another_database(two_databases, make_poller, connect):
    # First of all: this one takes the connection that knows the other database already.
    client = connect(two_databases["content"])
    poller = make_poller(other=two_databases["content"])
    watched = poller.poll().watched
    client.manager.begin()
    assert list(watched) == [two_databases["async"]]
    zc.async_.dispatcher.wakeup.listen(two_databases["async"], poller.listener)
    poller.listener.oids = frozenset([client.queue.dispatchers[poller.uuid].last_ping._p_oid])
    later(seconds=31)
    before = two_databases["async"].lastTransaction()
    poller.poll()
    assert two_databases["async"].lastTransaction() != before
    assert poller.woken == []
    zc.async_.dispatcher.wakeup.forget(two_databases["async"], poller.listener)


# -- leaving


def test_leaving_hands_back_unstarted_jobs_unasked_and_interrupts_the_others(
    active, put, client, agents
):
    poller = active()
    unstarted, started = put(work.answer), put(work.answer)
    claimed = poller.poll().jobs
    poller.poller.deactivate([(claimed[0].job_id, claimed[0].token)])
    assert agents(poller).activated is None
    assert unstarted.status == PENDING
    assert "interruptions" not in unstarted.getRetryPolicy().data
    assert started.status == ACTIVE
    assert [job.callable for job in client.queue] == [unstarted.callable, started.handleInterrupt]


def test_leaving_twice_or_after_a_burial_does_nothing(active, agents, client, database):
    poller = active()
    agents(poller).deactivate()
    client.manager.commit()
    before = database.lastTransaction()
    poller.poller.deactivate([])
    poller.poller.deactivate([])
    assert database.lastTransaction() == before


def test_a_dispatcher_that_was_unregistered_can_leave(active, agents, client):
    poller = active()
    agents(poller).deactivate()
    client.queue.dispatchers.unregister(poller.uuid)
    client.manager.commit()
    poller.poller.deactivate([])


def test_who_cannot_leave_says_so(active, agents, caplog):
    @zope.component.adapter(IDispatcherDeactivated)
    def refuse_to_go(event):
        event.object.cannot_be_stored = threading.Lock()

    poller = active()
    zope.component.provideHandler(refuse_to_go)
    poller.poller.deactivate([])
    assert "could not deactivate; a sibling, or the next start, will clean up" in caplog.text
    assert agents(poller).activated


@pytest.fixture
def disturb(client, active):
    """Has another party change the dispatcher's record so many times while it leaves."""

    def disturb(poller, times):
        def change():
            client.manager.begin()
            client.queue.dispatchers[poller.uuid]._p_changed = True
            client.manager.commit()

        @zope.component.adapter(IDispatcherDeactivated)
        def call_hook(event):
            work.call_hook()

        work.hooks.extend([change] * times)
        zope.component.provideHandler(call_hook)

    return disturb


def test_a_conflict_while_leaving_is_tried_over(active, agents, disturb, caplog):
    poller = active()
    disturb(poller, TRIES_TO_LEAVE - 1)
    poller.poller.deactivate([])
    assert agents(poller).activated is None
    assert work.hooks == []
    assert "could not deactivate" not in caplog.text


def test_who_meets_conflicts_only_leaves_it_to_a_sibling(active, agents, disturb, caplog):
    poller = active()
    disturb(poller, TRIES_TO_LEAVE + 1)
    poller.poller.deactivate([])
    assert agents(poller).activated
    assert len(work.hooks) == 1
    assert "could not deactivate" in caplog.text


def test_what_ends_a_thread_is_not_swallowed_while_leaving(active):
    @zope.component.adapter(IDispatcherDeactivated)
    def leave(event):
        raise KeyboardInterrupt

    poller = active()
    zope.component.provideHandler(leave)
    with pytest.raises(KeyboardInterrupt):
        poller.poller.deactivate([])


def test_a_poller_keeps_its_connection_apart_from_those_of_the_thread(active, put):
    poller = active()
    transaction.begin()
    present = transaction.get()
    put(work.answer)
    assert len(poller.poll().jobs) == 1
    assert transaction.get() is present


# -- jobs that somebody else got


def test_a_poll_tells_of_held_jobs_that_are_not_its_own_any_more(active, client, put):
    poller = active()
    done, taken, running = [put(work.answer) for _number in range(3)]
    assert len(poller.poll().jobs) == 3
    completed(client, done)
    # Its books are kept: no agent has it any more.
    poller.poll()
    client.manager.begin()
    held = [(key(job), job.claim_token) for job in (done, taken, running)]
    taken.queue.putBack(taken)
    client.queue.claim()
    client.manager.commit()
    packed = (b"\0" * 7 + b"\xff", "unnamed"), 1
    outcome = poller.poll(held_of={"": [*held, packed]})
    assert outcome.reassigned == {held[1], packed}
    assert poller.poll(held_of={"another": [*held, packed]}).reassigned == set()
