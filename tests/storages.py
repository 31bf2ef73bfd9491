"""The storages that the contract is for, for fixtures with `params=KINDS`."""

import contextlib

import pytest
import ZODB
from ZEO.ClientStorage import ClientStorage
from ZODB.FileStorage import FileStorage

from benchmarks.postgres import open_storage
from benchmarks.storages import PATIENCE
from tests.zeoservers import empty_server

#: FileStorage is among the quick tests; the others take some seconds each.
KINDS = [
    "FileStorage",
    pytest.param("ZEO", marks=pytest.mark.slow),
    pytest.param("RelStorage", marks=pytest.mark.slow),
    pytest.param("RelStorage with history", marks=pytest.mark.slow),
]


@contextlib.contextmanager
def _storage(kind, request, folder):
    with contextlib.ExitStack() as stack:
        if kind == "FileStorage":
            yield FileStorage(str(folder / "Data.fs"))
        elif kind == "ZEO":
            server = stack.enter_context(empty_server(folder))
            yield ClientStorage(server.address, wait=True, wait_timeout=PATIENCE)
        else:
            postgres = request.getfixturevalue("postgres")
            zodb = postgres.zodb(keep_history=kind.endswith("history"))
            stack.callback(postgres.drop, zodb.name)
            yield open_storage(zodb.dsn, zodb.keep_history)


@contextlib.contextmanager
def opened(kind, request, folder, **options):
    """An empty database of a kind, with options of `ZODB.DB`.

    `request`: of a fixture; `folder`: an empty one.
    """
    with _storage(kind, request, folder) as storage:
        database = ZODB.DB(storage, **options)
        try:
            yield database
        finally:
            database.close()


@contextlib.contextmanager
def opened_group(kind, request, folder, names):
    """Empty databases of a kind in one group, by their names. Each has a server of its own."""
    databases = {}
    with contextlib.ExitStack() as stack:
        for name in names:
            place = folder / name
            place.mkdir()
            options = {"databases": databases, "database_name": name}
            stack.enter_context(opened(kind, request, place, **options))
        yield databases
