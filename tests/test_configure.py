"""Configuration in Python."""

import operator
import threading
import types

import persistent.mapping
import pytest
import transaction
import zope.component
from transaction.interfaces import ITransactionManager
from ZODB.interfaces import IConnection

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.queue
import zc.async_.subscribers
import zc.async_.testing
import zc.twist
from tests.programs import run_program
from zc.async_.interfaces import IUUID, KEY, IJob, IQueue
from zc.async_.job import Job
from zc.async_.process import instanceuuid


def choose(agent):
    return agent.queue.claim()


def accept(job):
    return True


class Callable:
    def method(self):
        """To be bound."""


@pytest.fixture
def connection(db):
    """A connection of this thread."""
    connection = db.open()
    yield connection
    transaction.abort()
    connection.close()


@pytest.fixture
def start(db):
    """Starts with given options; what was started is stopped in the end."""

    def start(**options):
        zc.async_.configure.start(db, **options)
        dispatcher = zc.async_.dispatcher.get()
        if dispatcher.thread is not None:
            zc.async_.testing.get_poll(dispatcher, 0)
        return dispatcher

    zc.async_.configure.base()
    yield start
    dispatcher = zc.async_.dispatcher.get()
    if dispatcher is not None and dispatcher.thread is not None:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


@pytest.mark.parametrize("configure", [zc.async_.configure.minimal, zc.async_.configure.base])
@pytest.mark.parametrize(
    ("kind", "callable"),
    [
        pytest.param(types.FunctionType, choose, id="function"),
        pytest.param(types.MethodType, Callable().method, id="method"),
        pytest.param(types.BuiltinFunctionType, operator.mul, id="built-in function"),
        pytest.param(zc.twist.METHOD_WRAPPER_TYPE, "a".__add__, id="method wrapper"),
        pytest.param(type, Callable, id="class"),
    ],
)
def test_what_can_be_called_is_adapted_to_jobs(configure, kind, callable):
    configure()
    assert isinstance(callable, kind)
    job = IJob(callable)
    assert type(job) is Job
    assert job.callable == callable


@pytest.mark.parametrize("configure", [zc.async_.configure.minimal, zc.async_.configure.base])
def test_the_identity_of_the_instance_is_a_utility(configure):
    configure()
    assert zope.component.getUtility(IUUID) is instanceuuid.UUID


@pytest.mark.parametrize("configure", [zc.async_.configure.minimal, zc.async_.configure.base])
def test_transaction_managers_are_found(configure, connection):
    configure()
    assert ITransactionManager(connection.root()) is connection.transaction_manager
    assert ITransactionManager(connection) is connection.transaction_manager


def test_only_the_base_finds_connections(connection):
    zc.async_.configure.minimal()
    assert IConnection(connection.root(), None) is None
    zc.async_.configure.base()
    assert IConnection(connection.root()) is connection


def test_after_the_base_alone_a_queue_is_found_from_objects_and_connections(connection):
    zc.async_.configure.base()
    queues = connection.root()[KEY] = zc.async_.queue.Queues()
    queue = queues[""] = zc.async_.queue.Queue()
    transaction.commit()
    assert IQueue(connection) is queue
    assert IQueue(connection.root()) is queue


def test_where_there_is_no_queue_yet_the_adapter_says_what_makes_one(connection):
    zc.async_.configure.base()
    with pytest.raises(LookupError, match=r"call zc\.async_\.configure\.start\(db\), include"):
        IQueue(connection)


def test_queues_are_no_matter_of_the_minimum(connection):
    zc.async_.configure.minimal()
    assert IQueue(connection, None) is None


def test_registering_again_changes_nothing():
    zc.async_.configure.base()
    registry = zope.component.getGlobalSiteManager()
    before = sorted(map(repr, registry.registeredAdapters()))
    zc.async_.configure.base()
    assert sorted(map(repr, registry.registeredAdapters())) == before


def test_a_start_makes_a_queue_and_runs_its_jobs(start, connection):
    assert zc.async_.configure.start.__annotations__["return"] is None
    dispatcher = start()
    assert dispatcher.poll_interval == 5
    transaction.begin()
    queue = connection.root()[KEY][""]
    job = queue.put(Job(operator.mul, 6, 7))
    transaction.commit()
    assert zc.async_.testing.wait_for_result(job) == 42
    assert queue.dispatchers[dispatcher.UUID]["main"].size == 3


