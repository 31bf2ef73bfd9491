"""`asyncdb job`, `asyncdb traceback`: one job, in all detail."""

import datetime

import pytest
import transaction
import ZODB
import zope.component
from ZODB.FileStorage import FileStorage
from ZODB.interfaces import IDatabase
from ZODB.utils import u64

from tests.monitoring.database.world import shown
from tests.unit import calls
from zc.async_ import monitordb
from zc.async_.commands import BadQuestionError, NotThereError
from zc.async_.interfaces import DatabaseOpened, IQueue
from zc.async_.job import Job
from zc.async_.subscribers import QueueInstaller


def oid_of(job):
    return u64(job._p_oid)


def test_a_pending_job(world, clock, asked):
    world.client.queue.quotas.create("few")
    job = world.pending(calls.echo, 1, "a", quota_names=["few"])
    callback = job.addCallback(calls.identity)
    proxy = job.addCallbacks(calls.identity)
    job.kwargs["password"] = "secret"
    job.kwargs["key"] = world.client.queue
    world.client.commit()
    clock.advance(seconds=3)
    assert asked.value(f"job {oid_of(job)}") == {
        "repr": repr(job),
        "args": ["1", "'a'"],
        "kwargs": {
            "password": "***",
            "key": f"zc.async_.queue.Queue (oid {oid_of(world.client.queue)}, db 'unnamed')",
        },
        "status": "pending",
        "quota names": ["few"],
        "begin after": "2030-01-01T12:00:00Z",
        "active start": None,
        "active end": None,
        "initial callbacks end": None,
        "wait": {"seconds": 3.0},
        "active": None,
        "failed": False,
        "result": "None",
        "agent": None,
        "dispatcher": None,
        "queue": "",
        "callbacks": shown(callback, proxy),
    }


def test_a_completed_job(world, clock, asked, uuid_1):
    job = world.pending(calls.add, 1, 2)
    clock.advance(seconds=2)
    calls.run_next(world.agent)
    told = asked.value(f"job {oid_of(job)} database:unnamed")
    assert told["status"] == "completed"
    assert (told["result"], told["failed"]) == ("3", False)
    assert told["wait"] == {"seconds": 2.0}
    assert told["active"] == {"seconds": 0.0}
    assert told["active end"] == told["initial callbacks end"] == "2030-01-01T12:00:02Z"
    assert (told["queue"], told["agent"], told["dispatcher"]) == ("", "main", str(uuid_1))


@pytest.mark.parametrize(
    ("state", "status"),
    [("assigned", "assigned"), ("active", "active"), ("callbacks", "callback")],
)
def test_the_word_for_each_status(state, status, world, asked):
    job = getattr(world, state)()
    assert asked.value(f"job {oid_of(job)}")["status"] == status


def test_a_new_job_that_was_never_in_a_queue(world, asked):
    job = world.client.add("job", Job(calls.nothing))
    told = asked.value(f"job {oid_of(job)}")
    assert told["status"] == "new"
    assert told["wait"] is told["begin after"] is told["queue"] is None


def test_a_job_that_failed(world, asked):
    job = world.completed(calls.fail)
    told = asked.value(f"job {oid_of(job)}")
    assert told["failed"] is True
    assert told["result"].startswith("Traceback: builtins.ValueError: it failed\n")
    brief = asked.text(f"traceback {oid_of(job)} detail:brief")
    assert brief + "\n" == told["result"]
    text = asked.text(f"traceback {oid_of(job)}")
    assert text == asked.text(f"traceback {oid_of(job)} detail:default")
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("\nbuiltins.ValueError: it failed")
    assert "[ Locals ]" in asked.text(f"traceback {oid_of(job)} detail:verbose database:unnamed")


def test_a_job_that_did_not_fail_has_no_traceback(world, asked):
    job = world.completed()
    assert asked.text(f"traceback {oid_of(job)}") == "null"


