"""The ZCML files, through real XML, databases and events."""

import importlib
import operator

import pytest
import transaction
import ZODB
import zope.component
import zope.event
from persistent.mapping import PersistentMapping
from transaction.interfaces import ITransactionManager
from ZODB.FileStorage import FileStorage
from ZODB.interfaces import IConnection
from zope.configuration import xmlconfig

import zc.async_.dispatcher
import zc.async_.testing
import zc.monitor.server
from zc.async_.interfaces import IUUID, KEY, DatabaseOpened, DatabaseOpenedWithRoot, IJob, IQueue
from zc.async_.job import Job
from zc.async_.process import instanceuuid
from zc.monitor.interfaces import IMonitorPlugin

SITE = """
<configure xmlns="http://namespaces.zope.org/zope">
  <include package="zope.component" file="meta.zcml" />
  <include package="zope.component" />
  <include package="zc.async" file="{file}" />
  {more}
</configure>
"""

CONNECTION = '<adapter factory="zc.twist.connection" />'

POLICIES = ["basic_dispatcher_policy.zcml", "multidb_dispatcher_policy.zcml"]


def load(file, more=CONNECTION):
    """Load one of the files as an application does."""
    return xmlconfig.string(SITE.format(file=file, more=more))


@pytest.fixture
def databases(tmp_path):
    """The databases of an application, by name."""
    databases = {}
    for name in ("", "async"):
        ZODB.DB(FileStorage(str(tmp_path / f"{name}.fs")), databases=databases, database_name=name)
    yield databases
    for dispatcher in zc.async_.process.registry.dispatchers():
        zc.async_.testing.tear_down_dispatcher(dispatcher)
    transaction.abort()
    for database in list(databases.values()):
        database.close()


@pytest.fixture
def connection(databases):
    """A connection of this thread."""
    connection = databases[""].open()
    yield connection
    transaction.abort()
    connection.close()


def test_a_client_has_what_it_needs(connection):
    load("configure.zcml")
    for what in (load, connection.close, operator.mul, "a".__add__, Job):
        assert isinstance(IJob(what), Job)
    assert ITransactionManager(connection) is connection.transaction_manager
    assert ITransactionManager(connection.root()) is connection.transaction_manager
    assert IConnection(connection.root()) is connection
    assert zope.component.getUtility(IUUID) == instanceuuid.UUID
    assert zc.async_.dispatcher.get() is None


def test_the_files_need_nothing_to_be_included_before():
    xmlconfig.string(
        """
        <configure xmlns="http://namespaces.zope.org/zope">
          <include package="zc.async" />
        </configure>
        """
    )
    assert zope.component.queryUtility(IUUID) is not None


def test_an_adapter_to_connections_and_a_default_queue_are_the_application_s_choice(connection):
    load("configure.zcml", more="")
    assert IConnection(connection.root(), None) is None
    assert IQueue(connection.root(), None) is None
    load("configure.zcml", more='<adapter factory="zc.async.queue.getDefaultQueue" />')
    connection.root()[KEY] = {"": "the queue"}
    assert IQueue(connection.root(), None) == "the queue"


def test_without_a_policy_nothing_happens_when_a_database_opens(databases, connection):
    load("dispatcher.zcml")
    zope.event.notify(DatabaseOpened(databases[""]))
    assert KEY not in connection.root()
    assert zc.async_.dispatcher.get() is None


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_finds_the_queue_from_a_connection_too(policy, databases, connection):
    load(policy)
    zope.event.notify(DatabaseOpened(databases[""]))
    zc.async_.testing.get_poll(zc.async_.dispatcher.get(), 0)
    transaction.begin()
    queue = connection.root()[KEY][""]
    assert IQueue(connection) is queue
    assert IQueue(connection.root()) is queue


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "events",
    [
        pytest.param([DatabaseOpened], id="DatabaseOpened"),
        pytest.param([DatabaseOpenedWithRoot], id="DatabaseOpenedWithRoot"),
        pytest.param([DatabaseOpened, DatabaseOpenedWithRoot], id="both"),
    ],
)
def test_a_policy_starts_all_when_the_database_opens(policy, events, databases, connection):
    load(policy)
    for event in events:
        zope.event.notify(event(databases[""]))
    assert len(zc.async_.process.registry.dispatchers()) == 1
    dispatcher = zc.async_.dispatcher.get()
    assert zc.async_.testing.get_poll(dispatcher, 0) == {
        "": {"main": {"active jobs": [], "error": None, "len": 0, "new jobs": [], "size": 3}}
    }
    transaction.begin()
    queue = IQueue(connection.root())
    job = queue.put(Job(operator.mul, 21, 2))
    transaction.commit()
    assert zc.async_.testing.wait_for_result(job) == 42


@pytest.mark.parametrize(("policy", "home"), list(zip(POLICIES, ["", "async"], strict=True)))
def test_a_policy_says_which_database_has_the_queues(policy, home, databases, connection):
    load(policy)
    zope.event.notify(DatabaseOpened(databases[""]))
    transaction.begin()
    assert IQueue(connection.root())._p_jar.db().database_name == home


def test_content_and_queue_in_two_databases_work_together(databases, connection):
    load("multidb_dispatcher_policy.zcml")
    zope.event.notify(DatabaseOpened(databases[""]))
    transaction.begin()
    content = connection.root()["content"] = PersistentMapping()
    transaction.commit()
    job = IQueue(connection.root()).put(Job(content.setdefault, "key", "value"))
    transaction.commit()
    assert zc.async_.testing.wait_for_result(job) == "value"
    assert content.get("key") == "value"


def test_the_commands_of_operators_are_registered_and_no_port_is_opened():
    load("dispatcher.zcml")
    for module, name in (("monitor", "async"), ("monitordb", "asyncdb")):
        plugin = zope.component.getUtility(IMonitorPlugin, name)
        assert plugin is getattr(importlib.import_module(f"zc.async.{module}"), name)
        assert plugin is getattr(importlib.import_module(f"zc.async_.{module}"), name)
    assert not zc.monitor.server._servers


def test_a_process_that_only_puts_jobs_can_have_them_too(databases, connection):
    load("monitor.zcml")
    assert zope.component.queryUtility(IMonitorPlugin, "asyncdb") is not None
