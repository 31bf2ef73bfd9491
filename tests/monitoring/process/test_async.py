"""The command `async`: what a dispatcher is doing, and what it remembers."""

import datetime
import uuid

import pytest
from ZODB.utils import u64

import zc.async_.testing
from tests.dispatcher import work
from tests.monitoring.asking import ask, error, told
from zc.async_ import monitor
from zc.async_.commands import BadQuestionError, NotThereError

command = getattr(monitor, "async")

MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def own(make_dispatcher, install_agent, identity, reactor):
    """The dispatcher of this process, which is active and has an agent of size 3."""
    install_agent()
    dispatcher = make_dispatcher(uuid=identity)
    dispatcher.activate()
    reactor.time_flies(0)
    return dispatcher


def shown(job):
    """A job as it is told of."""
    return [u64(job._p_oid), "unnamed"]


@pytest.fixture
def at_work(own, put, settle):
    """Puts a job that a worker is at when this returns."""

    def at_work():
        before = len(work.happened)
        job = put(work.wait)
        settle(lambda: len(work.happened) > before)
        return job

    return at_work


# -- status


def test_status_of_a_dispatcher_in_its_life(make_dispatcher, install_agent, identity, reactor):
    install_agent()
    dispatcher = make_dispatcher(uuid=identity)
    status = {
        "poll interval": {"seconds": 5.0},
        "status": "STOPPED",
        "time since last poll": None,
        "uptime": None,
        "uuid": str(identity),
    }
    assert told(command, "status") == status
    dispatcher.activate()
    assert told(command, "status") == {**status, "status": "STARTING", "uptime": {"seconds": 0.0}}
    reactor.time_flies(0)
    reactor.time_flies(61)
    running = told(command, "status")
    assert running["status"] == "RUNNING"
    assert running["uptime"]["minutes"] == 1
    assert running["time since last poll"]["seconds"] < 5
    # What it tells of itself is not text.
    assert monitor.status()["uptime"] >= MINUTE


def test_status_of_a_dispatcher_whose_poll_is_overdue(own):
    own.polls[0].monotonic -= 100_000_000
    assert told(command, "status")["status"] == "STUCK"


def test_a_process_without_a_dispatcher_says_what_to_do(base, identity):
    for tool in ("status", "jobs", "job 1", "jobstats", "poll", "polls"):
        text = error(command, tool)
        assert f"no dispatcher of the UUID {identity}" in text
        assert "zc.async_.configure.start(db)" in text
    with pytest.raises(NotThereError):
        monitor.status()


def test_a_process_without_a_uuid_says_what_to_do():
    assert "zc.async_.configure.base()" in error(command, "status")
    assert "zc.async_.configure.base()" in error(command, "UUID")


def test_several_dispatchers_are_told_apart(own, make_dispatcher, identity):
    other = make_dispatcher(uuid=uuid.UUID(int=7), poll_interval=9)
    assert told(command, f"status uuid:{other.UUID}")["poll interval"] == {"seconds": 9.0}
    assert told(command, "status uuid:THIS") == told(command, "status")
    text = error(command, f"status uuid:{uuid.UUID(int=8)}")
    assert str(identity) in text
    assert str(other.UUID) in text
    for tool in ("jobs", "jobstats", "poll", "polls", "job 1"):
        assert "no dispatcher of the UUID" in error(command, f"{tool} uuid:{uuid.UUID(int=8)}")


# -- jobs


def test_jobs_are_those_in_threads_newest_first(own, at_work, completed, reactor):
    assert told(command, "jobs") == []
    first = at_work()
    reactor.time_flies(1)
    second = at_work()
    assert told(command, "jobs") == [shown(second), shown(first)]
    assert told(command, "jobs queue: agent:main") == [shown(second), shown(first)]
    assert monitor.jobs() == [tuple(shown(second)), tuple(shown(first))]
    work.gate.set()
    completed(first, second)
    assert told(command, "jobs") == []


def test_jobs_of_a_queue_or_agent_that_is_not_served(own):
    assert "serves no queue 'mail'; there is ''" in error(command, "jobs queue:mail")
    assert "serves no agent 'other'; there is 'main'" in error(command, "jobs agent:other")
    assert "serves no agent" in error(command, "jobs agent:")
    assert "serves no queue 'mail'" in error(command, "jobstats queue:mail")
    assert "serves no agent 'x'" in error(command, "jobstats agent:x")


# -- job


def test_a_job_is_told_of_from_its_start_to_its_end(own, at_work, completed):
    job = at_work()
    oid = u64(job._p_oid)
    info = told(command, f"job {oid}")
    assert set(info) == {
        "agent", "call", "completed", "failed", "poll id", "queue", "quota names", "reassigned",
        "result", "started", "thread",
    }  # fmt: skip
    assert info["call"].endswith("``tests.dispatcher.work.wait()``>")
    assert (info["agent"], info["queue"], info["quota names"]) == ("main", "", [])
    assert info["started"].endswith("Z")
    assert isinstance(info["thread"], int)
    assert (info["completed"], info["result"], info["failed"]) == (None, None, False)
    assert info["poll id"] == told(command, "poll")["key"]
    work.gate.set()
    completed(job)
    info = told(command, f"job {oid} database:unnamed")
    assert info["result"] == "'waited'"
    assert monitor.job(oid)["completed"].tzinfo is datetime.UTC


