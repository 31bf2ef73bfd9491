"""Everything that says it implements an interface does."""

import uuid

import pytest
import zope.interface
from twisted.internet.selectreactor import SelectReactor
from zope.interface.interfaces import IObjectEvent
from zope.interface.verify import verifyClass, verifyObject

from tests.unit import calls
from zc.async_ import interfaces
from zc.async_.agent import Agent, DispatcherAgents, Dispatchers, SystemAgent
from zc.async_.agent.history import Completed
from zc.async_.dispatcher import Dispatcher
from zc.async_.job import Job
from zc.async_.job.proxies import CallbackProxy, ConditionalCallbackProxy
from zc.async_.process import instanceuuid
from zc.async_.queue import Queue, Queues
from zc.async_.queue.quota import Quota, Quotas
from zc.async_.running.retry import NeverRetry, RetryCommonForever, RetryCommonFourTimes

IMPLEMENTERS = [
    (interfaces.IAgent, Agent, Agent),
    (interfaces.IAgent, SystemAgent, SystemAgent),
    (interfaces.ICallbackProxy, CallbackProxy, CallbackProxy),
    (interfaces.ICallbackProxy, ConditionalCallbackProxy, ConditionalCallbackProxy),
    (interfaces.ICompletedCollection, Completed, Completed),
    (interfaces.IDispatcherAgents, DispatcherAgents, lambda: _dispatcher_agents()),
    (interfaces.IDispatchers, Dispatchers, Dispatchers),
    (interfaces.IJob, Job, lambda: Job(calls.nothing)),
    (interfaces.IQueue, Queue, Queue),
    (interfaces.IQueues, Queues, Queues),
    (interfaces.IQuota, Quota, lambda: Quota("name")),
    (interfaces.IQuotas, Quotas, Quotas),
    (interfaces.ISizedSequence, Agent, Agent),
    (interfaces.ISizedSequence, Quota, lambda: Quota("name")),
    (interfaces.IRetryPolicy, NeverRetry, lambda: NeverRetry(Job(calls.nothing))),
    (interfaces.IRetryPolicy, RetryCommonForever, lambda: RetryCommonForever(Job(calls.nothing))),
    (
        interfaces.IRetryPolicy,
        RetryCommonFourTimes,
        lambda: RetryCommonFourTimes(Job(calls.nothing)),
    ),
    (interfaces.IRetryPolicy, calls.Policy, lambda: calls.Policy(Job(calls.nothing))),
]

EVENTS = [
    (interfaces.IDispatcherActivated, interfaces.DispatcherActivated),
    (interfaces.IDispatcherDeactivated, interfaces.DispatcherDeactivated),
    (interfaces.IDispatcherReactivated, interfaces.DispatcherReactivated),
    (interfaces.IDispatcherRegistered, interfaces.DispatcherRegistered),
    (interfaces.IDispatcherUnregistered, interfaces.DispatcherUnregistered),
    (interfaces.IObjectAdded, interfaces.ObjectAdded),
]


def _dispatcher_agents():
    dispatchers = Queue().dispatchers
    dispatchers.register(uuid.UUID(int=1))
    return dispatchers[uuid.UUID(int=1)]


def _ids(rows):
    return [f"{row[1].__name__} as {row[0].__name__}" for row in rows]


@pytest.mark.parametrize(("interface", "class_", "make"), IMPLEMENTERS, ids=_ids(IMPLEMENTERS))
def test_an_implementer_has_what_the_interface_says(interface, class_, make):
    assert verifyClass(interface, class_)
    assert verifyObject(interface, make())


@pytest.mark.parametrize(("interface", "class_"), EVENTS, ids=_ids(EVENTS))
def test_an_event_has_what_its_interface_says(interface, class_):
    event = class_("the object")
    assert verifyObject(interface, event)
    assert verifyObject(IObjectEvent, event)
    assert event.object == "the object"


def test_the_events_of_installers_tell_where_something_was_added():
    event = interfaces.ObjectAdded("the object", "the container", "the name")
    assert (event.container, event.name) == ("the container", "the name")
    assert event.parent == "the container"


def test_an_agent_without_a_chooser_has_what_the_interface_of_filters_says():
    assert verifyObject(interfaces.IFilterAgent, Agent())


def test_a_dispatcher_has_what_the_interface_says(db):
    from zc.async_.dispatcher import pop

    dispatcher = Dispatcher(db, SelectReactor(), uuid=uuid.UUID(int=77))
    try:
        assert verifyClass(interfaces.IDispatcher, Dispatcher)
        assert verifyObject(interfaces.IDispatcher, dispatcher)
    finally:
        pop(uuid.UUID(int=77))


def test_the_reactors_of_twisted_have_what_a_dispatcher_asks_for():
    assert verifyObject(interfaces.IReactor, SelectReactor(), tentative=True)


def test_the_identity_of_the_instance_is_a_uuid():
    assert verifyObject(interfaces.IUUID, instanceuuid.UUID)


def test_every_error_has_the_one_root_and_its_usual_base():
    for error, base in [
        (interfaces.BadStatusError, ValueError),
        (interfaces.FullError, Exception),
        (interfaces.MissingCallableError, LookupError),
        (interfaces.TimeoutError, Exception),
        (interfaces.AbortedError, Exception),
        (interfaces.ReassignedError, Exception),
    ]:
        assert issubclass(error, interfaces.AsyncError)
        assert issubclass(error, base)


@pytest.mark.parametrize(
    ("name", "value", "title"),
    [
        ("NEW", "new-status", "New"),
        ("PENDING", "pending-status", "Pending"),
        ("ASSIGNED", "assigned-status", "Assigned"),
        ("ACTIVE", "active-status", "Active"),
        ("CALLBACKS", "callback-status", "Performing Callbacks"),
        ("COMPLETED", "completed-status", "Completed"),
    ],
)
def test_a_status_is_a_message_of_the_package_with_a_title(name, value, title):
    status = getattr(interfaces, name)
    assert status == value
    assert (status.domain, status.default) == ("zc.async", title)


def test_every_public_name_is_there():
    for name in interfaces.__all__:
        assert hasattr(interfaces, name)


def test_every_interface_of_the_contract_is_verified_here_or_is_a_part_of_one_that_is():
    verified = {row[0] for row in IMPLEMENTERS} | {row[0] for row in EVENTS}
    verified |= {interfaces.IDispatcher, interfaces.IReactor, interfaces.IUUID}
    verified.add(interfaces.IFilterAgent)
    verified |= {base for interface in verified for base in interface.__iro__}
    defined = {
        value
        for value in vars(interfaces).values()
        if isinstance(value, zope.interface.interface.InterfaceClass)
        and value.__module__ == interfaces.__name__
    }
    assert defined <= verified
