"""What is said to who makes a mistake of the first hour: each message names the remedy."""

import functools
import logging
import re

import pytest
import transaction
import ZEO.Exceptions
import ZODB
import zope.component
from ZODB.DemoStorage import DemoStorage
from zope.interface.interfaces import ComponentLookupError

import zc.async_
import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
from tests.unit import calls
from zc.async_ import utils
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import (
    KEY,
    ClosedDatabaseError,
    DatabaseOpened,
    IQueue,
    MissingDatabaseError,
    NotConfiguredError,
)
from zc.async_.job import Job
from zc.async_.process import instanceuuid
from zc.async_.queue import Queue, Queues
from zc.async_.storing.storable import UnstorableError
from zc.async_.subscribers import (
    QueueInstaller,
    ThreadedDispatcherInstaller,
    TwistedDispatcherInstaller,
)

NO_BASE = (
    "this process has no UUID yet: call zc.async_.configure.base() first (or minimal(), where "
    "persistent objects have an adapter to IConnection, as in Zope), or include configure.zcml of "
    "the package zc.async"
)
CLOSED = (
    "the database 'unnamed' is closed: open it anew, and close it only after "
    "zc.async_.configure.stop()"
)
NO_ASYNC = (
    "there is no database named 'async' beside 'unnamed' to keep the queues in: open one with the "
    "same `databases` mapping and database_name='async' (in zope.conf: <zodb async>, or <zodb_db "
    "async>), or have them in the database itself, by leaving out `db_name`, or by "
    "basic_dispatcher_policy.zcml"
)


def exactly(text):
    return f"^{re.escape(text)}$"


@pytest.fixture
def connection(db):
    """A connection of this thread to a database with a queue; the library is configured."""
    zc.async_.configure.base()
    connection = db.open()
    queues = connection.root()[KEY] = Queues()
    queues[""] = Queue()
    transaction.commit()
    yield connection
    transaction.abort()
    connection.close()


def handlers():
    return [*zope.component.getGlobalSiteManager().registeredHandlers()]


# -- start without base


def test_a_start_without_base_names_base_and_leaves_nothing_half_done(db):
    with pytest.raises(NotConfiguredError, match=exactly(NO_BASE)) as raised:
        zc.async_.configure.start(db)
    assert isinstance(raised.value, ComponentLookupError)
    with db.transaction() as connection:
        assert KEY not in connection.root()
        assert IQueue(connection, None) is None
    assert handlers() == []


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda db: Dispatcher(db, zc.async_.testing.Reactor()), id="a dispatcher"),
        pytest.param(lambda db: zc.async_.dispatcher.get(), id="the registry"),
        pytest.param(lambda db: ThreadedDispatcherInstaller()(DatabaseOpened(db)), id="installer"),
    ],
)
def test_so_does_all_that_needs_a_uuid(db, ask):
    with pytest.raises(NotConfiguredError, match=exactly(NO_BASE)):
        ask(db)


# -- a missing database


def test_a_start_with_a_database_that_is_missing_names_it_and_leaves_nothing_half_done(db):
    zc.async_.configure.base()
    with pytest.raises(MissingDatabaseError) as raised:
        zc.async_.configure.start(db, db_name="async")
    assert str(raised.value) == NO_ASYNC
    assert isinstance(raised.value, KeyError)
    assert handlers() == []
    assert zc.async_.dispatcher.get() is None


def test_the_policy_of_two_databases_names_the_one_that_is_missing(db):
    with pytest.raises(MissingDatabaseError) as raised:
        zc.async_.subscribers.multidb_queue_installer(DatabaseOpened(db))
    assert str(raised.value) == NO_ASYNC


def test_so_it_does_if_the_queues_are_there_and_the_database_was_opened_before(tmp_path):
    files = {name: str(tmp_path / f"{name}.fs") for name in ("main", "async")}
    databases = {}
    for name, path in files.items():
        ZODB.DB(path, databases=databases, database_name=name)
    zc.async_.subscribers.multidb_queue_installer(DatabaseOpened(databases["main"]))
    for database in databases.values():
        database.close()
    alone = ZODB.DB(files["main"], database_name="main")
    with pytest.raises(MissingDatabaseError, match="no database named 'async' beside 'main'"):
        zc.async_.subscribers.multidb_queue_installer(DatabaseOpened(alone))
    alone.close()


