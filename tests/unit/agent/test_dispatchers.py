"""The persistent side of dispatchers."""

import datetime
import uuid

import pytest
import zope.component.event  # (dispatches events to registered handlers)
import zope.event
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_ import interfaces
from zc.async_.agent import Agent
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    AbortedError,
    BadStatusError,
)
from zc.async_.job import Job
from zc.async_.running.retry import NeverRetry


@pytest.fixture
def events():
    """The events that are fired, as pairs of name and object."""
    fired = []

    def note(event):
        fired.append((type(event).__name__, event.object))

    zope.event.subscribers.append(note)
    yield fired
    zope.event.subscribers.remove(note)


@pytest.fixture
def dispatchers(queue, uuid_1):
    queue.dispatchers.register(uuid_1)
    return queue.dispatchers


@pytest.fixture
def agents(dispatchers, uuid_1):
    """The agents of an active dispatcher: of one agent named 'main'."""
    agents = dispatchers[uuid_1]
    agents.activate()
    agents["main"] = Agent()
    return agents


# -- the mapping of dispatchers


def test_dispatchers_are_a_mapping_by_uuid(dispatchers, uuid_1, uuid_2):
    agents = dispatchers[uuid_1]
    assert dispatchers.keys() == list(dispatchers) == [uuid_1]
    assert dispatchers.values() == [agents]
    assert dispatchers.items() == [(uuid_1, agents)]
    assert dispatchers.get(uuid_1) is agents
    assert dispatchers.get(uuid_2) is None
    assert dispatchers.get(uuid_2, 5) == 5
    assert uuid_1 in dispatchers
    assert uuid_2 not in dispatchers
    assert "no UUID" not in dispatchers
    assert len(dispatchers) == 1
    assert dispatchers
    with pytest.raises(KeyError) as raised:
        dispatchers[uuid_2]
    assert raised.value.args == (uuid_2,)


def test_a_registered_dispatcher_knows_where_it_is(queue, dispatchers, uuid_1):
    agents = dispatchers[uuid_1]
    assert dispatchers[agents.UUID] is agents
    assert agents.parent is queue
    assert agents.queue is queue
    assert dispatchers.parent is queue
    assert not agents.activated
    assert not agents.dead
    assert agents.last_ping.value is None
    assert agents.ping_interval == datetime.timedelta(seconds=30)
    assert agents.ping_death_interval == datetime.timedelta(seconds=60)


def test_a_record_of_an_older_version_knows_where_it_is(client, dispatchers, uuid_1, other):
    agents = dispatchers[uuid_1]
    client.commit()
    # As the parent was stored before.
    del agents.registry
    agents.__dict__["parent"] = dispatchers
    agents._p_changed = True
    client.commit()
    other.begin()
    found = other.queue.dispatchers[uuid_1]
    assert found.parent is found.queue is other.queue
    assert other.queue.dispatchers.unregister(uuid_1).parent is None


def test_registering_fires_an_event_and_is_done_once(queue, uuid_1, events):
    queue.dispatchers.register(uuid_1)
    assert events == [("DispatcherRegistered", queue.dispatchers[uuid_1])]
    with pytest.raises(ValueError, match="registered already"):
        queue.dispatchers.register(uuid_1)
    assert len(events) == 1


def test_the_uuid_utility_of_a_subclass_is_kept_as_a_plain_uuid(queue):
    class Special(uuid.UUID):
        pass

    queue.dispatchers.register(Special(int=5))
    assert type(queue.dispatchers[uuid.UUID(int=5)].UUID) is uuid.UUID


def test_unregistering_gives_the_agents_and_fires_an_event(dispatchers, uuid_1, events):
    agents = dispatchers[uuid_1]
    assert dispatchers.unregister(uuid_1) is agents
    assert agents.parent is None
    assert uuid_1 not in dispatchers
    assert events == [("DispatcherUnregistered", agents)]
    with pytest.raises(KeyError):
        dispatchers.unregister(uuid_1)


def test_the_event_of_unregistering_tells_where_the_agents_were(dispatchers, uuid_1):
    seen = []
    zope.event.subscribers.append(seen.append)
    try:
        dispatchers.unregister(uuid_1)
    finally:
        zope.event.subscribers.remove(seen.append)
    assert seen[0].parent is dispatchers


def test_an_active_dispatcher_cannot_be_unregistered(dispatchers, agents, uuid_1):
    with pytest.raises(ValueError, match="is activated"):
        dispatchers.unregister(uuid_1)
    agents.deactivate()
    dispatchers.unregister(uuid_1)
    dispatchers.register(uuid_1)
    assert "main" not in dispatchers[uuid_1]


