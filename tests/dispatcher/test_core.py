"""Dispatchers, on a virtual reactor: time passes when the test says so, threads are real."""

import datetime
import logging
import sys
import threading
import uuid

import pytest
import transaction
import zope.interface.verify
from ZODB.utils import u64

import zc.async_.clock
import zc.async_.testing
from tests.dispatcher import work
from tests.races.parties import Client
from zc.async_.agent import Agent
from zc.async_.dispatcher import pools, schedule, session, wakeup
from zc.async_.dispatcher.core import Dispatcher
from zc.async_.dispatcher.plans import Outcome
from zc.async_.dispatcher.pool import Worker
from zc.async_.interfaces import ACTIVE, COMPLETED, KEY, PENDING, IDispatcher
from zc.async_.job import Job, parallel
from zc.async_.queue import Queue
from zc.async_.testing import BEGINNING
from zc.twist import Failure

SECOND = datetime.timedelta(seconds=1)


def seconds():
    """Virtual seconds since the beginning."""
    return (zc.async_.clock.now() - BEGINNING).total_seconds()


def reported(job):
    return u64(job._p_oid), job._p_jar.db().database_name


def idle(dispatcher):
    """Whether no worker has anything to do, and the dispatcher has heard of it."""
    return not any(pool.busy for pool in dispatcher.pools())


@pytest.fixture
def begun(settle):
    """Waits until jobs have begun to do that many things, without virtual time."""

    def begun(count=1):
        settle(lambda: len(work.happened) >= count, f"only {work.happened} happened")

    return begun


@pytest.fixture
def stop(reactor, settle):
    """Stops the reactor, and waits until that is done."""

    def stop():
        reactor.stop()
        settle(lambda: not reactor.running)

    return stop


@pytest.fixture
def set_agent(client, agents_of):
    """Changes an agent of a dispatcher, and commits."""

    def set_agent(dispatcher, name="main", **settings):
        agents = agents_of(dispatcher)
        for setting, value in settings.items():
            setattr(agents[name], setting, value)
        client.manager.commit()

    return set_agent


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


def test_it_polls_every_poll_interval(make_dispatcher, reactor):
    dispatcher = make_dispatcher(poll_interval=7)
    dispatcher.activate()
    reactor.time_flies(21)
    times = [poll.utc_timestamp.replace(tzinfo=datetime.UTC) for poll in dispatcher.polls]
    assert times == [BEGINNING + number * SECOND for number in (21, 14, 7, 0)]


def test_a_put_wakes_the_dispatcher_before_the_next_poll(dispatcher, put, completed):
    job = put(work.answer)
    completed(job)
    assert seconds() == 0
    assert job.result == 42
    assert len(dispatcher.polls) == 1


def test_what_another_connection_of_another_thread_puts_wakes_it_too(
    dispatcher, database, completed, client
):
    def put_in_thread():
        other = Client(database)
        other.root["job"] = other.queue.put(work.answer)
        other.manager.commit()
        other.close()

    thread = threading.Thread(target=put_in_thread)
    thread.start()
    thread.join()
    client.manager.begin()
    completed(client.root["job"])
    assert seconds() == 0


def test_what_is_put_before_the_dispatcher_listens_is_found(
    make_dispatcher, install_agent, reactor, put, completed
):
    """The first poll does not see it, and no invalidation is heard yet."""
    install_agent(chooser=choose_after_hook)
    jobs = []
    work.hooks.append(lambda: jobs.append(put(work.answer)))
    make_dispatcher().activate()
    reactor.time_flies(0)
    completed(*jobs)
    assert seconds() == 0


def choose_after_hook(agent):
    """A chooser that lets another party act before it claims."""
    work.call_hook()
    return agent.queue.claim()


