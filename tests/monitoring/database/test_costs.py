"""What questions cost in a database with many jobs: records that are loaded, and kept in memory."""

import gc
import time
import tracemalloc

import pytest
import ZODB
import zope.component
from ZODB.FileStorage import FileStorage
from ZODB.interfaces import IDatabase

import zc.async_.configure
from tests.monitoring.asking import Answer, ask, told
from tests.unit import calls
from zc.async_.clock import microseconds
from zc.async_.job import Job
from zc.async_.monitordb import asyncdb, filtering, finding

#: Jobs that wait, and as many that have completed.
FEW, MANY = 2_000, 100_000

#: Records that a question may load that is to be answered at once.
SOME = 150

#: Seconds in which it is to be answered.
AT_ONCE = 1.0

AT_ONCE_TOOLS = [
    "count pending",
    "count completed",
    "count pending assigned active callbacks completed",
    "count completed uuid:{uuid}",
    "count pending uuid:{uuid} agent:main",
    "count completed queue: agent:m*",
    "status",
    "nextpending",
    "lastcompleted",
    "jobs pending count:5",
    "jobs completed count:5",
    "UUIDs",
    "unserved",
]


class CountingStorage(FileStorage):
    """Counts the records that are loaded."""

    loads = 0

    def load(self, *args, **kwargs):
        self.loads += 1
        return super().load(*args, **kwargs)

    def loadBefore(self, *args, **kwargs):
        self.loads += 1
        return super().loadBefore(*args, **kwargs)


class Database:
    """A database with jobs that ask for no quota, as dispatchers leave it."""

    def __init__(self, path, uuid, jobs):
        self.storage = CountingStorage(str(path / "many.fs"))
        self.db = ZODB.DB(self.storage)
        self.uuid = uuid
        client = calls.Client(self.db)
        calls.make_queue(client)
        agent = client.agent(uuid)
        for number in range(jobs):
            client.queue.put(Job(calls.add, number))
            self._complete(client, agent, Job(calls.fail if number % 10 else calls.add, number))
            if number % 500 == 499:
                client.commit()
                client.connection.cacheGC()
            if number == jobs // 2:
                # Half of them are in the backlog, as those are that a claim has read.
                client.commit()
                with client.queue.claiming() as claim:
                    claim.next(refuse)
        client.commit()
        client.close()
        # Another connection, which has seen nothing.
        self.db.close()
        self.storage = CountingStorage(str(path / "many.fs"))
        self.db = ZODB.DB(self.storage)
        zope.component.provideUtility(self.db, IDatabase)

    @staticmethod
    def _complete(client, agent, job):
        client.connection.add(job)
        job.assign_to(agent)
        job.activate_at(microseconds())
        job.end_with(len(agent.completed))
        agent.completed.add(job)

    def forget(self):
        """Have nothing in memory."""
        self.db.cacheMinimize()
        self.storage.loads = 0


def refuse(job):
    return False


@pytest.fixture(
    params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def database(request, tmp_path, uuid_1):
    zc.async_.configure.base()
    database = Database(tmp_path, uuid_1, request.param)
    database.jobs = request.param
    yield database
    database.db.close()


def test_whole_states_and_single_jobs_are_told_at_once(database):
    longest = {}
    for line in AT_ONCE_TOOLS:
        database.forget()
        question = line.format(uuid=database.uuid)
        began = time.perf_counter()
        answer = ask(asyncdb, question)
        longest[question] = time.perf_counter() - began
        assert not answer.startswith("[") or answer.startswith("[\n"), answer
        assert database.storage.loads < SOME, question
    if database.jobs == MANY:
        assert max(longest.values()) < AT_ONCE, longest
    assert told(asyncdb, "count pending") == told(asyncdb, "count completed") == database.jobs
    assert told(asyncdb, "status")[""]["len"] == database.jobs
    assert told(asyncdb, "nextpending")["args"] == ["0"]
    assert told(asyncdb, "lastcompleted")["args"] == [str(database.jobs - 1)]


def test_filters_read_all_jobs_and_keep_few_in_memory(database, monkeypatch):
    kept = []

    def accepts(test):
        def looking(job):
            kept.append(job._p_jar._cache.cache_non_ghost_count)
            return test(job)

        return looking

    calls_of = filtering._calls
    monkeypatch.setattr(filtering, "_calls", lambda globs: accepts(calls_of(globs)))
    count = database.jobs
    for line, number in {
        "count pending callable:add": count,
        "count completed callable:add": count // 10,
        "count failed callable:*": 0,
        "count succeeded callable:*": count,
    }.items():
        kept.clear()
        database.forget()
        assert told(asyncdb, line) == number
        assert database.storage.loads > count / 2
        assert max(kept, default=0) < 4 * finding.BATCH


@pytest.mark.slow
def test_a_list_is_written_as_it_is_read(database):
    class Counting(Answer):
        length = 0

        def write(self, text):
            self.length += len(text)

    database.forget()
    gc.collect()
    tracemalloc.start()
    try:
        answer = Counting()
        display = "details" if database.jobs == FEW else "default"
        asyncdb(answer, "jobs", "pending", "completed", f"display:{display}")
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.length > 2 * database.jobs * len("[9, 'unnamed']")

    assert peak < 5_000_000
