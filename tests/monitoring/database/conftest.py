"""A database with jobs in every state, at a time that stands."""

import pytest
import zope.component
from ZODB.interfaces import IDatabase
from ZODB.utils import u64

import zc.async_.configure
from tests.monitoring.asking import ask, error, told
from tests.unit import calls
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
from zc.async_.job import Job
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


class World:
    """Brings jobs into any state, as an agent does."""

    def __init__(self, client, agent, clock):
        self.client = client
        self.agent = agent
        self.clock = clock

    def pending(self, callable=calls.nothing, *args, **options):
        return self.client.put(Job(callable, *args), **options)

    def assigned(self, callable=calls.nothing, *args, agent=None):
        job = self.pending(callable, *args)
        claimed = (self.agent if agent is None else agent).claimJob()
        assert claimed is job
        self.client.commit()
        return job

    def active(self, callable=calls.nothing, *args, agent=None):
        job = self.assigned(callable, *args, agent=agent)
        job.activate_at(self.clock.time)
        self.client.commit()
        return job

    def callbacks(self, callable=calls.nothing, *args):
        job = self.active(callable, *args)
        job.addCallback(calls.identity)
        job.end_with(None)
        self.client.commit()
        return job

    def completed(self, callable=calls.nothing, *args, agent=None):
        agent = self.agent if agent is None else agent
        job = self.pending(callable, *args)
        assert calls.run_next(agent) is job
        agent.keep_books()
        self.client.commit()
        return job


@pytest.fixture
def world(client, agent, clock):
    return World(client, agent, clock)


def shown(*jobs):
    """Jobs as they are told of."""
    return [[u64(job._p_oid), "unnamed"] for job in jobs]