def test_a_job_due_later_starts_on_time(dispatcher, put, reactor, completed):
    due = [put(work.answer, begin_after=BEGINNING + after * SECOND) for after in (3, 8, 63)]
    reactor.time_flies(64)
    completed(*due)
    assert [(job.active_start - BEGINNING).total_seconds() for job in due] == [3, 8, 63]


def test_a_deadline_is_kept_on_time(dispatcher, put, reactor, client, completed, set_agent):
    set_agent(dispatcher, size=0)
    job = put(work.answer, begin_by=3 * SECOND)
    reactor.time_flies(4)
    completed(job)
    assert job.result.type.__name__ == "TimeoutError"
    # Times of puts are made unique by some microseconds.
    assert (job.active_end - BEGINNING).total_seconds() == pytest.approx(3, abs=0.001)


def test_a_worker_that_becomes_idle_gets_the_next_job(dispatcher, put, completed):
    jobs = [put(work.answer) for _ in range(20)]
    completed(*jobs)
    assert seconds() == 0
    assert len(dispatcher.queues[""]["main"].threads) <= 3


def test_three_jobs_run_at_once_and_no_more(dispatcher, put, begun, reactor, client, completed):
    jobs = [put(work.wait) for _ in range(5)]
    begun(3)
    reactor.time_flies(20)
    assert len(work.happened) == 3
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE] * 3 + [PENDING] * 2
    assert len(dispatcher.getActiveJobIds()) == 3
    work.gate.set()
    completed(*jobs)
    assert len({thread.ident for thread in dispatcher.queues[""]["main"].threads}) == 3


def test_an_error_of_the_database_at_the_start_is_logged_and_the_next_poll_tries_again(
    make_dispatcher, reactor, monkeypatch, caplog
):
    dispatcher = make_dispatcher()
    monkeypatch.setattr(session, "Poller", lambda *args: 1 / 0)
    dispatcher.activate()
    reactor.time_flies(0)
    assert "cannot open the database" in caplog.text
    monkeypatch.undo()
    reactor.time_flies(5)
    assert dispatcher.polls[0][""] == {}


def test_what_ends_the_thread_at_the_start_is_no_end_of_the_polls(
    make_dispatcher, reactor, monkeypatch
):
    def end_thread(*args):
        raise KeyboardInterrupt

    dispatcher = make_dispatcher()
    monkeypatch.setattr(session, "Poller", end_thread)
    dispatcher.activate()
    with pytest.raises(KeyboardInterrupt):
        reactor.time_flies(0)
    monkeypatch.undo()
    reactor.time_flies(5)
    assert dispatcher.polls[0][""] == {}


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
    set_agent(dispatcher, chooser=leave_the_poll)
    job = put(work.answer)
    with pytest.raises(SystemExit):
        settle(lambda: False)
    reactor.time_flies(5)
    completed(job)


def leave_the_poll(agent):
    """Ends the thread of the poll the first time."""
    work.leave()
    return agent.queue.claim()


# -- agents come, change and go


def test_an_agent_that_grows_has_more_workers(dispatcher, put, begun, set_agent):
    set_agent(dispatcher, size=1)
    for _ in range(4):
        put(work.wait)
    begun(1)
    assert len(work.happened) == 1
    set_agent(dispatcher, size=4)
    begun(4)
    assert len(dispatcher.queues[""]["main"].threads) == 4


def test_an_agent_that_shrinks_lets_its_jobs_end_and_then_its_threads(
    dispatcher, put, begun, set_agent, settle, completed
):
    jobs = [put(work.wait) for _ in range(3)]
    begun(3)
    set_agent(dispatcher, size=1)
    pool = dispatcher.queues[""]["main"]
    settle(lambda: dispatcher._handing_out.current[""]["main"]["size"] == 1)
    assert len(pool.threads) == 3
    work.gate.set()
    completed(*jobs)
    settle(lambda: len(pool.threads) == 1)
    completed(put(work.answer))


