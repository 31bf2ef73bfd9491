"""The installers of queues, dispatchers and agents."""

import pickle
import signal
import sys
import threading
import uuid

import pytest
import transaction
import twisted.internet
import twisted.internet.error
import twisted.internet.selectreactor
import ZODB
import zope.component
import zope.component.eventtesting
import zope.event
from ZODB.FileStorage import FileStorage

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
from zc.async_.dispatcher import reactors
from zc.async_.interfaces import KEY, DatabaseOpened, DatabaseOpenedWithRoot, IObjectAdded
from zc.async_.queue import Queue, Queues
from zc.async_.subscribers import (
    AgentInstaller,
    QueueInstaller,
    ThreadedDispatcherInstaller,
    TwistedDispatcherInstaller,
)


class SpecialQueue(Queue):
    """A queue of an application."""


def choose(agent):
    return agent.queue.claim()


def accept(job):
    return True


@pytest.fixture(autouse=True)
def base():
    """The components that the library needs; events are kept for `added`."""
    zope.component.eventtesting.setUp()
    zc.async_.configure.base()


@pytest.fixture
def two_databases(tmp_path):
    """The content's database, which knows the one named 'async'."""
    databases = {}
    for name in ("content", "async"):
        storage = FileStorage(str(tmp_path / f"{name}.fs"))
        ZODB.DB(storage, databases=databases, database_name=name)
    yield databases["content"]
    for database in list(databases.values()):
        database.close()


@pytest.fixture
def look():
    """Gives the root of a database as it is now."""
    connections = []

    def look(database):
        transaction.begin()
        connection = database.open()
        connections.append(connection)
        return connection.root()

    yield look
    transaction.abort()
    for connection in connections:
        connection.close()


@pytest.fixture
def started():
    """Gives the dispatcher that was started; it is stopped in the end."""
    yield zc.async_.dispatcher.get
    for dispatcher in zc.async_.process.registry.dispatchers():
        zc.async_.testing.tear_down_dispatcher(dispatcher)


def added():
    """What was told to be added: (object, container, name)."""
    events = zope.component.eventtesting.getEvents(IObjectAdded)
    return [(event.object, event.container, event.name) for event in events]


# -- queues


def test_a_queue_is_installed(db, look):
    zc.async_.subscribers.queue_installer(DatabaseOpened(db))
    queues = look(db)[KEY]
    assert isinstance(queues, Queues)
    assert list(queues.keys()) == [""]
    assert type(queues[""]) is Queue


def test_queues_can_be_chosen(db, look):
    QueueInstaller(queues=("", "video"), factory=SpecialQueue)(DatabaseOpened(db))
    queues = look(db)[KEY]
    assert sorted(queues.keys()) == ["", "video"]
    assert {type(queue) for queue in queues.values()} == {SpecialQueue}


def make_by_name(connection, name):
    queue = SpecialQueue()
    queue.made_for = (connection.db().database_name, name)
    return queue


@pytest.mark.parametrize("factory", [make_by_name, lambda *args: make_by_name(*args)])
def test_a_factory_of_two_arguments_gets_the_connection_and_the_name(db, look, factory):
    QueueInstaller(queues=("", "video"), factory=factory)(DatabaseOpened(db))
    queues = look(db)[KEY]
    assert {name: queue.made_for for name, queue in queues.items()} == {
        "": ("unnamed", ""),
        "video": ("unnamed", "video"),
    }


def test_a_factory_may_add_the_queue_to_the_connection(db, look):
    def factory(connection, name):
        queue = make_by_name(connection, name)
        connection.add(queue)
        return queue

    QueueInstaller(factory=factory)(DatabaseOpened(db))
    assert look(db)[KEY][""].made_for == ("unnamed", "")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"factory": None}, "None makes no queue"),
        ({"factory": lambda name: Queue()}, "is to be called as a factory of queues"),
        ({"queues": "video"}, "queues is 'video': give a tuple of names"),
        ({"queues": (None,)}, "give a tuple of names"),
    ],
)
def test_a_mistake_is_told_of_when_the_installer_is_made(options, problem):
    with pytest.raises(TypeError, match=problem):
        QueueInstaller(**options)


