"""A connection for one question."""

import contextlib
from collections.abc import Iterator
from typing import Any

import transaction
import ZODB.interfaces
import zope.component

import zc.async_.dispatcher
import zc.async_.process
from zc.async_ import utils
from zc.async_.commands import NotThereError


@contextlib.contextmanager
def connected() -> Iterator[tuple[Any]]:
    """Open a connection to the database of this process, in a transaction that cannot commit.

    It is closed at the end. For any thread.
    """
    database = database_of_process()
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    try:
        # A filter of an application, or a __repr__, may try to change something.
        manager.get().doom()
        yield (connection,)
    finally:
        try:
            manager.abort()
        finally:
            connection.close()


def database_of_process() -> Any:
    """The database of this process's dispatcher, or else the `IDatabase` utility without a name.

    Raises `NotThereError` if there is none, `ClosedDatabaseError` if it was closed.
    """
    dispatcher = zc.async_.dispatcher.get()
    if dispatcher is not None:
        database = dispatcher.db
    else:
        database = zope.component.queryUtility(ZODB.interfaces.IDatabase)
    if database is None:
        others = {one.db for one in zc.async_.process.registry.dispatchers()}
        if len(others) != 1:
            raise NotThereError(
                "this process has no dispatcher of its own UUID whose database could be asked, and "
                "no utility for ZODB.interfaces.IDatabase: call zc.async_.configure.start(db), or "
                "zope.component.provideUtility(db, ZODB.interfaces.IDatabase)"
            )
        database = others.pop()
    utils.check_is_open(database)
    return database