def test_an_agent_of_size_0_pauses(dispatcher, put, set_agent, settle, reactor, completed):
    completed(put(work.answer))
    set_agent(dispatcher, size=0)
    pool = dispatcher.queues[""]["main"]
    settle(lambda: pool.threads == ())
    job = put(work.answer)
    reactor.time_flies(20)
    transaction.begin()
    assert job.status == PENDING
    set_agent(dispatcher, size=1)
    completed(job)


def test_an_agent_that_is_removed_has_no_threads_any_more(
    dispatcher, put, client, agents_of, settle, completed
):
    completed(put(work.answer))
    settle(lambda: idle(dispatcher))
    agents = agents_of(dispatcher)
    del agents["main"]
    agents["other"] = Agent(size=1)
    client.manager.commit()
    settle(lambda: dispatcher.queues[""]["main"].threads == ())
    completed(put(work.answer))
    assert len(dispatcher.queues[""]["other"].threads) == 1


def test_connections_are_enough_for_the_workers(dispatcher, database, set_agent, settle):
    before = database.getPoolSize()
    set_agent(dispatcher, size=before + 5)
    settle(lambda: database.getPoolSize() > before)
    assert database.getPoolSize() == before + 5 + 2 + pools.SPARE_CONNECTIONS
    set_agent(dispatcher, size=1)
    settle(lambda: dispatcher._handing_out.current[""]["main"]["size"] == 1)
    assert database.getPoolSize() == before + 5 + 2 + pools.SPARE_CONNECTIONS


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
    two_databases, make_dispatcher, reactor, install_agent, connect, completed
):
    install_agent()
    dispatcher = make_dispatcher(two_databases["content"])
    dispatcher.activate()
    reactor.time_flies(0)
    client = connect(two_databases["content"])
    client.root["counter"] = work.Counter()
    client.manager.commit()
    job = client.queue.put(client.root["counter"].increase)
    client.manager.commit()
    # Of two databases, one finishes a commit after the other.
    settled(client, reactor, job, lambda: client.root["counter"].count)
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


# -- waking


def test_while_a_poll_finds_nothing_to_do_it_is_not_followed_by_another(
    dispatcher, reactor, database, settle
):
    settle(lambda: not reactor.time_passes())
    before = database.lastTransaction()
    made = reactor.time_flies(4)
    assert made == 0
    assert database.lastTransaction() == before


def test_wishes_to_poll_are_merged(dispatcher, reactor, settle, monkeypatch):
    settle(lambda: not reactor.time_passes())
    polls = []
    counted = count_polls(dispatcher._session.poll, polls)
    monkeypatch.setattr(dispatcher._session, "poll", counted)
    for _ in range(50):
        dispatcher._schedule.wake()
    reactor.time_passes()
    assert len(polls) == 1


def count_polls(make_poll, polls):
    def count(plan):
        polls.append(plan)
        return make_poll(plan)

    return count


def test_a_freed_place_of_a_quota_wakes_every_dispatcher(
    dispatcher, make_dispatcher, client, put, begun, reactor, completed, set_agent
):
    """The sibling has nothing to do of its own when the place is freed."""
    client.queue.quotas.create("one")
    client.manager.commit()
    sibling = make_dispatcher(poll_interval=1000)
    sibling.activate()
    reactor.time_flies(0)
    first = put(work.wait, quota_names=["one"])
    begun()
    holder = dispatcher if dispatcher.getActiveJobIds() else sibling
    other = sibling if holder is dispatcher else dispatcher
    set_agent(holder, size=0)
    second = put(work.thread_id, quota_names=["one"])
    work.gate.set()
    completed(first, second)
    assert second.result in {thread.ident for thread in other.queues[""]["main"].threads}
    assert seconds() == 0