def test_a_factory_that_makes_no_queue_is_told_of(db, look):
    with pytest.raises(TypeError, match="None is no queue"):
        QueueInstaller(factory=lambda: None)(DatabaseOpened(db))
    assert KEY not in look(db)


def test_what_is_there_stays_and_what_is_missing_is_added(db, look):
    QueueInstaller()(DatabaseOpened(db))
    before = look(db)[KEY][""]._p_oid
    QueueInstaller(queues=("", "video"))(DatabaseOpened(db))
    queues = look(db)[KEY]
    assert queues[""]._p_oid == before
    assert "video" in queues


def test_installing_again_writes_nothing(db):
    QueueInstaller()(DatabaseOpened(db))
    before = db.lastTransaction()
    QueueInstaller()(DatabaseOpened(db))
    assert db.lastTransaction() == before


def test_what_is_added_is_told(db):
    QueueInstaller()(DatabaseOpened(db))
    (queues, root, key), (queue, container, name) = added()
    assert isinstance(queues, Queues)
    assert key == KEY
    assert root[KEY] is queues
    assert isinstance(queue, Queue)
    assert (container, name) == (queues, "")
    zope.component.eventtesting.clearEvents()
    QueueInstaller()(DatabaseOpened(db))
    assert added() == []


def test_queues_can_belong_to_another_database(two_databases, look):
    zc.async_.subscribers.multidb_queue_installer(DatabaseOpened(two_databases))
    root = look(two_databases)
    queues = root[KEY]
    assert queues._p_jar.db().database_name == "async"
    assert queues[""]._p_jar.db().database_name == "async"
    # The other database refers to them as well, so that packing it leaves them.
    assert root._p_jar.get_connection("async").root()[KEY] is queues


def test_queues_of_the_other_database_are_found_from_a_second_one(two_databases, look):
    QueueInstaller()(DatabaseOpened(two_databases.databases["async"]))
    there = look(two_databases.databases["async"])[KEY]._p_oid
    zc.async_.subscribers.multidb_queue_installer(DatabaseOpened(two_databases))
    assert look(two_databases)[KEY]._p_oid == there


def test_a_missing_database_is_named(db):
    with pytest.raises(KeyError, match="nowhere"):
        QueueInstaller(db_name="nowhere")(DatabaseOpened(db))


def test_lanes_are_there_before_the_first_put(db, look, identity):
    QueueInstaller()(DatabaseOpened(db))
    lanes = look(db)[KEY][""].lanes
    prepared = [key for key in lanes if key.startswith(identity.hex)]
    assert len(prepared) == db.getPoolSize()
    before = len(lanes)
    QueueInstaller()(DatabaseOpened(db))
    transaction.begin()
    assert len(lanes) == before


def test_other_people_s_queues_are_left_alone(db, look):
    root = look(db)
    root[KEY] = {"": "somebody's own queue"}
    transaction.commit()
    QueueInstaller()(DatabaseOpened(db))
    transaction.begin()
    assert root[KEY] == {"": "somebody's own queue"}


