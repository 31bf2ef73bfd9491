"""The monitor of an application of Zope: its ZCML, its configuration, its commands."""

import contextlib
import gc
import logging
import re
import socket
import sys
import types

import pytest
import ZEO
import ZODB
import ZODB.MappingStorage
import zope.component
import zope.event
from ZODB.ActivityMonitor import ActivityMonitor
from ZODB.interfaces import IDatabase
from zope.configuration import xmlconfig

import zc.async_.testing
import zc.monitor
import zc.z3monitor
from benchmarks.storages import server
from zc.async_.interfaces import DatabaseOpened, DatabaseOpenedWithRoot
from zc.monitor.interfaces import IMonitorPlugin
from zc.z3monitor import ConfigurationError, configuration, databases, process

#: Real seconds that anything is given.
PATIENCE = 90

SITE = """
<configure xmlns="http://namespaces.zope.org/zope">
  <include package="zope.component" file="meta.zcml" />
  <include package="zope.component" />
  <include package="zc.z3monitor" />
  {more}
</configure>
"""

POLICY = """
<include package="zc.async" file="basic_dispatcher_policy.zcml" />
<adapter factory="zc.twist.connection" />
"""


def load(more=""):
    """Load the ZCML as an application does."""
    xmlconfig.string(SITE.format(more=more))


@pytest.fixture(autouse=True)
def no_monitor():
    """No monitor, and no database that an earlier test has opened."""
    databases._opened = databases._no_database
    yield
    zc.monitor.stop()
    databases._opened = databases._no_database


@pytest.fixture
def sections(monkeypatch):
    """What the configuration of the process says, by products.

    `zope.app.appsetup` itself would bring some dozens of packages.
    """
    sections = {}
    product = types.ModuleType("zope.app.appsetup.product")
    product.getProductConfiguration = sections.get
    for name in ("zope.app", "zope.app.appsetup"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "zope.app.appsetup.product", product)
    return sections


@pytest.fixture
def configured(sections):
    """A process whose configuration has the monitor listen at a free port."""
    sections["zc.z3monitor"] = {"port": "0"}
    load()


def count_anew(database):
    """Have nothing counted of what was done before, such as the storing of the root."""
    with database.transaction():
        pass
    database.getActivityMonitor().log.clear()


def open_database(database):
    zope.event.notify(DatabaseOpened(database))
    zope.event.notify(DatabaseOpenedWithRoot(database))


def ask(text):
    """What a client is told by the one monitor there is."""
    (address,) = zc.monitor.addresses()
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        connection.sendall(text.encode() + b"\n")
        pieces = []
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    return b"".join(pieces).decode()


# -- starting


def test_the_monitor_starts_when_the_database_opens(db, configured):
    assert zc.monitor.addresses() == []
    zope.event.notify(DatabaseOpened(db))
    ((host, _port),) = zc.monitor.addresses()
    assert host == "127.0.0.1"
    assert ask("help") == (
        "Supported commands:\n"
        "  dbinfo -- Get statistics of a database\n"
        "  help -- Get help about server commands\n"
        "  interactive -- Turn on monitor's interactive mode\n"
        "  monitor -- Get general information about the process\n"
        "  quit -- Quit the monitor\n"
        "  zeocache -- Get statistics of the cache of a ZEO client\n"
        "  zeostatus -- Get whether a ZEO client is connected\n"
    )


def test_it_starts_in_an_application_that_loads_its_zcml_late(db, sections):
    sections["zc.z3monitor"] = {"port": "0"}
    zope.event.notify(DatabaseOpened(db))
    load()
    zope.event.notify(DatabaseOpenedWithRoot(db))
    assert len(zc.monitor.addresses()) == 1


def test_it_starts_once(db, configured):
    open_database(db)
    (address,) = zc.monitor.addresses()
    open_database(db)
    assert zc.monitor.addresses() == [address]


def test_it_starts_again_once_it_was_stopped(db, configured):
    open_database(db)
    zc.monitor.stop()
    open_database(db)
    assert len(zc.monitor.addresses()) == 1


@pytest.mark.parametrize("section", [None, {}])
def test_without_a_configuration_no_port_is_opened(db, sections, section):
    if section is not None:
        sections["zc.z3monitor"] = section
    load()
    open_database(db)
    assert zc.monitor.addresses() == []
    assert zope.component.queryUtility(IMonitorPlugin, "dbinfo") is zc.z3monitor.dbinfo


def test_where_there_is_no_zope_app_no_port_is_opened(db, monkeypatch):
    monkeypatch.setitem(sys.modules, "zope.app.appsetup.product", None)
    load()
    open_database(db)
    assert zc.monitor.addresses() == []


