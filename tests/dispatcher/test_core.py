"""Dispatchers, on a virtual reactor: time passes when the test says so, threads are real."""

import sys
import uuid

import pytest
import zope.interface.verify

import zc.async_.testing
from tests.dispatcher import choosers, work
from tests.dispatcher.looking import reported, seconds
from zc.async_.agent import Agent
from zc.async_.dispatcher.core import Dispatcher
from zc.async_.interfaces import COMPLETED, KEY, IDispatcher
from zc.async_.job import parallel
from zc.async_.queue import Queue
from zc.async_.testing import BEGINNING
from zc.twist import Failure

# -- activation and polls


def test_it_has_what_the_interface_says(make_dispatcher):
    zope.interface.verify.verifyObject(IDispatcher, make_dispatcher())


def test_a_dispatcher_that_is_made_does_nothing(make_dispatcher, reactor, client):
    dispatcher = make_dispatcher()
    reactor.time_flies(20)
    assert dispatcher.activated is None
    assert dispatcher.polls == []
    client.manager.begin()
    assert len(client.queue.dispatchers) == 0


def test_an_activated_dispatcher_is_active_in_the_queue_when_its_reactor_runs(
    make_dispatcher, reactor, agents_of, install_agent
):
    install_agent()
    dispatcher = make_dispatcher()
    dispatcher.activate()
    assert dispatcher.activated == BEGINNING
    assert dispatcher.polls == []
    reactor.time_flies(0)
    assert agents_of(dispatcher).activated == BEGINNING
    assert list(dispatcher.queues[""]) == ["main"]
    with pytest.raises(ValueError, match="activated already"):
        dispatcher.activate()


def test_a_chooser_that_raises_is_reported_and_others_work(
    dispatcher, put, client, agents_of, reactor, completed, caplog, settle
):
    agents = agents_of(dispatcher)
    agents["main"].chooser = work.fail
    agents["other"] = Agent(size=1)
    client.manager.commit()
    job = put(work.answer)
    completed(job)
    settle(lambda: dispatcher.polls[0][""]["main"]["error"] is not None)
    error = dispatcher.polls[0][""]["main"]["error"]
    assert isinstance(error, Failure)
    assert error.type is ValueError
    assert dispatcher.polls[0][""]["other"]["error"] is None
    assert "agent 'main' could not claim a job" in caplog.text
    # What was claimed between two polls is told with the first of them; the next begins anew.
    agents_of(dispatcher)["main"].chooser = None
    client.manager.commit()
    reactor.time_flies(5)
    assert dispatcher.polls[0][""]["main"]["error"] is None
    assert dispatcher.polls[1][""]["main"]["error"] is error


def test_a_chooser_that_ends_its_thread_ends_no_dispatcher(
    dispatcher, put, set_agent, reactor, completed, settle
):
    set_agent(dispatcher, chooser=choosers.choose_and_leave)
    job = put(work.answer)
    with pytest.raises(SystemExit):
        settle(lambda: False)
    reactor.time_flies(5)
    completed(job)


# -- what is served


def test_two_queues_are_served(dispatcher, client, reactor, completed, agents_of):
    client.root[KEY]["second"] = Queue()
    client.manager.commit()
    reactor.time_flies(5)
    client.manager.begin()
    jobs = [client.root[KEY][name].put(work.answer) for name in ("", "second")]
    client.manager.commit()
    completed(*jobs)
    # The second one woke the dispatcher, too.
    assert seconds() == 5
    assert set(dispatcher.queues) == {"", "second"}
    assert agents_of(dispatcher, "second").activated
    assert dispatcher.getStatistics(queue="second")["started"] == 1


def test_a_queue_in_another_database_is_served(
    two_databases, start_dispatcher, reactor, install_agent, connect, completed
):
    install_agent()
    dispatcher = start_dispatcher(two_databases["content"])
    client = connect(two_databases["content"])
    client.root["counter"] = work.Counter()
    client.manager.commit()
    job = client.queue.put(client.root["counter"].increase)
    client.manager.commit()

    def has_all_ended():
        # Of two databases, one finishes a commit after the other; and then the thread reports.
        reported_result = dispatcher.getJobInfo(*reported(job))["result"]
        return client.root["counter"].count and reported_result is not None

    settled(client, reactor, job, has_all_ended)
    assert seconds() == 0
    assert job._p_jar.db() is two_databases["async"]
    assert client.root["counter"].count == 1
    assert dispatcher.getJobInfo(*reported(job))["result"] == "1"
    assert reported(job)[1] == "async"


def settled(client, reactor, job, is_seen):
    """Wait until a job of another database than the usual one has completed, with its effects."""
    zc.async_.testing.waiting.virtual.running.remove(reactor)
    try:
        zc.async_.testing.wait_until(
            lambda: passed(reactor, client, job) and is_seen(), 20, "not completed"
        )
    finally:
        zc.async_.testing.waiting.virtual.running.append(reactor)


def passed(reactor, client, job):
    while reactor.time_passes():
        pass
    client.manager.begin()
    return job.status == COMPLETED


def test_twelve_parallel_jobs_on_an_agent_of_size_1_all_complete(
    dispatcher, set_agent, client, completed
):
    set_agent(dispatcher, size=1)
    jobs = [
        client.queue.put(parallel(work.answer, work.answer, postprocess=work.add))
        for _ in range(12)
    ]
    client.manager.commit()
    completed(*jobs)
    assert [job.result for job in jobs] == [84] * 12


def test_without_a_reactor_it_takes_the_installed_one(database, monkeypatch, reactor):
    import twisted.internet

    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    monkeypatch.setattr(twisted.internet, "reactor", reactor, raising=False)
    dispatcher = Dispatcher(database, uuid=uuid.uuid4())
    assert dispatcher.reactor is reactor