def test_processes_that_install_at_once_agree(db, look):
    installers = 4
    start = threading.Barrier(installers)

    def install():
        start.wait()
        QueueInstaller()(DatabaseOpened(db))

    threads = [threading.Thread(target=install) for _ in range(installers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(look(db)[KEY]) == [""]


@pytest.mark.parametrize(
    "installer",
    [
        zc.async_.subscribers.queue_installer,
        zc.async_.subscribers.multidb_queue_installer,
        zc.async_.subscribers.threaded_dispatcher_installer,
        zc.async_.subscribers.twisted_dispatcher_installer,
    ],
    ids=lambda installer: type(installer).__name__,
)
def test_installers_can_be_registered_as_they_are(installer):
    zope.component.provideHandler(installer)
    registered = [r.handler for r in zope.component.getGlobalSiteManager().registeredHandlers()]
    assert installer in registered


# -- agents


class Event:
    """A dispatcher was activated in the queue of a name."""

    def __init__(self, name):
        self.object = Agents()
        self.object.queue = Queue()
        self.object.queue.name = name


class Agents(dict):
    """The agents of a dispatcher."""

    queue = None


@pytest.mark.parametrize(
    "installer",
    [
        QueueInstaller(("reports",)),
        ThreadedDispatcherInstaller(7),
        TwistedDispatcherInstaller(7),
        AgentInstaller("reports", choose),
    ],
    ids=lambda installer: type(installer).__name__,
)
def test_a_database_can_keep_installers_by_their_public_names(installer):
    stored = pickle.dumps(installer)
    assert b"zc.async_.subscribers" in stored
    assert b"zc.async_.installing" not in stored
    assert vars(pickle.loads(stored)) == vars(installer)


def test_an_agent_is_installed():
    event = Event("")
    zc.async_.subscribers.agent_installer(event)
    agent = event.object["main"]
    assert (agent.chooser, agent.filter, agent.size) == (None, None, 3)


def test_the_agent_can_be_chosen():
    event = Event("")
    AgentInstaller("first", choose, 1)(event)
    AgentInstaller("second", filter=accept, size=2, labels=["gpu"])(event)
    first, second = event.object["first"], event.object["second"]
    assert (first.chooser, first.filter, first.size) == (choose, None, 1)
    assert (second.chooser, second.filter, second.size) == (None, accept, 2)
    assert (first.labels, second.labels) == ((), ("gpu",))


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"chooser": choose, "filter": accept}, ValueError, "a filter or a chooser"),
        ({"size": -1}, ValueError, "size of an agent"),
        ({"filter": "accept"}, TypeError, "cannot be called"),
        ({"queue_names": "video"}, TypeError, "queue_names is 'video'"),
        ({"labels": "gpu"}, TypeError, "labels is a collection"),
        ({"labels": ["a b"]}, ValueError, "cannot be a label"),
    ],
)
def test_an_agent_that_cannot_be_is_told_of_when_the_installer_is_made(options, error, problem):
    with pytest.raises(error, match=problem):
        AgentInstaller("main", **options)
    with pytest.raises(TypeError, match="agent_name"):
        AgentInstaller(None)


def test_an_agent_that_is_there_stays():
    event = Event("")
    AgentInstaller("main", size=1)(event)
    AgentInstaller("main", size=2)(event)
    assert event.object["main"].size == 1


@pytest.mark.parametrize(
    ("queue_names", "wanted"),
    [
        pytest.param(None, True, id="all queues"),
        pytest.param(("", "video"), True, id="named"),
        pytest.param(("audio",), False, id="not named"),
        pytest.param((), False, id="none"),
    ],
)
def test_an_agent_is_installed_in_the_queues_named(queue_names, wanted):
    event = Event("video")
    AgentInstaller("main", queue_names=queue_names)(event)
    assert ("main" in event.object) is wanted


# -- dispatchers


def test_a_dispatcher_is_started_in_a_thread(db, started):
    zc.async_.subscribers.queue_installer(DatabaseOpened(db))
    ThreadedDispatcherInstaller(poll_interval=0.5)(DatabaseOpened(db))
    dispatcher = started()
    assert dispatcher.db is db
    assert dispatcher.poll_interval == 0.5
    assert dispatcher.activated
    assert dispatcher.thread.daemon
    assert str(dispatcher.UUID) in dispatcher.thread.name
    assert isinstance(dispatcher.reactor, reactors.Reactor)
    zc.async_.testing.get_poll(dispatcher, 0)