def test_zope_s_configuration_is_read_too_and_a_console_opens_no_port(db, monkeypatch):
    config = types.ModuleType("App.config")
    sections = {"zc.z3monitor": {"port": "0"}}
    config._config = types.SimpleNamespace(product_config=sections)
    monkeypatch.setitem(sys.modules, "App.config", config)
    load()
    with monkeypatch.context() as console:
        console.setitem(sys.modules, "Zope2.utilities.zconsole", types.ModuleType("zconsole"))
        open_database(db)
        assert zc.monitor.addresses() == []
    open_database(db)
    assert len(zc.monitor.addresses()) == 1


def test_a_port_that_another_process_has_is_told_of_and_the_application_goes_on(
    db, sections, caplog
):
    load()
    with socket.create_server(("127.0.0.1", 0)) as other:
        sections["zc.z3monitor"] = {"port": str(other.getsockname()[1])}
        open_database(db)
    assert zc.monitor.addresses() == []
    told = [r for r in caplog.records if r.name == "zc.z3monitor"]
    assert {r.levelno for r in told} == {logging.ERROR}
    assert "cannot listen on" in told[0].getMessage()


def test_it_listens_on_a_socket_of_unix_if_it_is_told_to(db, sections, tmp_path, monkeypatch):
    # Such a path must not be long.
    monkeypatch.chdir(tmp_path)
    sections["zc.z3monitor"] = {"bind": "./monitor"}
    load()
    open_database(db)
    assert zc.monitor.addresses() == ["./monitor"]
    assert ask("zeostatus") == "NoDatabaseError: the database '-' is none of a ZEO server\n"


@pytest.mark.parametrize(
    ("section", "address"),
    [
        ({"port": "9991"}, 9991),
        ({"bind": "9991"}, ("127.0.0.1", 9991)),
        ({"bind": " :9991 "}, ("127.0.0.1", 9991)),
        ({"bind": "0.0.0.0:9991"}, ("0.0.0.0", 9991)),
        ({"bind": "Monitor.example:9991"}, ("monitor.example", 9991)),
        ({"bind": "[::1]:9991"}, ("::1", 9991)),
        ({"bind": "/var/run/monitor"}, "/var/run/monitor"),
        ({}, None),
    ],
)
def test_where_it_is_to_listen_is_understood(section, address):
    assert configuration.address_of(section) == address


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"port": "many"}, "port is not 'many'"),
        ({"port": "65536"}, "port is not '65536'"),
        ({"port": ""}, "port is not ''"),
        ({"bind": "localhost"}, "HOST:PORT or the path"),
        ({"bind": "localhost:many"}, "bind is not 'localhost:many'"),
        ({"port": "1", "bind": "1"}, "both"),
        ({"prot": "9991"}, "'prot', which means nothing"),
    ],
)
def test_what_makes_no_sense_keeps_the_application_from_starting(db, sections, section, text):
    sections["zc.z3monitor"] = section
    load()
    with pytest.raises(ConfigurationError, match=re.escape(text)) as caught:
        zope.event.notify(DatabaseOpened(db))
    assert str(caught.value).startswith("in <product-config zc.z3monitor>: ")


def test_it_starts_beside_a_dispatcher(db, sections):
    sections["zc.z3monitor"] = {"port": "0"}
    load(POLICY)
    open_database(db)
    dispatcher = zc.async_.dispatcher.get()
    try:
        zc.async_.testing.get_poll(dispatcher, 0, PATIENCE)
        assert int(ask("monitor").partition("\n")[0]) >= 1
    finally:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


# -- monitor


def test_monitor_tells_of_the_process(db, configured):
    open_database(db)
    with db.transaction():
        lines = ask("monitor").splitlines()
    assert lines[0] == "1"
    told = dict(line.split(":\t") for line in lines[1:])
    assert re.fullmatch(r"\d+ kB", told["VmSize"])
    assert re.fullmatch(r"\d+ kB", told["VmRSS"])
    assert int(told["Threads"]) >= 2
    assert len([float(load) for load in told["Load"].split()]) == 3


def test_it_tells_of_connections_that_have_been_open_for_long(db, configured):
    open_database(db)
    with db.transaction() as connection:
        connection.setDebugInfo("/news/index.html")
        young = ask("monitor")
        assert "index.html" not in young
        connection.opened -= 200
        old = ask("monitor")
        assert re.search(r"\n20\d\.\d\t/news/index\.html \(\d+\)\n", old)
        with db.transaction():
            assert len(re.findall(r"\n\d+\.\d\t", ask("monitor 0"))) == 2
    assert ask("monitor 0").startswith("0\n")