def test_a_storage_that_does_not_tell_is_looked_at_often(
    make_dispatcher, install_agent, reactor, put, monkeypatch, client
):
    monkeypatch.setattr(wakeup, "_METHODS", ("method of another storage",))
    install_agent()
    dispatcher = make_dispatcher(poll_interval=100)
    dispatcher.activate()
    reactor.time_flies(1)
    job = put(work.answer)
    reactor.time_flies(0)
    client.manager.begin()
    assert job.status == PENDING
    reactor.time_flies(schedule.LOOK_INTERVAL)
    client.manager.begin()
    assert job.status != PENDING
    # Looks are not polls to be told of.
    assert len(dispatcher.polls) == 1


def test_after_a_conflict_it_polls_again_soon(
    dispatcher, make_dispatcher, put, reactor, set_agent, completed
):
    set_agent(dispatcher, chooser=choose_with_hook)
    client_job = put(work.answer, begin_after=BEGINNING + 2 * SECOND)
    work.hooks.append(lambda: touch(dispatcher))
    reactor.time_flies(2.2)
    completed(client_job)
    assert work.hooks == []
    assert 2 < (client_job.active_start - BEGINNING).total_seconds() <= 2.2


def choose_with_hook(agent):
    job = agent.queue.claim()
    if job is not None:
        work.call_hook()
    return job


def touch(dispatcher):
    """Make the present claim conflict, without waking the dispatcher."""
    client = Client(dispatcher.db)
    client.queue.dispatchers[dispatcher.UUID]["main"].running._p_changed = True
    client.manager.commit()
    client.close()


# -- stopping


def test_a_stop_without_grace_interrupts_what_runs(dispatcher, client, put, begun, stop, agents_of):
    job = put(client.root["counter"].increase_and_wait)
    begun()
    stop()
    assert dispatcher.activated is False
    assert agents_of(dispatcher).activated is None
    assert job.status == ACTIVE
    (interruption,) = client.queue
    assert interruption.callable == job.handleInterrupt


def test_what_an_interrupted_thread_does_has_no_effect(
    dispatcher, make_dispatcher, client, put, begun, reactor, completed
):
    job = put(client.root["counter"].increase_and_wait)
    begun()
    dispatcher.deactivate()
    sibling = make_dispatcher()
    sibling.activate()
    reactor.time_flies(0)
    begun(2)
    work.gate.set()
    completed(job)
    client.manager.begin()
    assert client.root["counter"].count == 1
    assert job.agent.parent.UUID == sibling.UUID
    assert work.happened == ["increase"] * 2


def test_a_stop_hands_back_what_has_not_begun_without_asking(
    make_dispatcher, install_agent, put, client, reactor, stop, monkeypatch
):
    """No worker has taken the jobs from its inbox."""
    monkeypatch.setattr(Worker, "start", lambda _: None)
    install_agent()
    dispatcher = make_dispatcher()
    dispatcher.activate()
    reactor.time_flies(0)
    jobs = [put(work.answer) for _ in range(2)]
    reactor.time_flies(0)
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE] * 2
    stop()
    client.manager.begin()
    assert list(client.queue) == jobs
    assert [dict(job.getRetryPolicy().data) for job in jobs] == [{}, {}]
    for pool in dispatcher.pools():
        pool.threads = ()


def test_a_job_that_ends_within_the_grace_period_was_not_interrupted(
    make_dispatcher, install_agent, put, client, reactor, settle, begun
):
    install_agent()
    dispatcher = make_dispatcher(shutdown_grace_period=30)
    dispatcher.activate()
    reactor.time_flies(0)
    job = put(work.wait)
    begun()
    waiting = put(work.answer, begin_after=BEGINNING + 5 * SECOND)
    reactor.stop()
    assert not dispatcher.activated
    reactor.time_flies(29)
    assert reactor.running
    client.manager.begin()
    # Nothing is claimed any more.
    assert waiting.status == PENDING
    work.gate.set()
    settle(lambda: not reactor.running)
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, "waited")
    assert list(client.queue.dispatchers[dispatcher.UUID]["main"].completed) == [job]


