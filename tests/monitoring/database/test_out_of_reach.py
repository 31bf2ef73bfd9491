"""A database that gets out of reach while a question is answered."""

import pytest
import ZEO.Exceptions
import ZODB
import zope.component
from ZODB.FileStorage import FileStorage
from ZODB.interfaces import IDatabase
from ZODB.utils import u64

from tests.monitoring.asking import ask
from tests.monitoring.database.world import World
from tests.unit import calls
from zc.async_.monitordb import asyncdb

#: Loads that are enough for anything.
PLENTY = 1 << 30


class FailingStorage(FileStorage):
    """Loads so many records, and then says what the client of a lost server says."""

    left = PLENTY

    def loadBefore(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise ZEO.Exceptions.ClientDisconnected("away")
        return super().loadBefore(*args, **kwargs)


def is_known(job):
    """A filter that looks into the database."""
    return job.queue.quotas.get("none") is None


@pytest.fixture
def storage(tmp_path, asked):
    """That of the database which is asked."""
    storage = FailingStorage(str(tmp_path / "failing.fs"))
    database = ZODB.DB(storage)
    zope.component.provideUtility(database, IDatabase)
    yield storage
    storage.left = PLENTY
    database.close()


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "UUIDs",
        "count pending completed active",
        "count pending agent:picky",
        "count failed callable:fail",
        "jobs pending completed display:details",
        "jobstats pending completed",
        "nextpending",
        "lastcompleted",
        "job {oid}",
        "traceback {oid}",
    ],
)
def test_every_tool_says_so_wherever_it_is(line, storage, clock, uuid_1, asked, caplog):
    database = zope.component.getUtility(IDatabase)
    client = calls.Client(database)
    calls.make_queue(client)
    world = World(client, client.agent(uuid_1, size=9), clock)
    client.agent(uuid_1, filter=is_known, name="picky")
    oid = u64(world.completed(calls.fail)._p_oid)
    world.active()
    world.pending()
    client.close()
    question = line.format(oid=oid)
    caplog.clear()
    answers = answers_with_ever_more_loads(storage, database, question)
    assert len(answers) > 2
    for answer in answers[:-1]:
        last = answer.splitlines()[-1]
        assert last == "[The database is out of reach: ZEO.Exceptions.ClientDisconnected: away]"
    storage.left = PLENTY
    assert ask(asyncdb, question) == answers[-1]
    assert not [record for record in caplog.records if record.name.startswith("zc.async.events")]


def answers_with_ever_more_loads(storage, database, question):
    answers = []
    for loads in range(1000):
        database.cacheMinimize()
        storage.left = loads
        answers.append(ask(asyncdb, question))
        if "out of reach" not in answers[-1]:
            break
    return answers
