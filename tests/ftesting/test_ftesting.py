"""Functional tests of applications: a dispatcher from `setUp` to `tearDown`."""

import gc
import io
import logging
import os
import signal
import threading

import pytest
import transaction
import ZODB
import zope.component
from persistent.mapping import PersistentMapping
from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.ftesting
import zc.async_.stopping
import zc.async_.subscribers
import zc.async_.testing
from tests.testing import work
from zc.async_.interfaces import AsyncError, DatabaseOpened, IQueue, NotConfiguredError


@pytest.fixture(autouse=True)
def torn_down(request):
    """Whatever a test leaves, the next one starts without it."""
    # Before the database is closed.
    if "db" in request.fixturenames:
        request.getfixturevalue("db")
    yield
    work.gate.set()
    zc.async_.ftesting.tearDown()


@pytest.fixture
def connection(db):
    """A connection of a database, with what the library needs."""
    zc.async_.configure.base()
    connection = db.open()
    yield connection
    transaction.abort()
    connection.close()


def put(connection, function):
    """Put a job by the queue of a connection."""
    transaction.begin()
    job = IQueue(connection).put(function)
    transaction.commit()
    return job


def test_jobs_run_between_set_up_and_tear_down(connection):
    zc.async_.ftesting.setUp(connection)
    dispatcher = zc.async_.dispatcher.get()
    assert dispatcher.activated
    assert dispatcher.poll_interval == 0.1
    assert set(zc.async_.testing.get_poll(dispatcher)) == {""}
    job = put(connection, work.answer)
    assert zc.async_.testing.wait_for_result(job) == 42
    zc.async_.ftesting.tearDown()
    assert dispatcher.activated is False
    assert zc.async_.dispatcher.get() is None


def test_the_root_object_is_found_where_functional_tests_have_it(connection):
    root = connection.root()["Application"] = PersistentMapping()
    transaction.commit()

    def getRootFolder():
        return root

    zc.async_.ftesting.setUp()
    assert zc.async_.dispatcher.get().db is connection.db()
    assert getRootFolder() is root


def test_without_a_root_function_the_error_says_what_to_give(connection):
    with pytest.raises(LookupError, match="Give setUp a connection"):
        zc.async_.ftesting.setUp()


def test_without_configuration_the_error_says_what_to_call(db):
    connection = db.open()
    with pytest.raises(NotConfiguredError, match="base"):
        zc.async_.ftesting.setUp(connection)
    connection.close()


def test_two_set_ups_are_refused(connection):
    zc.async_.ftesting.setUp(connection)
    with pytest.raises(AsyncError, match="call tearDown first"):
        zc.async_.ftesting.setUp(connection)


def test_a_dispatcher_of_the_application_is_in_the_way_and_the_error_says_so(connection):
    opened = DatabaseOpened(connection.db())
    zc.async_.subscribers.queue_installer(opened)
    zc.async_.subscribers.threaded_dispatcher_installer(opened)
    dispatcher = zc.async_.dispatcher.get()
    with pytest.raises(AsyncError, match="leave the dispatcher policy out"):
        zc.async_.ftesting.setUp(connection)
    zc.async_.testing.tear_down_dispatcher(dispatcher)


def test_installers_that_fail_leave_nothing(connection):
    def fail(event):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        zc.async_.ftesting.setUp(connection, queue_installer=fail)
    assert not list(zope.component.getGlobalSiteManager().registeredHandlers())
    zc.async_.ftesting.setUp(connection)


def test_agents_of_ones_own(connection):
    installer = zc.async_.subscribers.AgentInstaller("reports", size=1)
    zc.async_.ftesting.setUp(connection, agent_installer=installer)
    (poll,) = zc.async_.testing.get_poll(zc.async_.dispatcher.get()).values()
    assert set(poll) == {"reports"}


def test_an_installer_that_the_application_has_registered_stays(connection):
    installer = zc.async_.subscribers.agent_installer
    zope.component.provideHandler(installer)
    zc.async_.ftesting.setUp(connection)
    zc.async_.ftesting.tearDown()
    registered = zope.component.getGlobalSiteManager().registeredHandlers()
    assert [each.handler for each in registered] == [installer]


def test_critical_messages_are_told_until_the_end(connection):
    output = io.StringIO()
    zc.async_.ftesting.setUp(connection, log_file=output)
    logging.getLogger("zc.async.event").critical("Foo!")
    logging.getLogger("zc.async.event").error("Bar!")
    zc.async_.ftesting.tearDown()
    logging.getLogger("zc.async.event").critical("Baz!")
    assert output.getvalue() == "Foo!\n"


def test_a_job_that_goes_on_is_named_and_the_next_tear_down_ends_all(connection, monkeypatch):
    work.gate.clear()
    zc.async_.ftesting.setUp(connection)
    job = put(connection, work.wait)
    zc.async_.testing.wait_for_start(job)
    with monkeypatch.context() as impatient:
        impatient.setattr(zc.async_.testing.teardown, "PATIENCE_WITH_JOBS", 0.1)
        with pytest.raises(zc.async_.ftesting.TearDownDispatcherError, match=r"work\.wait"):
            zc.async_.ftesting.tearDown()
    work.gate.set()
    zc.async_.ftesting.tearDown()
    zc.async_.ftesting.setUp(connection)
    zc.async_.testing.wait_for_result(job)


def test_a_demo_storage_over_a_file_storage(tmp_path):
    zc.async_.configure.base()
    base = ZODB.DB(FileStorage(str(tmp_path / "Data.fs")))
    with base.transaction() as connection:
        connection.root()["Application"] = PersistentMapping({"title": "the application"})
    base.close()
    for _test in range(2):
        demo = DemoStorage(base=FileStorage(str(tmp_path / "Data.fs"), read_only=True))
        db = ZODB.DB(demo)
        connection = db.open()
        zc.async_.ftesting.setUp(connection)
        job = put(connection, work.answer)
        assert zc.async_.testing.wait_for_result(job) == 42
        assert connection.root()["Application"]["title"] == "the application"
        zc.async_.ftesting.tearDown()
        transaction.abort()
        connection.close()
        db.close()


def test_a_tear_down_without_a_set_up_does_nothing():
    zc.async_.ftesting.tearDown()


class Counts:
    """What a process has of things that must not grow."""

    def __init__(self):
        registry = zope.component.getGlobalSiteManager()
        self.handlers = len(list(registry.registeredHandlers()))
        self.adapters = len(list(registry.registeredAdapters()))
        self.threads = set(threading.enumerate())
        self.descriptors = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        # `atexit._ncallbacks` counts those, too, that were unregistered.
        at_exit = zc.async_.stopping.threads._StopAtExit
        self.exit_handlers = sum(type(known) is at_exit for known in gc.get_objects())
        self.signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        self.loggers = len(logging.getLogger("zc.async").handlers)
        self.signal_handlers = len(zc.async_.subscribers.signal_handlers)

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return repr(vars(self))


def check_that_nothing_is_left(connection, rounds):
    """Set up and tear down, and compare the process before and afterwards."""
    # The first time modules are imported, and the like.
    for _first in range(2):
        zc.async_.ftesting.setUp(connection)
        zc.async_.ftesting.tearDown()
    before = Counts()
    for _round in range(rounds):
        zc.async_.ftesting.setUp(connection)
        zc.async_.ftesting.tearDown()
    assert Counts() == before


def test_set_up_and_tear_down_leave_nothing(connection):
    check_that_nothing_is_left(connection, 3)


@pytest.mark.slow
def test_two_hundred_pairs_leave_nothing(connection):
    check_that_nothing_is_left(connection, 200)