def test_a_job_that_does_not_end_within_the_grace_period_is_interrupted(
    make_dispatcher, install_agent, put, client, reactor, begun
):
    install_agent()
    dispatcher = make_dispatcher(shutdown_grace_period=30)
    dispatcher.activate()
    reactor.time_flies(0)
    job = put(work.wait)
    begun()
    reactor.stop()
    reactor.time_flies(30)
    assert not reactor.running
    client.manager.begin()
    assert job.status == ACTIVE
    assert [job.callable for job in client.queue] == [job.handleInterrupt]


def test_a_grace_period_is_not_waited_for_when_nothing_runs(
    make_dispatcher, install_agent, put, reactor, completed, settle
):
    install_agent()
    dispatcher = make_dispatcher(shutdown_grace_period=30)
    dispatcher.activate()
    reactor.time_flies(0)
    completed(put(work.answer))
    settle(lambda: idle(dispatcher))
    reactor.stop()
    assert not reactor.running


def test_a_second_wish_to_stop_changes_nothing(
    make_dispatcher, install_agent, put, reactor, begun, settle
):
    install_agent()
    dispatcher = make_dispatcher(shutdown_grace_period=30)
    dispatcher.activate()
    reactor.time_flies(0)
    assert put(work.wait)
    begun()
    waited_for = dispatcher.deactivate()
    assert dispatcher.deactivate() in (None, waited_for)
    work.gate.set()
    settle(lambda: waited_for.called)
    assert dispatcher.deactivate() is None


def test_threads_end_with_the_dispatcher(dispatcher, put, completed, stop, settle):
    completed(*[put(work.answer) for _ in range(3)])
    threads = dispatcher.queues[""]["main"].threads
    assert threads
    stop()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_nobody_listens_to_the_database_any_more(dispatcher, database, stop):
    assert "invalidate" in vars(database._mvcc_storage)
    stop()
    assert "invalidate" not in vars(database._mvcc_storage)


def test_a_stopped_dispatcher_can_begin_again(
    dispatcher, put, client, begun, reactor, completed, agents_of
):
    job = put(work.wait)
    begun()
    dispatcher.deactivate()
    assert agents_of(dispatcher).activated is None
    dispatcher.activate()
    reactor.time_flies(0)
    work.gate.set()
    completed(job, *[put(work.answer) for _ in range(4)])
    assert agents_of(dispatcher).activated


def test_a_dispatcher_whose_reactor_ended_with_news_on_the_way_can_begin_again(
    dispatcher, put, reactor, completed, begun
):
    assert put(work.wait)
    begun()
    work.gate.set()
    # The thread reports, and nobody hears it before the end.
    while not dispatcher._returns:
        threading.Event().wait(0.001)
    reactor.stop()
    reactor.start()
    dispatcher.activate()
    reactor.time_flies(0)
    completed(put(work.answer))


def test_a_stop_wakes_jobs_that_wait_for_an_annotation(dispatcher, put, settle, stop, client):
    """They wait in the time of the reactor, which stands still then."""
    job = put(work.ask_annotation)
    settle(lambda: dispatcher.pauses)
    client.manager.begin()
    job.annotations["answer"] = "yes"
    client.manager.commit()
    stop()
    (thread,) = dispatcher.queues[""]["main"].threads
    thread.join(20)
    assert not thread.is_alive()
    assert work.happened == [("asked", "yes")]


def test_jobs_that_wait_for_an_annotation_go_on_when_the_reactor_crashed(
    dispatcher, put, settle, reactor, client
):
    job = put(work.ask_annotation)
    settle(lambda: dispatcher.pauses)
    client.manager.begin()
    job.annotations["answer"] = "yes"
    client.manager.commit()
    reactor.crash()
    (thread,) = dispatcher.queues[""]["main"].threads
    zc.async_.testing.tear_down_dispatcher(dispatcher)
    assert not thread.is_alive()
    assert work.happened == [("asked", "yes")]