def test_it_tells_what_it_can_where_the_system_tells_little(db, configured, monkeypatch):
    monkeypatch.setattr(process, "STATUS", "/nowhere")
    monkeypatch.delattr(process.os, "getloadavg")
    open_database(db)
    assert re.fullmatch(r"0\nThreads:\t\d+\n", ask("monitor"))


# -- databases


def test_dbinfo_tells_of_loads_stores_and_caches(db, configured):
    open_database(db)
    count_anew(db)
    assert ask("dbinfo").split()[:3] == ["0", "0", "0"]
    db.cacheMinimize()
    with db.transaction() as connection:
        root = connection.root()
        root["key"] = "value"
    loads, stores, connections, objects, loaded = map(int, ask("dbinfo").split())
    assert (loads, stores, connections) == (1, 1, 1)
    assert objects >= loaded >= 1
    db.cacheMinimize()
    assert [int(number) for number in ask("dbinfo").split()][3:] == [objects, 0]
    assert root._p_changed is None


def test_dbinfo_counts_for_so_long_as_it_is_asked(db, configured):
    open_database(db)
    count_anew(db)
    with db.transaction() as connection:
        connection.root()["key"] = "value"
    activity = db.getActivityMonitor()
    activity.log = [(when - 600, *counts) for when, *counts in activity.log]
    assert ask("dbinfo").split()[:3] == ["0", "0", "0"]
    assert ask("dbinfo - 1000").split()[1:3] == ["1", "1"]


def test_dbinfo_says_so_where_nobody_counts(db, configured):
    open_database(db)
    db.setActivityMonitor(None)
    assert ask("dbinfo").split()[:3] == ["-1", "-1", "-1"]


def test_who_counts_already_goes_on(db, configured):
    counting = ActivityMonitor()
    db.setActivityMonitor(counting)
    open_database(db)
    assert db.getActivityMonitor() is counting


def test_arguments_that_are_no_numbers_are_told_of(db, configured):
    open_database(db)
    assert "could not convert" in ask("dbinfo - soon")
    assert "could not convert" in ask("monitor soon")


@pytest.fixture
def two_databases():
    group = {}
    for name in ("", "async"):
        storage = ZODB.MappingStorage.MappingStorage()
        ZODB.DB(storage, databases=group, database_name=name)
    yield group
    for database in group.values():
        database.close()


@pytest.mark.parametrize("as_utilities", [True, False])
def test_databases_have_names(two_databases, configured, as_utilities):
    if as_utilities:
        for name, database in two_databases.items():
            zope.component.provideUtility(database, IDatabase, name)
    open_database(two_databases[""])
    for database in two_databases.values():
        count_anew(database)
    with two_databases["async"].transaction() as connection:
        connection.root()["key"] = "value"
    assert ask("dbinfo async").split()[1] == "1"
    assert ask("dbinfo -").split()[1] == ask("dbinfo").split()[1] == "0"
    assert ask("monitor 100 async").startswith("0\n")
    told = ask("dbinfo nothing")
    assert told == "NoDatabaseError: there is no database 'nothing'; there are -, async\n"


def test_a_database_that_nobody_keeps_is_found_no_more(configured):
    database = ZODB.DB(None)
    open_database(database)
    database.close()
    del database
    gc.collect()
    assert ask("dbinfo").endswith("none has been opened\n")


class Around:
    """A storage that others are around of, as one that compresses."""

    def __init__(self, base):
        self.base = base

    def __getattr__(self, name):
        return getattr(self.base, name)


@pytest.mark.slow
def test_the_client_of_a_zeo_server_is_told_of(configured, tmp_path):
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(server(tmp_path))
        database = stack.enter_context(running.database())
        open_database(database)
        assert ask("zeostatus") == "True\n"
        before = [int(number) for number in ask("zeocache").split()]
        assert len(before) == 5
        with database.transaction() as connection:
            connection.root()["key"] = "value"
        with database.transaction() as connection:
            connection.cacheMinimize()
            dict(connection.root())
        after = [int(number) for number in ask("zeocache").split()]
        assert after[4] > before[4]
        database.storage = Around(database.storage)
        assert ask("zeostatus -") == "True\n"
        database.storage = database.storage.base


@pytest.mark.slow
def test_a_client_without_a_server_is_not_connected(configured, tmp_path):
    with server(tmp_path) as running:
        address = running.address
        database = ZEO.DB(address, wait=True, wait_timeout=PATIENCE)
    try:
        open_database(database)
        zc.async_.testing.wait_until(
            lambda: ask("zeostatus") == "False\n", PATIENCE, "it is still connected"
        )
    finally:
        database.close()
