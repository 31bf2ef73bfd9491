"""Dispatchers on a virtual reactor, and the queue of a database."""

import contextlib
import time
import uuid

import pytest
import zope.component

import zc.async_.configure
import zc.async_.testing
from tests import storages
from tests.dispatcher import choosers, work
from tests.dispatcher.polls import PollerByHand
from tests.races.parties import Client, make_queue
from zc.async_.agent import Agent
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import COMPLETED, KEY, DatabaseOpened
from zc.async_.process import registry
from zc.async_.subscribers import AgentInstaller, QueueInstaller

#: The fixtures that other folders have, too: `from tests.dispatcher.conftest import *`.
__all__ = [
    "agents_of",
    "base",
    "begun",
    "clean_work",
    "client",
    "completed",
    "connect",
    "database",
    "dispatcher",
    "install_agent",
    "make_dispatcher",
    "put",
    "settle",
    "start_dispatcher",
    "two_databases",
]

#: Real seconds that worker threads are given for what they were asked to do.
PATIENCE = 90


@pytest.fixture(autouse=True)
def clean_work(clean_process):
    """What jobs did is forgotten, and those that wait go on in the end."""
    work.reset()
    choosers.errors.clear()
    yield work
    work.gate.set()


@pytest.fixture
def base():
    """The components that the library needs."""
    zc.async_.configure.base()


@pytest.fixture
def database(db, base):
    """A database with an empty queue and a counter."""
    make_queue(db)
    work.add_records(db)
    return db


@pytest.fixture
def connect(database):
    """Opens connections; they are closed in the end."""
    clients = []

    def connect(other=None):
        client = Client(database if other is None else other)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.manager.abort()
        if client.connection.opened:
            client.connection.close()


@pytest.fixture
def client(connect):
    """A connection to `database`."""
    return connect()


@pytest.fixture
def two_databases(request, tmp_path, base):
    """A database of content, and one named 'async' that has its queue.

    In files; a module may have its own fixture `storage_kind`, one of `storages.KINDS`.
    """
    kind = "FileStorage"
    if "storage_kind" in request.fixturenames:
        kind = request.getfixturevalue("storage_kind")
    with storages.opened_group(kind, request, tmp_path, ("content", "async")) as databases:
        QueueInstaller(db_name="async")(DatabaseOpened(databases["content"]))
        yield databases


# -- polls by hand


@pytest.fixture
def make_poller(database):
    """Makes pollers; they are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make_poller(uuid_=None, other=None, labels=()):
            poller = PollerByHand(other or database, uuid_ or uuid.uuid4(), labels)
            return stack.enter_context(contextlib.closing(poller))

        yield make_poller


@pytest.fixture
def active(make_poller, client):
    """Makes pollers that are active, with an agent 'main' that has the given settings."""

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


# -- dispatchers on a virtual reactor


@pytest.fixture
def settle(reactor):
    """Waits, in real time and without virtual time, until something is so."""

    def settle(look, message="it did not come to be"):
        end = time.monotonic() + PATIENCE
        while True:
            while reactor.time_passes():
                pass
            if look():
                return
            assert time.monotonic() < end, message
            reactor.wait_until_asked(0.01)

    return settle


@pytest.fixture
def install_agent():
    """Has every dispatcher that is activated get an agent."""

    def install_agent(name="main", **options):
        zope.component.provideHandler(AgentInstaller(name, **options))

    return install_agent


@pytest.fixture
def make_dispatcher(database, reactor):
    """Makes dispatchers on the virtual reactor; they are torn down in the end."""
    made = []

    def make_dispatcher(other=None, **options):
        options.setdefault("uuid", uuid.uuid4())
        dispatcher = Dispatcher(other or database, reactor, **options)
        made.append(dispatcher)
        return dispatcher

    yield make_dispatcher
    work.gate.set()
    for dispatcher in made:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


@pytest.fixture
def start_dispatcher(make_dispatcher, reactor):
    """Makes dispatchers that are active, and have polled once."""

    def start_dispatcher(*database, **options):
        dispatcher = make_dispatcher(*database, **options)
        dispatcher.activate()
        reactor.time_flies(0)
        return dispatcher

    return start_dispatcher


@pytest.fixture
def dispatcher(install_agent, start_dispatcher):
    """A dispatcher that is active, and has an agent of size 3."""
    install_agent()
    return start_dispatcher()


@pytest.fixture
def patient(install_agent, start_dispatcher):
    """A dispatcher that gives jobs 30 seconds when it stops."""
    install_agent()
    return start_dispatcher(shutdown_grace_period=30)


@pytest.fixture
def put(client):
    """Puts a job, and commits."""

    def put(*args, quota_names=(), **options):
        job = client.queue.put(*args, **options)
        if quota_names:
            job.quota_names = quota_names
        client.manager.commit()
        return job

    return put


@pytest.fixture
def begun(settle):
    """Waits until jobs have done that many things, by default of all, without virtual time."""

    def begun(count=1, things=work.happened):
        settle(lambda: len(things) >= count, f"only {work.happened} happened")

    return begun


@pytest.fixture
def begin(put, begun):
    """Puts a job, and waits until it has begun."""

    def begin(call):
        before = len(work.happened)
        job = put(call)
        begun(before + 1)
        return job

    return begin


@pytest.fixture
def stop(reactor, settle):
    """Stops the reactor, and waits until that is done."""

    def stop():
        reactor.stop()
        settle(lambda: not reactor.running)

    return stop


def none_at_work(jobs):
    """Whether no worker is at one of these jobs: what is logged comes after the commit."""
    tasks = [
        worker.task
        for dispatcher in registry.dispatchers()
        for pool in dispatcher.pools()
        for worker in pool.threads
    ]
    oids = {task.job_id[0] for task in tasks if task is not None}
    return oids.isdisjoint(job._p_oid for job in jobs)


@pytest.fixture
def completed(settle, client):
    """Waits until jobs have completed and workers have told of it, without virtual time."""

    def completed(*jobs):
        def all_completed():
            client.manager.begin()
            return all(job.status == COMPLETED for job in jobs)

        settle(all_completed, f"not completed: {jobs}")
        settle(lambda: none_at_work(jobs), f"still at work: {jobs}")

    return completed


@pytest.fixture
def agents_of(client):
    """The `IDispatcherAgents` of a dispatcher, as they are now."""

    def agents_of(dispatcher, queue_name=""):
        client.manager.begin()
        return client.root[KEY][queue_name].dispatchers[dispatcher.UUID]

    return agents_of


@pytest.fixture
def set_agent(client, agents_of):
    """Changes an agent of a dispatcher, and commits."""

    def set_agent(dispatcher, name="main", **settings):
        agents = agents_of(dispatcher)
        for setting, value in settings.items():
            setattr(agents[name], setting, value)
        client.manager.commit()

    return set_agent