def test_a_job_that_failed(own, put, completed):
    job = put(work.fail)
    completed(job)
    info = told(command, f"job {u64(job._p_oid)}")
    assert info["failed"] is True
    assert info["result"] == "<zc.twist.Failure builtins.ValueError>"


def test_a_job_that_is_not_known(own, monkeypatch):
    assert "does not know a job 12" in error(command, "job 12")
    assert "of the database 'x'" in error(command, "job 12 database:x")

    def of_two(oid, database):
        raise KeyError(f"several databases have a job with the oid {oid}: name one")

    monkeypatch.setattr(own, "getJobInfo", of_two)
    assert "several databases have" in error(command, "job 12")
    with pytest.raises(BadQuestionError):
        monitor.job(12)


# -- jobstats, poll, polls


def test_figures_of_jobs(own, put, completed, at_work, reactor):
    good, bad = put(work.answer), put(work.fail)
    completed(good, bad)
    active = at_work()
    figures = told(command, "jobstats")
    counts = {key: figures[key] for key in ("started", "successful", "failed", "unknown")}
    assert counts == {"started": 3, "successful": 1, "failed": 1, "unknown": 0}
    for kind, job in {"successful": good, "failed": bad, "active": active}.items():
        assert figures[f"longest {kind}"] == figures[f"shortest {kind}"] == shown(job)
    assert figures["statistics start"] >= figures["statistics end"]
    assert told(command, "jobstats queue: agent:main") == figures
    reactor.time_flies(120)
    assert told(command, "jobstats since:1M")["started"] == 0
    assert told(command, "jobstats before:1M")["started"] == 3
    assert told(command, "jobstats since:10D")["started"] == 3
    assert told(command, "jobstats at:9D")["statistics end"] is None


def test_a_poll(own, put, completed, reactor):
    job = put(work.answer)
    completed(job)
    poll = told(command, "poll")
    agent = {"active jobs": [], "error": None, "len": 0, "new jobs": [shown(job)], "size": 3}
    assert poll["results"] == {"": {"main": agent}}
    assert poll["time"].endswith("Z")
    assert isinstance(poll["key"], int)
    assert monitor.poll()["time"].tzinfo is datetime.UTC
    reactor.time_flies(20)
    newest = told(command, "poll")
    assert newest["key"] < poll["key"]
    assert told(command, f"poll at:{poll['key']}") == poll
    assert told(command, "poll at:15S")["key"] >= poll["key"] - 6_000_000
    assert told(command, f"poll at:{newest['time']}")["key"] == newest["key"]
    earlier = told(command, f"poll before:{newest['key']}")
    assert earlier["key"] > newest["key"]
    assert "no poll is remembered" in error(command, "poll before:9D")
    assert "contradict" in error(command, "poll at:1S before:1S")


def test_an_agent_that_raises_is_shown_in_the_poll(own, client, put, reactor, settle):
    client.manager.begin()
    client.queue.dispatchers[own.UUID]["main"].chooser = work.fail
    client.manager.commit()
    reactor.time_flies(6)
    settle(lambda: own.polls[0][""]["main"]["error"] is not None)
    results = told(command, "poll")["results"]
    assert results[""]["main"]["error"] == "<zc.twist.Failure builtins.ValueError>"


def test_several_polls(own, reactor):
    reactor.time_flies(60)
    keys = [poll["key"] for poll in told(command, "polls")]
    assert len(keys) == 3
    assert keys == sorted(keys)
    assert keys == [poll.key for poll in own.polls[:3]]
    assert len(told(command, "polls count:7")) == 7
    assert len(told(command, "polls since:12S")) <= 3
    assert told(command, f"polls before:{keys[0]} count:1")[0]["key"] == keys[1]
    assert told(command, f"polls at:{keys[1]} since:{keys[1]}")[0]["key"] == keys[1]
    assert told(command, "polls at:9D") == []
    assert len(monitor.polls(count=None)) == len(own.polls)
    assert "count: '0' is no number" in error(command, "polls count:0")
    assert "contradict" in error(command, "polls at:1S before:1S")
    assert "contradict" in error(command, "jobstats at:1S before:1S")


def test_a_queue_in_which_the_dispatcher_is_not_active(own):
    own.polls[0]["mail"] = None
    assert told(command, "poll")["results"]["mail"] is None


# -- the rest


def test_the_time_and_the_uuid(base, identity):
    zc.async_.testing.set_now(datetime.datetime(2006, 8, 10, 15, 44, 23, 211))
    assert ask(command, "utcnow") == '"2006-08-10T15:44:23.000211Z"'
    assert ask(command, "UUID") == str(identity)


def test_help_tells_of_all_tools_and_their_modifiers():
    overview = ask(command, "help").splitlines()
    assert [line.partition(":")[0] for line in overview[2:]] == [
        "UUID", "help", "job", "jobs", "jobstats", "poll", "polls", "status", "utcnow",
    ]  # fmt: skip
    for name, tool in monitor.tools.command._tools.items():
        text = ask(command, f"help {name}")
        assert f"\n    async {name}" in text
        assert all(f"{modifier}:" in text for modifier in tool.modifiers)


def test_it_has_the_name_that_clients_use():
    assert command.__name__ == "async"
    assert command.__doc__.startswith("Monitor zc.async activity in this process.\n")


def test_answers_come_while_the_database_is_out_of_reach(own, monkeypatch):
    monkeypatch.setattr(own, "db", None)
    assert told(command, "status")["status"] == "RUNNING"
    assert told(command, "jobs") == []
    assert told(command, "poll")["results"]