# -- polls in threads


@pytest.fixture
def threaded(make_dispatcher, install_agent, reactor, settle):
    """A dispatcher that polls in threads of its reactor."""
    install_agent()
    dispatcher = make_dispatcher()
    dispatcher.activate(threaded=True)
    reactor.time_flies(0)
    settle(lambda: dispatcher.polls and not dispatcher._schedule.polling)
    yield dispatcher
    work.gate.set()
    settle(lambda: not dispatcher._schedule.polling or not dispatcher.poller)


def test_polls_can_be_made_in_threads(threaded, put, settle, client, reactor):
    jobs = [put(work.answer) for _ in range(10)]

    def all_completed():
        reactor.time_flies(0.02)
        client.manager.begin()
        return all(job.status == COMPLETED for job in jobs)

    settle(all_completed)


def test_the_reactor_s_thread_is_not_held_up_by_a_poll(threaded, put, set_agent, settle, reactor):
    set_agent(threaded, chooser=wait_in_the_poll)
    put(work.answer)
    settle(lambda: "poll" in work.happened)
    assert threaded._schedule.polling
    # What happens meanwhile causes one more poll.
    threaded._schedule.wake()
    threaded._schedule.wake()
    reactor.time_passes()
    assert threaded._schedule.wanted
    work.gate.set()
    settle(lambda: not threaded._schedule.polling)


def wait_in_the_poll(agent):
    work.happened.append("poll")
    work.gate.wait(60)
    return agent.queue.claim()


def test_a_stop_waits_for_a_poll_in_a_thread_and_hands_back_what_it_claimed(
    threaded, put, set_agent, settle, reactor, client, agents_of
):
    set_agent(threaded, chooser=wait_in_the_poll)
    job = put(work.answer)
    settle(lambda: "poll" in work.happened)
    reactor.stop()
    assert reactor.running
    work.gate.set()
    settle(lambda: not reactor.running)
    assert agents_of(threaded).activated is None
    assert list(client.queue) == [job]
    assert dict(job.getRetryPolicy().data) == {}
    assert "answer" not in work.happened


def test_a_stop_does_not_wait_for_a_poll_that_has_not_begun(
    threaded, put, begun, settle, agents_of, reactor, client
):
    """It waits for some workers to become idle."""
    running = [put(work.wait) for _ in range(3)]
    settle(lambda: reactor.time_flies(0.02) or len(work.happened) == 3)
    settle(lambda: not threaded._schedule.polling)
    job = put(work.answer)
    reactor.time_passes()
    assert threaded._schedule.polling
    assert threaded.deactivate() is None
    assert agents_of(threaded).activated is None
    assert job.status == PENDING
    assert [job.status for job in running] == [ACTIVE] * 3


def test_a_poll_in_a_thread_that_is_ended_is_not_the_last(
    threaded, put, set_agent, settle, reactor, client, monkeypatch
):
    monkeypatch.setattr(threading, "excepthook", lambda args: work.happened.append("ended"))
    set_agent(threaded, chooser=leave_the_poll)
    job = put(work.answer)
    settle(lambda: "leave" in work.happened and not threaded._schedule.polling)

    def has_completed():
        reactor.time_flies(1)
        client.manager.begin()
        return job.status == COMPLETED

    settle(has_completed)


def test_by_default_polls_are_made_in_threads_on_the_installed_reactor(
    make_dispatcher, reactor, monkeypatch, settle
):
    dispatcher = make_dispatcher()
    dispatcher.activate()
    assert dispatcher._schedule.threaded is False
    dispatcher.deactivate()
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    other = make_dispatcher()
    other.activate()
    assert other._schedule.threaded is True
    reactor.time_flies(0)
    settle(lambda: other.polls and not other._schedule.polling)


# -- jobs that end their thread


