"""What a dispatcher tells of its polls and jobs."""

import logging

import pytest
from ZODB.utils import u64

import zc.async_.clock
import zc.async_.testing
from tests.dispatcher import work
from tests.dispatcher.looking import SECOND, idle, reported
from zc.async_.agent import Agent
from zc.async_.dispatcher.plans import Outcome
from zc.async_.job import Job
from zc.async_.testing import BEGINNING


def test_what_is_told_of_a_job(dispatcher, put, completed, client, settle):
    client.queue.quotas.create("one")
    client.manager.commit()
    job = put(Job(work.thread_id, 1), quota_names=["one"])
    completed(job)
    settle(lambda: idle(dispatcher))
    thread = job.result
    assert dispatcher.getJobInfo(u64(job._p_oid)) == {
        "agent": "main",
        "call": repr(job),
        "completed": BEGINNING.replace(tzinfo=None),
        "failed": False,
        "poll id": dispatcher.polls[0].key,
        "queue": "",
        "quota names": ("one",),
        "reassigned": False,
        "result": str(thread),
        "started": BEGINNING.replace(tzinfo=None),
        "thread": thread,
    }
    with pytest.raises(KeyError):
        dispatcher.getJobInfo(1, "unknown")
    assert dispatcher.jobs == {reported(job): dispatcher.getJobInfo(u64(job._p_oid))}
    with pytest.raises(AttributeError):
        dispatcher.jobs = {}


@pytest.mark.parametrize(
    "take",
    [
        pytest.param(lambda job: [job.queue.putBack(job), job.queue.claim()], id="claimed"),
        pytest.param(lambda job: job.fail(), id="failed"),
        pytest.param(lambda job: job.agent.parent.deactivate(), id="the dispatcher is buried"),
    ],
)
def test_a_job_that_somebody_took_is_told_to_be_reassigned_while_its_thread_is_at_it(
    dispatcher, client, begin, put, begun, reactor, settle, take
):
    other = begin(work.wait)
    job = put(work.wait)
    begun(2)
    reactor.time_flies(5)
    told = dispatcher._records._jobs[reported(job)]
    assert not told["reassigned"]
    assert not dispatcher.getJobInfo(*reported(other))["reassigned"]
    client.manager.begin()
    # No place to begin it again.
    job.agent.size = 1
    take(job)
    client.manager.commit()
    reactor.time_flies(5)
    settle(lambda: told["reassigned"])
    assert told["completed"] is None
    assert dispatcher.getJobInfo(*reported(job))["reassigned"]
    work.gate.set()


def test_the_trace_has_the_polls_and_the_starts_and_ends_of_threads(
    dispatcher, put, completed, reactor, stop, caplog
):
    caplog.set_level(logging.DEBUG, "zc.async.trace")
    job = put(work.thread_id)
    completed(job)
    reactor.time_flies(5)
    stop()

    def said(word):
        return [r for r in caplog.records if word in r.getMessage() and r.name == "zc.async.trace"]

    (start,) = said("starts")
    assert start.getMessage() == f"thread 'zc.async /main' ({job.result}) starts"
    assert said(f"poll {dispatcher.polls[0].key}: {{'': {{'main': {{'active jobs': []")
    zc.async_.testing.wait_until(lambda: said("ends"), 5, "the thread does not end")
    (end,) = said("ends")
    assert end.getMessage() == f"thread 'zc.async /main' ({job.result}) ends"


def test_what_is_told_of_a_job_that_was_given_up(
    dispatcher, client, begin, begun, settle, agents_of, reactor, completed
):
    job = begin(client.root["counter"].increase_and_wait)
    agents_of(dispatcher).deactivate()
    client.manager.commit()
    # It lives, is reactivated, and gets the job a second time.
    begun(2)
    work.gate.set()
    completed(job)
    settle(lambda: idle(dispatcher))
    assert job.result == 1
    assert dispatcher.getJobInfo(*reported(job))["result"] == "1"
    # One was the job of the system that asked what is to become of it.
    assert dispatcher.getStatistics()["started"] == 2


def test_active_jobs_are_told_the_newest_first(dispatcher, put, begun, reactor, client, agents_of):
    agents_of(dispatcher)["other"] = Agent(size=1, filter=is_sleeper)
    client.manager.commit()
    jobs = []
    for _ in range(2):
        jobs.append(put(work.wait))
        begun(len(jobs))
        reactor.time_flies(1)
    assert dispatcher.getActiveJobIds() == [reported(job) for job in reversed(jobs)]
    assert dispatcher.getActiveJobIds(queue="other") == []
    assert dispatcher.getActiveJobIds(agent="none") == []
    by_agent = [dispatcher.getActiveJobIds(agent=name) for name in ("main", "other")]
    assert sorted(by_agent[0] + by_agent[1]) == sorted(reported(job) for job in jobs)