def test_after_a_start_a_queue_is_found_from_objects_and_connections(start, connection):
    start()
    transaction.begin()
    queue = connection.root()[KEY][""]
    assert IQueue(connection) is queue
    assert IQueue(connection.root()) is queue
    new = connection.root()["new"] = persistent.mapping.PersistentMapping()
    transaction.commit()
    assert IQueue(new) is queue


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, (None, None, 3), id="usual"),
        pytest.param({"agent_chooser": choose, "agent_size": 1}, (choose, None, 1), id="chooser"),
        pytest.param({"agent_filter": accept}, (None, accept, 3), id="filter"),
    ],
)
def test_the_agent_can_be_chosen(start, connection, options, expected):
    dispatcher = start(poll_interval=0.5, **options)
    assert dispatcher.poll_interval == 0.5
    transaction.begin()
    agent = connection.root()[KEY][""].dispatchers[dispatcher.UUID]["main"]
    assert (agent.chooser, agent.filter, agent.size) == expected


def test_a_second_start_finds_all_done(start, db):
    dispatcher = start()
    zc.async_.configure.start(db)
    assert zc.async_.dispatcher.get() is dispatcher


def test_a_start_on_the_installed_reactor_starts_no_thread(tmp_path):
    code = """
        import operator, time, transaction, ZODB, ZODB.FileStorage
        import twisted.internet.reactor as reactor
        import zc.async_.configure, zc.async_.dispatcher
        from zc.async_.interfaces import COMPLETED, IQueue
        from zc.async_.job import Job

        db = ZODB.DB(ZODB.FileStorage.FileStorage("data.fs"))
        zc.async_.configure.base()
        zc.async_.configure.start(db, poll_interval=0.1, twisted=True)
        dispatcher = zc.async_.dispatcher.get()
        print(dispatcher.reactor is reactor, dispatcher.thread)
        connection = db.open()
        job = IQueue(connection).put(Job(operator.mul, 6, 7))
        transaction.commit()

        def look():
            transaction.begin()
            if job.status == COMPLETED:
                print(job.result)
                reactor.stop()
            else:
                reactor.callLater(0.01, look)

        reactor.callWhenRunning(look)
        reactor.run()
        transaction.begin()
        print(IQueue(connection).dispatchers[dispatcher.UUID].activated)
        connection.close()
        db.close()
        """
    done = run_program(tmp_path, code)
    assert (done.stdout, done.stderr) == ("True None\n42\nNone\n", "")


# -- stop


def answer():
    return 42


def run_one(connection):
    """Have the dispatcher that is there run a job; return the result."""
    transaction.begin()
    job = IQueue(connection).put(answer)
    transaction.commit()
    return zc.async_.testing.wait_for_result(job)


def dispatcher_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("zc.async")]


def test_a_stop_ends_what_a_start_began_and_a_start_works_again(db, connection):
    zc.async_.configure.base()
    before = set(dispatcher_threads())
    for _time in range(3):
        zc.async_.configure.start(db, poll_interval=0.5, agent_size=2)
        assert run_one(connection) == 42
        dispatcher = zc.async_.dispatcher.get()
        assert zc.async_.configure.stop() is None
        assert set(dispatcher_threads()) == before
        assert zc.async_.dispatcher.get() is None
        assert not dispatcher.activated
        transaction.begin()
        agents = IQueue(connection).dispatchers[dispatcher.UUID]
        assert not agents.activated
        assert list(agents) == ["main"]


def test_a_stop_without_a_start_or_of_another_database_does_nothing(db, start):
    assert zc.async_.configure.stop() is None
    dispatcher = start(poll_interval=0.5)
    zc.async_.configure.stop(object())
    assert dispatcher.activated
    zc.async_.configure.stop(db)
    assert not dispatcher.activated
    zc.async_.configure.stop(db)


