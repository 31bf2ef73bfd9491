"""A database with jobs in every state, at a time that stands."""

import pytest
import zope.component
from ZODB.interfaces import IDatabase

import zc.async_.configure
from tests.monitoring.asking import ask, error, told
from tests.monitoring.database.world import World
from tests.unit.conftest import (
    agent,
    client,
    clock,
    connect,
    happened,
    other,
    queue,
    to_raise,
    uuid_1,
    uuid_2,
)
from zc.async_.monitordb import asyncdb

__all__ = [
    "agent",
    "client",
    "clock",
    "connect",
    "happened",
    "other",
    "queue",
    "to_raise",
    "uuid_1",
    "uuid_2",
]


class Questions:
    """Asks `asyncdb`."""

    def text(self, line):
        return ask(asyncdb, line)

    def value(self, line):
        return told(asyncdb, line)

    def error(self, line):
        return error(asyncdb, line)


@pytest.fixture
def asked(db):
    """Asks `asyncdb` about `db`, in a process without a dispatcher."""
    zc.async_.configure.base()
    zope.component.provideUtility(db, IDatabase)
    return Questions()


@pytest.fixture
def world(client, agent, clock):
    return World(client, agent, clock)