def test_a_job_that_ends_its_thread_is_interrupted_and_runs_again(
    dispatcher, put, completed, caplog
):
    job = put(work.leave)
    completed(job)
    assert job.result == "stayed"
    assert job.getRetryPolicy().data["interruptions"] == 1
    assert seconds() == 0
    assert "ended its thread with SystemExit()" in caplog.text


def test_a_callback_that_ends_its_thread_is_performed_by_another(dispatcher, client, completed):
    job = client.queue.put(work.answer)
    callback = job.addCallback(work.leave)
    client.manager.commit()
    completed(job, callback)
    assert callback.result == "stayed"
    assert job.result == 42


def test_jobs_of_the_system_have_threads_of_their_own(
    dispatcher, client, put, completed, set_agent, begun, reactor
):
    """All places of all agents are taken, and a deadline is kept with its callback performed."""
    set_agent(dispatcher, size=1)
    running = put(work.wait)
    begun()
    late = client.queue.put(work.answer, begin_by=1 * SECOND)
    late.addCallback(client.root["log"].note)
    client.manager.commit()
    reactor.time_flies(2)
    completed(late)
    assert running.status == ACTIVE
    client.manager.begin()
    assert len(client.root["log"].entries) == 1
    assert len(dispatcher._pools.system[""].threads) == 1


# -- jobs that wait for a Deferred


def test_a_job_with_a_deferred_holds_no_thread_but_its_place(
    dispatcher, put, set_agent, begun, settle, client, completed, agents_of
):
    set_agent(dispatcher, size=1)
    first, second = put(work.defer), put(work.answer)
    begun()
    pool = dispatcher.queues[""]["main"]
    settle(lambda: pool.waiting)
    assert not pool.working
    assert pool.busy == 1
    assert list(agents_of(dispatcher)["main"]) == [first]
    assert second.status == PENDING
    assert dispatcher.getActiveJobIds() == []
    work.deferreds[0].callback(43)
    completed(first, second)
    assert first.result == 43


def test_the_result_of_a_deferred_is_committed_by_a_worker(
    dispatcher, put, begun, settle, completed
):
    job = put(work.defer)
    begun()
    settle(lambda: dispatcher.queues[""]["main"].waiting)
    work.deferreds[0].callback(43)
    completed(job)
    info = dispatcher.getJobInfo(*reported(job))
    assert info["result"] == "43"
    assert info["thread"] in {thread.ident for thread in dispatcher.queues[""]["main"].threads}


def test_a_deferred_that_fires_in_another_thread_will_do(dispatcher, put, begun, completed):
    job = put(work.defer)
    begun()
    thread = threading.Thread(target=lambda: work.deferreds[0].callback(43))
    thread.start()
    thread.join()
    completed(job)
    assert job.result == 43


def test_a_deferred_that_fails_fails_the_job(dispatcher, put, begun, completed):
    job = put(work.defer)
    begun()
    work.deferreds[0].errback(ValueError("too bad"))
    completed(job)
    assert isinstance(job.result, Failure)
    assert job.result.type is ValueError


def test_the_callbacks_of_a_job_with_a_deferred_get_its_value(dispatcher, client, begun, completed):
    job = client.queue.put(work.defer)
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    begun()
    work.deferreds[0].callback(43)
    completed(job)
    assert client.root["log"].entries == ((43,),)


def test_a_coroutine_is_a_deferred(dispatcher, put, begun, settle, completed):
    job = put(work.await_deferred)
    begun()
    work.deferreds[0].callback(41)
    completed(job)
    assert job.result == 42


def test_a_coroutine_that_raises_fails_the_job(dispatcher, put, begun, completed):
    job = put(work.await_deferred)
    begun()
    work.deferreds[0].errback(ValueError("too bad"))
    completed(job)
    assert job.result.type is ValueError


