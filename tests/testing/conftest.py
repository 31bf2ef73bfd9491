"""Dispatchers, on a virtual reactor and on a real one."""

import types

import pytest
import transaction
import zope.component

import zc.async_.agent
import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
from tests.testing import work
from zc.async_.interfaces import KEY, DatabaseOpened


@pytest.fixture(autouse=True)
def gate():
    """The gate of `work`, closed; it is opened in the end."""
    work.gate.clear()
    yield work.gate
    work.gate.set()


@pytest.fixture
def queue(db):
    """The queue of a database, seen by a connection of this thread."""
    zc.async_.configure.base()
    zc.async_.subscribers.queue_installer(DatabaseOpened(db))
    zope.component.provideHandler(zc.async_.agent.addMainAgentActivationHandler)
    connection = db.open()
    yield connection.root()[KEY][""]
    transaction.abort()
    connection.close()


@pytest.fixture
def on_virtual(db, queue, reactor, gate):
    """A dispatcher on the virtual reactor, active."""
    dispatcher = zc.async_.dispatcher.Dispatcher(db, reactor)
    dispatcher.activate()
    reactor.time_flies(0)
    yield dispatcher
    gate.set()
    zc.async_.testing.tear_down_dispatcher(dispatcher)


@pytest.fixture
def on_real(db, queue, gate):
    """A dispatcher on a real reactor, in its thread."""
    zc.async_.subscribers.ThreadedDispatcherInstaller(0.1)(DatabaseOpened(db))
    dispatcher = zc.async_.dispatcher.get()
    yield dispatcher
    gate.set()
    zc.async_.testing.tear_down_dispatcher(dispatcher)


@pytest.fixture(params=["on_virtual", "on_real"])
def dispatcher(request):
    """A dispatcher of either kind: what waits must work with both."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def put(queue):
    """Puts a job, and commits."""

    def put(*args, **options):
        job = queue.put(*args, **options)
        transaction.commit()
        return job

    return put


@pytest.fixture
def calls():
    """Notes calls: `calls.note(name)` is one, `calls.made` those that were made."""
    made = []
    return types.SimpleNamespace(made=made, note=made.append)
