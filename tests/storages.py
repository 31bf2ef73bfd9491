"""The storages that the contract is for, for fixtures with `params=KINDS`."""

import contextlib

import pytest
import ZODB
from ZODB.FileStorage import FileStorage

from benchmarks.storages import empty_server

#: FileStorage is among the quick tests; the others take some seconds each.
KINDS = [
    "FileStorage",
    pytest.param("ZEO", marks=pytest.mark.slow),
    pytest.param("RelStorage", marks=pytest.mark.slow),
    pytest.param("RelStorage with history", marks=pytest.mark.slow),
]


@contextlib.contextmanager
def opened(kind, request, folder):
    """An empty database of a kind. `request`: of a fixture; `folder`: an empty one."""
    with contextlib.ExitStack() as stack:
        if kind == "FileStorage":
            database = ZODB.DB(FileStorage(str(folder / "Data.fs")))
            stack.callback(database.close)
        elif kind == "ZEO":
            server = stack.enter_context(empty_server(folder))
            database = stack.enter_context(server.database())
        else:
            postgres = request.getfixturevalue("postgres")
            zodb = postgres.zodb(keep_history=kind.endswith("history"))
            stack.callback(postgres.drop, zodb.name)
            database = stack.enter_context(zodb.database())
        yield database