def test_what_is_no_job(world, asked):
    queue = world.client.queue
    for tool in ("job", "traceback"):
        assert "there is no job 99999 in the database 'unnamed'" in asked.error(f"{tool} 99999")
        text = asked.error(f"{tool} {oid_of(queue)}")
        assert "is no job but a zc.async_.queue.Queue" in text
        assert "there is no database 'x'; there is 'unnamed'" in asked.error(f"{tool} 1 database:x")
        assert "is no oid" in asked.error(f"{tool} x")
        assert "give one oid" in asked.error(tool)
    assert "'all' is none of brief, default, verbose" in asked.error("traceback 1 detail:all")


def test_a_job_that_cannot_be_loaded(world, asked, client):
    job, other = world.pending(calls.add, Unloadable()), world.pending(calls.add)
    world.agent.size = 9
    client.commit()
    text = asked.error(f"job {oid_of(job)}")
    assert "cannot be loaded: restore the classes of its arguments" in text
    assert asked.value("count pending") == 2
    assert asked.value("jobs pending") == shown(other)
    assert asked.value("nextpending")["repr"] == repr(other)
    assert asked.value("count pending callable:add") == 1


class Unloadable:
    """Cannot be loaded in a connection but its own."""

    def __getstate__(self):
        return {"x": 1}

    def __setstate__(self, state):
        raise ImportError("its class is gone")


def test_an_agent_that_is_broken_hides_nothing_of_its_jobs(world, asked, monkeypatch):
    job = world.completed()

    def broken(self):
        raise RuntimeError("out of order")

    monkeypatch.setattr(Job, "agent", property(broken))
    told = asked.value(f"job {oid_of(job)}")
    assert told["agent"] is told["dispatcher"] is told["queue"] is None
    assert told["status"] == "completed"


def test_the_functions_answer_with_plain_values(world, client):
    job = world.completed()
    client.begin()
    told = monitordb.job(client.connection, oid_of(job))
    assert isinstance(told["wait"], datetime.timedelta)
    assert told["active start"].tzinfo is datetime.UTC
    assert told["callbacks"] == []
    assert monitordb.traceback(client.queue, oid_of(job)) is None
    with pytest.raises(BadQuestionError):
        monitordb.traceback(client.queue, oid_of(job), detail="x")
    with pytest.raises(NotThereError):
        monitordb.job(client.queue, 1 << 60)


def test_a_queue_in_a_second_database(tmp_path, asked):
    databases = {}
    for name in ("content", "async"):
        storage = FileStorage(str(tmp_path / f"{name}.fs"))
        ZODB.DB(storage, databases=databases, database_name=name)
    try:
        QueueInstaller(db_name="async")(DatabaseOpened(databases["content"]))
        zope.component.provideUtility(databases["content"], IDatabase)
        connection = databases["content"].open()
        try:
            job = IQueue(connection).put(calls.nothing)
            transaction.commit()
            told = [oid_of(job), "async"]
        finally:
            transaction.abort()
            connection.close()
        assert asked.value("jobs pending") == [told]
        assert asked.value(f"job {told[0]}")["status"] == "pending"
        assert asked.value(f"job {told[0]} database:async")["status"] == "pending"
        assert asked.value(f"job {told[0]}-async")["status"] == "pending"
        assert asked.text(f"traceback {told[0]}-async") == "null"
        assert "leave out database:" in asked.error(f"job {told[0]}-async database:async")
        assert "there is no job 99999-async" in asked.error("job 99999-async")
        assert "a database named 'x'" in asked.error("job 1-x")
        assert "in the database 'content'" in asked.error(f"job {told[0]} database:content")
        assert asked.value("nextpending")["repr"].endswith(
            "db 'async') ``tests.unit.calls.nothing()``>"
        )
        text = asked.error("job 1 database:x")
        assert "there is 'async', 'content'" in text
    finally:
        for database in databases.values():
            database.close()