def is_sleeper(job):
    return True


def test_polls_tell_of_agents_and_their_jobs(dispatcher, begin, reactor, completed):
    first = begin(work.wait)
    reactor.time_flies(5)
    poll = dispatcher.getPollInfo()
    assert poll is dispatcher.polls[0]
    assert poll == {
        "": {
            "main": {
                "active jobs": [reported(first)],
                "error": None,
                "len": 1,
                "new jobs": [],
                "size": 3,
            }
        }
    }
    assert dispatcher.polls[1][""]["main"]["new jobs"] == [reported(first)]
    assert list(dispatcher.iterPolls()) == dispatcher.polls
    assert list(dispatcher.iterPolls(before=poll.key)) == dispatcher.polls[1:]
    assert dispatcher.getPollInfo(at=3 * SECOND) is dispatcher.polls[1]


def test_as_many_polls_and_jobs_are_remembered_as_is_wished(
    start_dispatcher, install_agent, reactor, put, completed
):
    install_agent()
    dispatcher = start_dispatcher(polls_size=2, jobs_size=1)
    reactor.time_flies(20)
    assert len(dispatcher.polls) == 2
    jobs = []
    for _ in range(3):
        jobs.append(put(work.answer))
        completed(jobs[-1])
    assert dispatcher.getJobInfo(*reported(jobs[-1]))
    with pytest.raises(KeyError):
        dispatcher.getJobInfo(*reported(jobs[0]))


def test_no_poll_need_be_remembered(start_dispatcher, install_agent, reactor, put, completed):
    install_agent()
    dispatcher = start_dispatcher(polls_size=0, jobs_size=0)
    reactor.time_flies(5)
    completed(put(work.answer))
    assert dispatcher.polls == []


def test_statistics_are_kept(dispatcher, put, completed, begun, reactor, settle):
    completed(put(work.answer), put(work.answer), put(work.fail))
    settle(lambda: idle(dispatcher))
    reactor.time_flies(5)
    running = put(work.wait)
    begun(3)
    statistics = dispatcher.getStatistics()
    assert statistics["started"] == 4
    assert statistics["successful"] == 2
    assert statistics["failed"] == 1
    assert statistics["longest active"] == reported(running)
    assert dispatcher.getStatistics(since=BEGINNING + 5 * SECOND)["started"] == 1
    assert dispatcher.getStatistics(agent="other")["started"] == 0


def test_figures_survive_a_poll_that_could_do_nothing(
    dispatcher, put, completed, settle, database, reactor
):
    completed(put(work.answer))
    settle(lambda: idle(dispatcher))
    assert dispatcher.getStatistics()["started"] == 1
    dispatcher._handing_out.record(outcome_of_a_failed_poll(), is_periodic=False)
    assert dispatcher.getStatistics()["started"] == 1


def outcome_of_a_failed_poll():
    """The queue was reached, and then no more."""
    return Outcome(info={"": {}}, failed=True)


def test_the_state_is_told(make_dispatcher, reactor):
    dispatcher = make_dispatcher(poll_interval=4)
    state = {
        "poll interval": 4 * SECOND,
        "status": "STOPPED",
        "time since last poll": None,
        "uptime": None,
        "uuid": str(dispatcher.UUID),
    }
    assert dispatcher.getStatusInfo() == state
    dispatcher.activate()
    state |= {"status": "STARTING", "uptime": 0 * SECOND}
    assert dispatcher.getStatusInfo() == state
    reactor.time_flies(11)
    state |= {"status": "RUNNING", "uptime": 11 * SECOND, "time since last poll": 3 * SECOND}
    assert dispatcher.getStatusInfo() == state
    zc.async_.testing.set_now(zc.async_.clock.now() - 3600 * SECOND)
    assert dispatcher.getStatusInfo() == state
    zc.async_.testing.virtualtime.let_pass(10_000_000)
    assert dispatcher.getStatusInfo()["status"] == "STUCK"
    dispatcher.deactivate()
    state |= {"status": "STOPPED", "uptime": None, "time since last poll": None}
    assert dispatcher.getStatusInfo() == state