# -- the mapping of agents


def test_agents_know_where_they_are(queue, agents):
    agent = agents["main"]
    assert agent.name == "main"
    assert agent.parent is agents
    assert agent.queue is queue
    assert list(agents.keys()) == ["main"]
    del agents["main"]
    assert agent.parent is None
    # Jobs that it had may wait for others, and need the queue.
    assert agent.queue is queue
    assert list(agents) == []


def test_an_agent_that_runs_jobs_cannot_be_removed(client, agents):
    client.put(calls.nothing)
    agents["main"].claimJob()
    with pytest.raises(ValueError, match="set its size to 0"):
        del agents["main"]
    assert "main" in agents


def test_an_agent_that_is_gone_cannot_be_removed(agents):
    with pytest.raises(KeyError):
        del agents["other"]


# -- activation


def test_activation_notes_the_time_and_fires_an_event(dispatchers, uuid_1, clock, events):
    agents = dispatchers[uuid_1]
    agents.activate()
    assert agents.activated == agents.last_ping.value == clock.now
    assert not agents.dead
    assert events == [("DispatcherActivated", agents)]
    with pytest.raises(ValueError, match="activated in this queue already"):
        agents.activate()


def test_deactivation_fires_an_event(agents, events):
    agents.deactivate()
    assert not agents.activated
    assert events == [("DispatcherDeactivated", agents)]
    with pytest.raises(ValueError, match="not activated"):
        agents.deactivate()


def test_reactivation_fires_an_event_of_its_own(agents, clock, events):
    agents.deactivate()
    clock.advance(minutes=5)
    agents.reactivate()
    assert agents.activated == agents.last_ping.value == clock.now
    assert [name for name, _object in events] == ["DispatcherDeactivated", "DispatcherReactivated"]


def test_a_job_that_is_only_assigned_goes_back_unasked(client, agents):
    client.put(calls.nothing)
    job = client.put(calls.nothing, retry_policy_factory=NeverRetry)
    job.priority = 1
    assert agents["main"].claimJob() is job
    agents.deactivate()
    assert job.status == PENDING
    assert client.queue[0] is job
    assert len(agents["main"]) == 0


def test_a_job_that_was_active_is_interrupted_by_whoever_works_next(client, agents, uuid_2):
    job = client.put(calls.nothing)
    calls.claim_active(agents["main"])
    agents.deactivate()
    client.commit()
    assert job.status == ACTIVE
    assert agents["main"].running.jobs == ()
    sibling = client.agent(uuid_2, size=0)
    interruption = calls.run_next(sibling.parent.system_agent)
    assert interruption.callable == job.handleInterrupt
    assert job.status == PENDING
    assert client.queue[0] is job
    assert job.kept_policy.data["interruptions"] == 1


def test_an_interrupted_job_that_is_not_to_be_retried_fails(client, agents, uuid_2):
    job = client.put(calls.nothing, retry_policy_factory=NeverRetry)
    calls.claim_active(agents["main"])
    agents.deactivate()
    client.commit()
    calls.run_all(client.agent(uuid_2))
    assert job.status == COMPLETED
    assert job.result.check(AbortedError)


def test_callbacks_that_were_not_performed_are_resumed(client, agents, clock, uuid_2, happened):
    job = client.put(calls.nothing)
    job.addCallback(calls.happen)
    agents["main"].claimJob().activate_at(clock.time)
    job.end_with(42)
    client.commit()
    assert job.status == CALLBACKS
    agents.deactivate()
    client.commit()
    calls.run_all(client.agent(uuid_2, size=0))
    assert job.status == COMPLETED
    assert happened == [(42,)]


def test_a_waiting_job_is_not_interrupted(client, agents, uuid_2):
    inner = client.add("inner", Job(calls.add, 1, 2))
    outer = client.put(Job(calls.identity, inner))
    calls.run_next(agents["main"])
    assert outer.status == ACTIVE
    agents.deactivate()
    client.commit()
    assert calls.run_all(client.agent(uuid_2)) == []
    inner()
    assert outer.result == 3


def test_completed_jobs_go_to_the_history_when_the_dispatcher_stops(client, agents):
    job = client.put(calls.nothing)
    calls.run_next(agents["main"])
    agents.deactivate()
    assert list(agents["main"].completed) == [job]
    assert len(client.queue) == 0


def test_activation_cleans_up_what_an_earlier_activation_left(client, agents):
    job = client.put(calls.nothing)
    agents["main"].claimJob()
    # A claim that raced with the deactivation.
    agents.activated = None
    agents.activate()
    assert job.status == PENDING
    assert len(agents["main"]) == 0


