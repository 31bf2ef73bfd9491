"""Handlers of an application that raise when a dispatcher begins or ends."""

import uuid

import pytest
import zope.component
import zope.event
from ZODB.POSException import ConflictError

from tests.dispatcher import work
from zc.async_.agent import Agent
from zc.async_.agent.notifying import name_of, notify
from zc.async_.interfaces import (
    DispatcherActivated,
    IDispatcherActivated,
    IDispatcherAgents,
    IDispatcherDeactivated,
    IDispatcherReactivated,
)
from zc.async_.queue import Queue


@pytest.fixture
def troubles():
    """What the handlers are to raise: an exception for each call."""
    return []


@pytest.fixture
def handle(troubles):
    """Registers a handler that makes a quota named after its event, and then may raise."""

    def handle(interface):
        @zope.component.adapter(interface)
        def make_quota(event):
            name = interface.__name__
            if name not in event.object.parent.quotas:
                event.object.parent.quotas.create(name)
            if troubles:
                raise troubles.pop(0)

        zope.component.provideHandler(make_quota)

    return handle


@pytest.fixture
def quotas(client):
    def quotas():
        client.manager.begin()
        return list(client.queue.quotas)

    return quotas


@pytest.fixture
def activated(make_dispatcher, install_agent, reactor):
    """A dispatcher that has been activated, and gets an agent if nothing else does."""

    def activated():
        install_agent()
        dispatcher = make_dispatcher()
        dispatcher.activate()
        reactor.time_flies(0)
        return dispatcher

    return activated


def test_a_handler_makes_a_quota_in_the_queue_of_the_dispatcher(
    activated, handle, put, completed, quotas, errors_told
):
    handle(IDispatcherActivated)
    activated()
    assert quotas() == ["IDispatcherActivated"]
    completed(put(work.answer, quota_names=["IDispatcherActivated"]))
    assert not errors_told()


def test_a_handler_that_raises_is_told_of_and_the_dispatcher_works(
    activated, handle, troubles, put, completed, quotas, errors_told
):
    handle(IDispatcherActivated)
    troubles += [ZeroDivisionError("of a handler")] * 3
    activated()
    # Those after it were heard: there is an agent. What it did is undone.
    completed(put(work.answer))
    assert quotas() == []
    assert f"handler {__name__}.handle.<locals>.handle.<locals>.make_quota" in errors_told()
    assert "of DispatcherActivated raised" in errors_told()
    assert "ZeroDivisionError: of a handler" in errors_told()


def test_it_is_called_again_later_and_later_until_all_is_well(
    activated, handle, troubles, reactor, quotas, errors_told
):
    handle(IDispatcherActivated)
    troubles += [ZeroDivisionError("of a handler")] * 3
    activated()
    counts = []
    for _seconds in range(60):
        counts.append(errors_told().count("raised"))
        reactor.time_flies(1)
    # After 5, 15 and 35 seconds or at the polls after these, and never again.
    assert counts[0], counts[12] == (1, 2)
    assert counts[-1] == 3
    assert not troubles
    assert quotas() == ["IDispatcherActivated"]


def test_no_other_queue_waits_for_a_handler(activated, client, reactor, completed):
    client.connection.root()["zc.async"]["other"] = Queue()
    client.manager.commit()

    calls = []

    @zope.component.adapter(IDispatcherActivated)
    def raise_in_first(event):
        if event.object.queue.name == "":
            calls.append(event)
            raise ConflictError("each time")

    zope.component.provideHandler(raise_in_first)
    activated()
    job = client.connection.root()["zc.async"]["other"].put(work.answer)
    client.manager.commit()
    reactor.time_flies(5)
    completed(job)
    assert job.result == 42
    # Ten waits of up to 3 ms, 6 ms and so on, and then of up to 3 s.
    assert 5 < len(calls) < 60


def test_a_handler_of_the_end_that_raises_does_not_keep_a_dispatcher_from_leaving(
    activated, client, handle, troubles, reactor, agents_of, errors_told
):
    handle(IDispatcherDeactivated)
    troubles.append(ZeroDivisionError("of a handler"))
    dispatcher = activated()
    dispatcher.deactivate()
    reactor.time_flies(0)
    client.manager.begin()
    assert not agents_of(dispatcher).activated
    assert "of DispatcherDeactivated raised" in errors_told()


def test_nor_does_it_keep_others_from_deactivating_it(client, handle, troubles, errors_told):
    handle(IDispatcherDeactivated)
    troubles.append(ZeroDivisionError("of a handler"))
    dead = uuid.uuid4()
    client.queue.dispatchers.register(dead)
    client.queue.dispatchers[dead].activate()
    client.manager.commit()
    client.queue.dispatchers[dead].deactivate()
    client.manager.commit()
    assert not client.queue.dispatchers[dead].activated
    assert "of DispatcherDeactivated raised" in errors_told()


def test_a_handler_of_coming_back_that_raises_does_not_keep_a_dispatcher_from_it(
    client, handle, troubles, errors_told
):
    handle(IDispatcherReactivated)
    troubles.append(ZeroDivisionError("of a handler"))
    identity = uuid.uuid4()
    client.queue.dispatchers.register(identity)
    assert client.queue.dispatchers.ping(identity)
    client.manager.commit()
    assert client.queue.dispatchers[identity].activated
    assert "of DispatcherReactivated raised" in errors_told()


class Installer:
    """Gives a dispatcher an agent, as an application's own installer."""

    def __call__(self, event):
        event.object["own"] = Agent()
        raise ZeroDivisionError("of an installer")


def raise_for_object(agents, event):
    agents["of object"] = Agent()
    raise ZeroDivisionError("of a handler for an object")


@pytest.fixture
def agents(client):
    identity = uuid.uuid4()
    client.queue.dispatchers.register(identity)
    client.manager.commit()
    return client.queue.dispatchers[identity]


def test_a_subscriber_of_all_events_is_a_handler_too(agents, errors_told):
    installer = Installer()
    zope.event.subscribers.append(installer)
    try:
        assert notify(DispatcherActivated(agents)) == [installer]
    finally:
        zope.event.subscribers.remove(installer)
    assert "own" not in agents
    assert f"handler {__name__}.Installer of" in errors_told()


def test_so_is_one_for_an_object_and_an_event(agents, errors_told):
    zope.component.provideHandler(zope.component.event.objectEventNotify)
    zope.component.provideHandler(raise_for_object, (IDispatcherAgents, IDispatcherActivated))
    assert [name_of(handler) for handler in notify(DispatcherActivated(agents))] == [
        f"{__name__}.raise_for_object"
    ]
    assert "of object" not in agents
    assert f"handler {__name__}.raise_for_object of" in errors_told()
