"""A dispatcher's place in the queues: it becomes active, shows that it lives, and leaves."""

import logging
import threading

import pytest
import zope.component
from BTrees.OOBTree import OOBTree
from ZODB.POSException import ConflictError
from ZODB.utils import u64

import zc.async_.clock
from tests.dispatcher import work
from tests.dispatcher.looking import nothing_written
from tests.dispatcher.polls import key, later
from tests.races import parties
from zc.async_.dispatcher.membership import TRIES_TO_LEAVE
from zc.async_.dispatcher.plans import SYSTEM
from zc.async_.interfaces import ACTIVE, KEY, PENDING, IDispatcherDeactivated
from zc.async_.process import liveness
from zc.async_.queue import Queue, disused
from zc.async_.queue.lane import Lane
from zc.async_.queue.lanes import Lanes
from zc.async_.testing import BEGINNING

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")


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


def test_pings_are_written_once_in_their_interval(active, database, agents):
    poller = active()
    later(seconds=31)
    poller.poll()
    assert agents(poller).last_ping.value == zc.async_.clock.now()
    with nothing_written(database):
        later(seconds=29)
        poller.poll()


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
    assert [claimed.agent for claimed in poller.poll_all()] == [("", SYSTEM)]
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
    with nothing_written(database):
        poller.poller.deactivate([])
        poller.poller.deactivate([])


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