def test_interruptions_of_two_dispatchers_at_the_same_time_do_not_conflict(
    client, connect, uuid_1, uuid_2, clock
):
    clients = [client, connect()]
    for each, identity in zip(clients, (uuid_1, uuid_2), strict=True):
        each.agent(identity)
        each.put(calls.nothing)
        each.queue.dispatchers[identity]["main"].claimJob().activate_at(clock.time)
        each.commit()
    for each in clients:
        each.begin()
    for each, identity in zip(clients, (uuid_1, uuid_2), strict=True):
        each.queue.dispatchers[identity].deactivate()
    for each in clients:
        each.commit()
    client.begin()
    assert len(client.queue) == 2


# -- pings


def test_a_ping_is_written_once_an_interval(dispatchers, agents, uuid_1, clock):
    start = clock.now
    clock.advance(seconds=29)
    dispatchers.ping(uuid_1)
    assert agents.last_ping.value == start
    clock.advance(seconds=1)
    dispatchers.ping(uuid_1)
    assert agents.last_ping.value == clock.now


def test_a_ping_of_a_stranger_is_a_key_error(dispatchers):
    with pytest.raises(KeyError):
        dispatchers.ping(uuid.UUID(int=99))


def test_pings_do_not_write_the_record_that_claims_read(client, agents, uuid_1, clock):
    client.commit()
    clock.advance(minutes=1)
    client.queue.dispatchers.ping(uuid_1)
    assert client.connection._registered_objects == [agents.last_ping]


def test_a_dispatcher_without_pings_is_dead(agents, clock):
    assert not agents.dead
    clock.watch(lambda: agents.dead, 60)
    assert not agents.dead
    clock.advance(microseconds=1)
    assert agents.dead
    agents.ping_death_interval = datetime.timedelta(hours=1)
    assert not agents.dead


def test_an_activation_counts_as_a_ping(dispatchers, uuid_1, clock):
    agents = dispatchers[uuid_1]
    agents.activated = clock.now
    assert not agents.dead
    clock.watch(lambda: agents.dead)
    assert agents.dead


def test_a_sibling_buries_the_dead(client, agents, uuid_2, clock, events, caplog):
    job = client.put(calls.nothing)
    agents["main"].claimJob()
    client.commit()
    sibling = client.agent(uuid_2).parent
    events.clear()
    clock.watch(lambda: client.queue.dispatchers.ping(uuid_2), 50)
    assert agents.activated
    clock.watch(lambda: client.queue.dispatchers.ping(uuid_2), 12)
    assert not agents.activated
    assert sibling.activated
    assert events == [("DispatcherDeactivated", agents)]
    assert caplog.text == ""
    client.commit()
    assert str(agents.UUID) in caplog.text
    assert job.status == PENDING


def test_a_dispatcher_that_was_taken_for_dead_is_reactivated(
    client, dispatchers, agents, uuid_1, clock, events, caplog
):
    agents.deactivate()
    clock.advance(minutes=5)
    dispatchers.ping(uuid_1)
    client.commit()
    assert agents.activated == agents.last_ping.value == clock.now
    assert [name for name, _object in events][-1] == "DispatcherReactivated"
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_two_siblings_that_bury_the_same_dispatcher_conflict(
    client, connect, agents, uuid_2, clock
):
    client.put(calls.nothing)
    agents["main"].claimJob()
    client.commit()
    client.agent(uuid_2)
    others = [client, connect()]
    others[1].agent(uuid.UUID(int=3))
    clock.watch(lambda: agents.dead, 90)
    for each in others:
        each.begin()
    client.queue.dispatchers.ping(uuid_2)
    others[1].queue.dispatchers.ping(uuid.UUID(int=3))
    client.commit()
    with pytest.raises(ConflictError):
        others[1].commit()
    others[1].abort()
    others[1].begin()
    assert len(others[1].queue) == 1


def test_the_events_are_heard_by_registered_handlers(queue, uuid_1):
    seen = []

    @zope.component.adapter(interfaces.IDispatcherRegistered)
    def note(event):
        seen.append(event.object.UUID)

    zope.component.provideHandler(note)
    queue.dispatchers.register(uuid_1)
    assert seen == [uuid_1]


def test_a_job_is_put_back_only_while_somebody_has_it(client, agents):
    job = client.put(calls.nothing)
    assert agents["main"].claimJob() is job
    assert job.status == ASSIGNED
    client.queue.putBack(job)
    with pytest.raises(BadStatusError):
        client.queue.putBack(job)
    assert job.status != NEW