def test_a_deferred_that_is_pending_at_a_stop_is_interrupted(
    dispatcher, make_dispatcher, put, begun, settle, reactor, client, completed
):
    job = put(work.defer)
    begun()
    settle(lambda: dispatcher.queues[""]["main"].waiting)
    dispatcher.deactivate()
    client.manager.begin()
    assert [waiting.callable for waiting in client.queue] == [job.handleInterrupt]
    # Too late: nobody takes the value.
    work.deferreds[0].callback("old")
    reactor.time_passes()
    sibling = make_dispatcher()
    sibling.activate()
    reactor.time_flies(0)
    begun(2)
    work.deferreds[1].callback("new")
    completed(job)
    assert job.result == "new"


def test_a_deferred_is_given_the_grace_period(
    make_dispatcher, install_agent, put, reactor, begun, settle, client
):
    install_agent()
    dispatcher = make_dispatcher(shutdown_grace_period=30)
    dispatcher.activate()
    reactor.time_flies(0)
    job = put(work.defer)
    begun()
    settle(lambda: dispatcher.queues[""]["main"].waiting)
    reactor.stop()
    reactor.time_flies(10)
    assert reactor.running
    work.deferreds[0].callback(43)
    settle(lambda: not reactor.running)
    client.manager.begin()
    assert job.result == 43


def test_a_dispatcher_that_begins_again_has_the_places_of_old_deferreds(
    dispatcher, put, begun, settle, reactor, completed
):
    jobs = [put(work.defer) for _ in range(3)]
    begun(3)
    settle(lambda: len(dispatcher.queues[""]["main"].waiting) == 3)
    dispatcher.deactivate()
    dispatcher.activate()
    reactor.time_flies(0)
    begun(6)
    for deferred in work.deferreds:
        deferred.callback("fired")
    completed(*jobs, put(work.answer))


# -- what is told


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
    dispatcher, client, put, begun, reactor, settle, take
):
    other = put(work.wait)
    begun()
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
    dispatcher, client, put, begun, settle, agents_of, reactor, completed
):
    job = put(client.root["counter"].increase_and_wait)
    begun()
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


def test_polls_tell_of_agents_and_their_jobs(dispatcher, put, begun, reactor, completed):
    first = put(work.wait)
    begun()
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
    make_dispatcher, install_agent, reactor, put, completed
):
    install_agent()
    dispatcher = make_dispatcher(polls_size=2, jobs_size=1)
    dispatcher.activate()
    reactor.time_flies(20)
    assert len(dispatcher.polls) == 2
    jobs = []
    for _ in range(3):
        jobs.append(put(work.answer))
        completed(jobs[-1])
    assert dispatcher.getJobInfo(*reported(jobs[-1]))
    with pytest.raises(KeyError):
        dispatcher.getJobInfo(*reported(jobs[0]))


def test_no_poll_need_be_remembered(make_dispatcher, install_agent, reactor, put, completed):
    install_agent()
    dispatcher = make_dispatcher(polls_size=0, jobs_size=0)
    dispatcher.activate()
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


def test_another_process_with_this_uuid_is_told_of(
    dispatcher, make_dispatcher, reactor, put, completed, caplog
):
    zc.async_.dispatcher.pop(dispatcher.UUID)
    other = make_dispatcher(uuid=uuid.UUID(bytes=dispatcher.UUID.bytes))
    other.activate()
    reactor.time_flies(0)
    assert other.polls[0] == {"": None}
    assert [r for r in caplog.records if r.levelno == logging.ERROR]
    completed(put(work.answer))
    assert other.getStatistics()["started"] == 0
    other.deactivate()
    zc.async_.dispatcher.pop(other.UUID)


def test_without_a_reactor_it_takes_the_installed_one(database, monkeypatch, reactor):
    import twisted.internet

    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    monkeypatch.setattr(twisted.internet, "reactor", reactor, raising=False)
    dispatcher = Dispatcher(database, uuid=uuid.uuid4())
    assert dispatcher.reactor is reactor
