"""How a dispatcher leaves, and can begin again."""

import math
import threading

import pytest

import zc.async_.testing
from tests.dispatcher import work
from tests.dispatcher.looking import SECOND, idle
from zc.async_.dispatcher.pool import Worker
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING
from zc.async_.testing import BEGINNING


def test_a_stop_without_grace_interrupts_what_runs(dispatcher, client, begin, stop, agents_of):
    job = begin(client.root["counter"].increase_and_wait)
    stop()
    assert dispatcher.activated is False
    assert agents_of(dispatcher).activated is None
    assert job.status == ACTIVE
    (interruption,) = client.queue
    assert interruption.callable == job.handleInterrupt


def test_what_an_interrupted_thread_does_has_no_effect(
    dispatcher, start_dispatcher, client, begin, begun, completed
):
    job = begin(client.root["counter"].increase_and_wait)
    dispatcher.deactivate()
    sibling = start_dispatcher()
    begun(2)
    work.gate.set()
    completed(job)
    client.manager.begin()
    assert client.root["counter"].count == 1
    assert job.agent.parent.UUID == sibling.UUID
    assert work.happened == ["increase"] * 2


def test_a_stop_hands_back_what_has_not_begun_without_asking(
    start_dispatcher, install_agent, put, client, reactor, stop, monkeypatch
):
    """No worker has taken the jobs from its inbox."""
    monkeypatch.setattr(Worker, "start", lambda _: None)
    install_agent()
    dispatcher = start_dispatcher()
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
    patient, begin, put, client, reactor, settle
):
    job = begin(work.wait)
    waiting = put(work.answer, begin_after=BEGINNING + 5 * SECOND)
    reactor.stop()
    assert not patient.activated
    reactor.time_flies(29)
    assert reactor.running
    client.manager.begin()
    # Nothing is claimed any more.
    assert waiting.status == PENDING
    work.gate.set()
    settle(lambda: not reactor.running)
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, "waited")
    assert list(client.queue.dispatchers[patient.UUID]["main"].completed) == [job]


def test_a_job_that_does_not_end_within_the_grace_period_is_interrupted(
    patient, begin, client, reactor
):
    job = begin(work.wait)
    reactor.stop()
    reactor.time_flies(30)
    assert not reactor.running
    client.manager.begin()
    assert job.status == ACTIVE
    assert [job.callable for job in client.queue] == [job.handleInterrupt]


@pytest.fixture
def endlessly_patient(install_agent, start_dispatcher):
    """A dispatcher whose stop waits until all jobs have ended."""
    install_agent()
    return start_dispatcher(shutdown_grace_period=math.inf)


def test_a_grace_period_may_be_without_end(endlessly_patient, begin, client, reactor, settle):
    job = begin(work.wait)
    reactor.stop()
    reactor.time_flies(100_000)
    assert reactor.running
    work.gate.set()
    settle(lambda: not reactor.running)
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, "waited")


def test_a_grace_period_is_cut_short(endlessly_patient, begin, client, reactor):
    job = begin(work.wait)
    reactor.stop()
    reactor.time_flies(100)
    endlessly_patient.limit_grace(30)
    reactor.time_flies(20)
    endlessly_patient.limit_grace(10)
    reactor.time_flies(9)
    assert reactor.running
    reactor.time_flies(1)
    assert not reactor.running
    client.manager.begin()
    assert [job.callable for job in client.queue] == [job.handleInterrupt]


def test_a_grace_period_is_ended_at_once(patient, begin, client, reactor):
    job = begin(work.wait)
    waited_for = patient.deactivate()
    patient.limit_grace(0)
    assert waited_for.called
    client.manager.begin()
    assert [job.callable for job in client.queue] == [job.handleInterrupt]


def test_without_a_stop_there_is_no_grace_period_to_cut_short(
    patient, begin, put, reactor, completed
):
    job = begin(work.wait)
    patient.limit_grace(0)
    reactor.time_flies(60)
    assert patient.activated
    work.gate.set()
    completed(job, put(work.answer))


def test_what_was_said_before_a_stop_cuts_nothing_short(
    endlessly_patient, begin, put, reactor, settle
):
    begin(work.wait)
    endlessly_patient.limit_grace(5)
    reactor.stop()
    reactor.time_flies(10)
    assert reactor.running
    work.gate.set()
    settle(lambda: not reactor.running)


def test_a_grace_period_is_not_waited_for_when_nothing_runs(
    patient, put, reactor, completed, settle
):
    completed(put(work.answer))
    settle(lambda: idle(patient))
    reactor.stop()
    assert not reactor.running


def test_a_second_wish_to_stop_changes_nothing(patient, begin, settle):
    begin(work.wait)
    waited_for = patient.deactivate()
    assert patient.deactivate() in (None, waited_for)
    work.gate.set()
    settle(lambda: waited_for.called)
    assert patient.deactivate() is None


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
    dispatcher, begin, put, client, reactor, completed, agents_of
):
    job = begin(work.wait)
    dispatcher.deactivate()
    assert agents_of(dispatcher).activated is None
    dispatcher.activate()
    reactor.time_flies(0)
    work.gate.set()
    completed(job, *[put(work.answer) for _ in range(4)])
    assert agents_of(dispatcher).activated


def test_a_dispatcher_whose_reactor_ended_with_news_on_the_way_can_begin_again(
    dispatcher, begin, put, reactor, completed
):
    begin(work.wait)
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