def test_the_agents_of_a_later_start_are_those_that_it_asks_for(db, connection):
    zc.async_.configure.base()
    zc.async_.configure.start(db, poll_interval=0.5, agent_size=2)
    zc.async_.configure.stop()
    transaction.begin()
    IQueue(connection).dispatchers.unregister(instanceuuid.UUID)
    transaction.commit()
    zc.async_.configure.start(db, poll_interval=0.5, agent_size=5)
    assert run_one(connection) == 42
    zc.async_.configure.stop()
    transaction.begin()
    assert IQueue(connection).dispatchers[instanceuuid.UUID]["main"].size == 5


TWISTED = """
    import logging
    import transaction, ZODB
    from ZODB.FileStorage import FileStorage
    from twisted.internet import reactor, threads
    import zc.async_.configure, zc.async_.dispatcher, zc.async_.testing
    from zc.async_.interfaces import IQueue
    from zc.async_.job import Job

    logging.basicConfig(level=logging.ERROR)
    db = ZODB.DB(FileStorage("Data.fs"))
    zc.async_.configure.base()
    zc.async_.configure.start(db, poll_interval=0.5, twisted=True)

    def run_one():
        connection = db.open()
        job = IQueue(connection).put(Job(divmod, 7, 2))
        transaction.commit()
        print(zc.async_.testing.wait_for_result(job, 20))
        transaction.abort()
        connection.close()

    def act():
        run_one()
        zc.async_.configure.stop()
        print(zc.async_.dispatcher.get())
        threads.blockingCallFromThread(
            reactor, zc.async_.configure.start, db, poll_interval=0.5, twisted=True
        )
        run_one()
        deferred = threads.blockingCallFromThread(reactor, lambda: [zc.async_.configure.stop()])
        zc.async_.configure.stop()
        print(zc.async_.dispatcher.get())

    reactor.callWhenRunning(
        lambda: threads.deferToThread(act).addErrback(print).addBoth(lambda _: reactor.stop())
    )
    reactor.run()
    db.close()
"""


def test_with_the_installed_reactor_a_stop_ends_a_start_and_a_start_works_again(tmp_path):
    process = run_program(tmp_path, TWISTED)
    assert (process.stdout, process.stderr) == ("(3, 1)\nNone\n" * 2, "")
    assert process.returncode == 0


@pytest.mark.parametrize(("given", "seconds"), [({}, 0), ({"shutdown_grace_period": 1.5}, 1.5)])
def test_running_jobs_are_given_the_grace_period(start, given, seconds):
    assert start(**given).shutdown_grace_period == seconds


def test_the_dispatcher_has_the_labels_that_are_given(start, connection):
    dispatcher = start(labels=["gpu", "eu"])
    transaction.begin()
    assert IQueue(connection).dispatchers[dispatcher.UUID].labels == ("eu", "gpu")
    job = IQueue(connection).put(answer, needs=["gpu", dispatcher.UUID])
    transaction.commit()
    assert zc.async_.testing.wait_for_result(job) == answer()


def test_labels_that_cannot_be_leave_nothing_half_done(db, connection):
    zc.async_.configure.base()
    with pytest.raises(TypeError, match="labels is a collection"):
        zc.async_.configure.start(db, labels="gpu")
    assert zc.async_.dispatcher.get() is None
    assert KEY not in connection.root()
    assert not [*zope.component.getGlobalSiteManager().registeredHandlers()]


MANY_FILES = """
    import math, os, resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kept = [os.open(os.devnull, os.O_RDONLY) for _number in range(1100)]

    import transaction, ZODB
    import zc.async_.configure, zc.async_.testing
    from zc.async_.interfaces import KEY

    db = ZODB.DB(None)
    zc.async_.configure.base()
    zc.async_.configure.start(db, poll_interval=600)
    connection = db.open()
    job = connection.root()[KEY][""].put(math.cos)
    job.args.append(0)
    transaction.commit()
    print(zc.async_.testing.wait_for_result(job, seconds=20))
    zc.async_.configure.stop()
    db.close()
"""


def most_files():
    resource = pytest.importorskip("resource")
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_a_process_may_have_many_files_open(tmp_path):
    if most_files() < 1200:
        pytest.skip("the system does not let this process open so many")
    process = run_program(tmp_path, MANY_FILES)
    assert (process.stdout, process.stderr) == ("1.0\n", "")
