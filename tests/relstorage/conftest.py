"""Databases in PostgreSQL whose server, and whose connections, tests break."""

import contextlib
import pathlib
import tempfile

import pytest
import transaction

import zc.async_.relstorage
from benchmarks.clients import Small
from tests.postgres import FORGETFUL, check_installed, start
from tests.torture.proxy import Proxy


def pytest_collection_modifyitems(items):
    """All of these start a server of their own, and wait for what they broke."""
    for item in items:
        if item.path.is_relative_to(pathlib.Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def running():
    """A server for the tests of a module."""
    check_installed()
    with tempfile.TemporaryDirectory(prefix="zc.async-") as folder:
        server = start(folder, *FORGETFUL)
        yield server
        server.stop()


@pytest.fixture
def server(running):
    """A server that a test may stop: for the next one, it runs again."""
    yield running
    if not running.is_running:
        running.start()


@pytest.fixture
def zodb(server):
    """A ZODB in a server that may be stopped."""
    zodb = server.zodb()
    yield zodb
    if not server.is_running:
        server.start()
    server.drop(zodb.name)


@pytest.fixture
def database(zodb):
    """The database, whose errors are told apart."""
    with zodb.database() as database:
        zc.async_.relstorage.watch(database)
        yield database


@pytest.fixture
def proxy(server):
    """A network before the server, which can be cut."""
    with Proxy(("127.0.0.1", server.port)).running() as proxy:
        yield proxy


@pytest.fixture
def cut_off(zodb, proxy):
    """The same database as `database`, behind the network."""
    with zodb.through(proxy.address[1]).database() as database:
        zc.async_.relstorage.watch(database)
        yield database


class Party:
    """A connection with a transaction manager of its own, and some objects."""

    def __init__(self, database):
        self.manager = transaction.TransactionManager()
        self.connection = database.open(self.manager)
        zc.async_.relstorage.guard(self.connection)

    @property
    def root(self):
        return self.connection.root()

    def close(self):
        # Its database may have been closed.
        if self.connection.opened:
            self.manager.abort()
            self.connection.close()


@pytest.fixture
def connect(database):
    """Opens guarded connections; they are closed in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda database: stack.enter_context(contextlib.closing(Party(database)))


@pytest.fixture
def party(connect, database):
    """A guarded connection; `root` has 'a' and 'b'."""
    party = connect(database)
    for name in "ab":
        party.root[name] = Small()
    party.manager.commit()
    return party


class At:
    """Takes part in a transaction, last of all, and does something in one of its phases."""

    def __init__(self, phase, act):
        self._phase = phase
        self._act = act

    def sortKey(self):
        return "~"

    def abort(self, transaction):
        """Nothing was done."""

    def _reach(self, phase):
        if phase == self._phase:
            self._act()

    def tpc_begin(self, transaction):
        self._reach("tpc_begin")

    def commit(self, transaction):
        self._reach("commit")

    def tpc_vote(self, transaction):
        self._reach("tpc_vote")

    def tpc_finish(self, transaction):
        self._reach("tpc_finish")

    tpc_abort = abort