# -- a closed database


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(zc.async_.configure.start, id="start"),
        pytest.param(lambda db: QueueInstaller()(DatabaseOpened(db)), id="queues"),
        pytest.param(lambda db: ThreadedDispatcherInstaller()(DatabaseOpened(db)), id="a thread"),
        pytest.param(lambda db: TwistedDispatcherInstaller()(DatabaseOpened(db)), id="Twisted"),
    ],
)
def test_a_start_on_a_closed_database_says_so(begin):
    zc.async_.configure.base()
    database = ZODB.DB(DemoStorage())
    database.close()
    with pytest.raises(ClosedDatabaseError, match=exactly(CLOSED)):
        begin(database)
    assert handlers() == []
    assert zc.async_.dispatcher.get() is None


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda connection, queue: IQueue(connection), id="IQueue"),
        pytest.param(lambda connection, queue: queue.put(calls.nothing), id="put"),
        pytest.param(lambda connection, queue: queue.call(calls.nothing), id="call"),
        pytest.param(lambda connection, queue: zc.async_.find(connection, "1"), id="find"),
    ],
)
def test_a_use_after_the_database_was_closed_says_so(connection, db, use):
    queue = connection.root()[KEY][""]
    transaction.abort()
    db.close()
    with pytest.raises(ClosedDatabaseError, match=exactly(CLOSED)):
        use(connection, queue)


# -- a second process with one UUID (see tests/dispatcher/test_processes.py for two processes)


def test_a_uuid_in_use_names_the_file_and_the_variable_and_code_that_can_be_run(
    connection, db, caplog
):
    reactors = [zc.async_.testing.Reactor() for _ in range(2)]
    reactors[0].start()
    first = Dispatcher(db, reactors[0])
    first.activate()
    reactors[0].time_flies(1)
    zc.async_.dispatcher.clear()
    reactors[1].start()
    second = Dispatcher(db, reactors[1])
    second.activate()
    reactors[1].time_flies(1)
    messages = {r.getMessage() for r in caplog.records if r.levelno == logging.ERROR}
    (message,) = messages
    path = instanceuuid.UUID_PATH
    assert message.startswith(
        f"UUID {first.UUID} of {path} is in use: each process with a dispatcher needs a file of "
        "its own, so set the environment variable ZC_ASYNC_UUID to the path of another.  "
    )
    (code,) = re.findall("``([^`]*activated = False)``", message)
    exec(code, {"zc": zc})
    assert not second.activated
    for dispatcher in (second, first):
        zc.async_.testing.tear_down_dispatcher(dispatcher)


# -- quotas


def test_an_unknown_quota_is_told_what_makes_it_and_which_there_are(connection):
    queue = IQueue(connection)
    with pytest.raises(ValueError, match="unknown quota name") as raised:
        queue.put(calls.nothing, quota_names=["index"])
    # What clients know.
    assert str(raised.value) == "('unknown quota name', 'index')"
    assert str(raised.value.__cause__) == (
        "the queue '' has no quota 'index': make it, by queue.quotas.create('index'), or correct "
        "the name; there is none yet"
    )
    for number in range(20):
        queue.quotas.create(f"q{number:02}")
    job = queue.put(calls.nothing)
    with pytest.raises(ValueError, match="unknown quota name") as raised:
        job.quota_names = ["q"]
    assert str(raised.value.__cause__).endswith(f"there is {', '.join(map(repr, NAMES))}, ...")


NAMES = [f"q{number:02}" for number in range(10)]


# -- what cannot be stored


def local_function():
    def inside():
        pass

    return inside


class Holder:
    def __init__(self, value):
        self.value = value

    def __call__(self):
        pass


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param(lambda: lambda: 1, "the callable", id="lambda"),
        pytest.param(local_function, "the callable", id="local function"),
        pytest.param(
            lambda: functools.partial(lambda: 1), "the callable (functools.partial)", id="partial"
        ),
        pytest.param(lambda: Job(calls.echo, lambda: 1), "argument 0", id="arg"),
        pytest.param(
            lambda: Holder(local_function()), "the callable (tests.test_remedies.Holder)", id="deep"
        ),
    ],
)
def test_a_lambda_is_to_be_a_function_of_a_module(connection, make, what):
    with pytest.raises(UnstorableError) as raised:
        IQueue(connection).put(make())
    message = str(raised.value)
    assert message.startswith(what)
    assert " cannot be stored: " in message
    assert message.endswith(
        "; use a function of a module, which is found by its name, and no lambda or local one"
    )


def test_a_local_class_is_to_be_a_class_of_a_module(connection):
    class Local:
        pass

    with pytest.raises(UnstorableError, match="; use a class of a module, which is found by its"):
        IQueue(connection).put(Local)


def test_of_what_is_no_function_no_such_thing_is_said(connection):
    with pytest.raises(UnstorableError) as raised:
        IQueue(connection).call(calls.echo, (i for i in ()))
    assert "of a module" not in str(raised.value)


# -- errors without a text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZEO.Exceptions.ClientDisconnected(), "ZEO.Exceptions.ClientDisconnected"),
        (ZEO.Exceptions.ClientDisconnected("gone"), "ZEO.Exceptions.ClientDisconnected: gone"),
    ],
)
def test_an_error_is_told_by_its_class_and_its_text_if_there_is_one(error, told):
    assert utils.told(error) == told