def test_the_reactor_can_be_chosen(db, started):
    class Special(twisted.internet.selectreactor.SelectReactor):
        """A reactor of an application."""

    ThreadedDispatcherInstaller(reactor_factory=Special)(DatabaseOpened(db))
    assert type(started().reactor) is Special


def test_the_uuid_can_be_chosen(db, started):
    other = uuid.UUID(int=1)
    ThreadedDispatcherInstaller(uuid=other)(DatabaseOpened(db))
    ThreadedDispatcherInstaller()(DatabaseOpened(db))
    assert other == started(other).UUID
    assert started() is not started(other)


def test_labels_can_be_given(db, started, look):
    zc.async_.subscribers.queue_installer(DatabaseOpened(db))
    ThreadedDispatcherInstaller(labels=["gpu", "eu"])(DatabaseOpened(db))
    dispatcher = zc.async_.dispatcher.get()
    assert dispatcher.labels == ("eu", "gpu")
    zc.async_.testing.get_poll(dispatcher, 0)
    with db.transaction() as connection:
        agents = connection.root()[KEY][""].dispatchers[dispatcher.UUID]
        assert agents.labels == ("eu", "gpu")


@pytest.mark.parametrize("kind", [ThreadedDispatcherInstaller, TwistedDispatcherInstaller])
def test_labels_that_cannot_be_are_told_of_when_the_installer_is_made(kind):
    with pytest.raises(TypeError, match="labels is a collection"):
        kind(labels="gpu")
    with pytest.raises(ValueError, match="cannot be a label"):
        kind(labels=["a b"])


def test_one_dispatcher_is_started_for_both_events(db, started):
    for event in (DatabaseOpened(db), DatabaseOpenedWithRoot(db), DatabaseOpened(db)):
        zc.async_.subscribers.queue_installer(event)
        zc.async_.subscribers.threaded_dispatcher_installer(event)
    assert len(zc.async_.process.registry.dispatchers()) == 1
    threads = [t for t in threading.enumerate() if t.name.startswith("zc.async dispatcher")]
    assert threads == [started().thread]


def test_a_second_database_needs_a_second_uuid(db, two_databases, started):
    zc.async_.subscribers.threaded_dispatcher_installer(DatabaseOpened(db))
    with pytest.raises(ValueError, match="give another UUID"):
        zc.async_.subscribers.threaded_dispatcher_installer(DatabaseOpened(two_databases))
    assert started().db is db


def test_after_a_stop_another_can_be_started(db, started):
    zc.async_.subscribers.threaded_dispatcher_installer(DatabaseOpened(db))
    first = zc.async_.dispatcher.get()
    zc.async_.testing.tear_down_dispatcher(first)
    with pytest.raises(ValueError, match=r"zc\.async_\.dispatcher\.pop"):
        zc.async_.subscribers.threaded_dispatcher_installer(DatabaseOpened(db))
    zc.async_.dispatcher.clear()
    zc.async_.subscribers.threaded_dispatcher_installer(DatabaseOpened(db))
    assert started() is not first


def test_a_dispatcher_on_twisted_s_reactor_waits_for_it(db, monkeypatch):
    reactor = zc.async_.testing.Reactor()
    # Not installed for good: that would be one for all tests.
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    monkeypatch.setattr(twisted.internet, "reactor", reactor, raising=False)
    zc.async_.subscribers.queue_installer(DatabaseOpened(db))
    installer = TwistedDispatcherInstaller(poll_interval=2, labels=["gpu"])
    installer(DatabaseOpened(db))
    installer(DatabaseOpenedWithRoot(db))
    dispatcher = zc.async_.dispatcher.get()
    assert dispatcher.reactor is reactor
    assert dispatcher.poll_interval == 2
    assert dispatcher.labels == ("gpu",)
    assert dispatcher.thread is None
    assert dispatcher.polls == []
    reactor.start()
    zc.async_.testing.get_poll(dispatcher, 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    zc.async_.testing.tear_down_dispatcher(dispatcher)
