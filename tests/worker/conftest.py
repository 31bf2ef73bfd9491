"""A ZEO server, and supervisors that are ended with the test."""

import pytest

import zc.async_.configure
from tests import servers
from tests.processes import Entry
from tests.races.parties import Client
from tests.worker.supervisors import Supervisor

zeo, database, see, wait_for = servers.zeo, servers.database, servers.see, servers.wait_for


@pytest.fixture
def shared(zeo):
    """What `database` is of."""
    return zeo


@pytest.fixture
def base():
    """The components that the library needs."""
    zc.async_.configure.base()


@pytest.fixture
def client(database):
    """A connection to the database of the server."""
    client = Client(database)
    yield client
    client.close()


@pytest.fixture
def entries(client):
    """Makes records that count."""

    def entries(count):
        made = client.root["entries"] = [Entry() for _ in range(count)]
        client.manager.commit()
        return made

    return entries


@pytest.fixture
def start(tmp_path):
    """Starts `zc-async worker`."""
    started = []

    def start(*arguments, state="state", environment=None):
        """`state`: below the folder of the test; None: somebody else says it."""
        if state is not None:
            arguments = ("--state", tmp_path / state, *arguments)
        supervisor = Supervisor(tmp_path, arguments, environment)
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.close()


@pytest.fixture
def work(start, zeo):
    """Starts workers for the server, and waits until all are up."""

    def work(*arguments, environment=None):
        uri = "zeo://{}:{}".format(*zeo.address)
        return start("--db", uri, *arguments, environment=environment).wait_until_up()

    return work
