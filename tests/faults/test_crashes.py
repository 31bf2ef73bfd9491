"""A dispatcher that stops, or crashes, while it runs a job.

The processes are dispatchers with a virtual reactor each; tests/faults/test_crashes_of_processes.py
has real ones.
"""

import datetime

import pytest

import zc.async_.testing
from tests.dispatcher import work
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING, AbortedError
from zc.async_.job import NeverRetry, RetryCommonForever, RetryCommonFourTimes
from zc.async_.testing import wait_for_deactivation, wait_for_result, wait_for_start, wait_until

#: Virtual seconds: longer than a ping keeps a dispatcher alive.
LONG = 70


@pytest.fixture
def job(client, start_process):
    """A job with a callback; it waits at the gate."""

    def put(factory=None):
        job = client.queue.put(
            client.root["counter"].increase_and_wait, retry_policy_factory=factory
        )
        job.addCallback(client.root["log"].note)
        client.manager.commit()
        return job

    return put


@pytest.fixture
def put_and_start(job, start_process):
    """Puts a job, and starts a process; returns both when the process is at the job."""

    def put_and_start(factory=None):
        put, process = job(factory), start_process()
        wait_for_start(put)
        return put, process

    return put_and_start


def crash(dispatcher):
    """End a dispatcher as a process ends that is killed: nothing is written."""
    dispatcher.activated = False
    dispatcher.reactor.crash()


def stop(dispatcher):
    dispatcher.reactor.stop()
    wait_for_deactivation(dispatcher)


def let_it_end(starts=2):
    """Open the gate once the job has put_and_start so often; all threads come through it."""
    wait_until(lambda: len(work.happened) == starts, 20, f"{starts} starts wanted")
    work.gate.set()


def running(client, job):
    """The agent that has the job, as it is in the database."""
    client.manager.begin()
    assert job.status == ACTIVE
    assert job in job.agent
    return job.agent


def assert_that_it_took_effect_once(client, job):
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, 1)
    assert client.root["counter"].count == 1
    assert client.root["log"].entries == ((1,),)
    assert job.getRetryPolicy().data.get("interruptions") == 1
    assert len(client.queue) == 0


def test_a_graceful_stop_leaves_the_question_what_becomes_of_the_job_in_the_queue(
    client, put_and_start
):
    job, first = put_and_start()
    stop(first)
    client.manager.begin()
    assert job.status == ACTIVE
    assert [interruption.callable for interruption in client.queue] == [job.handleInterrupt]
    assert "handleInterrupt" in repr(client.queue[0])
    agents = client.queue.dispatchers[first.UUID]
    assert not agents.activated
    assert list(agents["main"]) == []


def test_after_a_graceful_stop_the_same_process_started_again_runs_the_job_again(
    client, put_and_start, start_process
):
    job, first = put_and_start()
    stop(first)
    client.manager.begin()
    (interruption,) = client.queue
    second = start_process(first.UUID)
    assert wait_for_result(interruption) is None
    let_it_end()
    wait_for_result(job)
    assert_that_it_took_effect_once(client, job)
    assert job.agent.parent.UUID == second.UUID


def test_after_a_hard_crash_the_same_process_started_again_waits_for_the_death_of_the_old_one(
    client, put_and_start, start_process, caplog
):
    """It cannot tell whether there is another process with its UUID."""
    job, first = put_and_start()
    crash(first)
    second = start_process(first.UUID)
    agents = running(client, job).parent
    assert agents.activated
    assert not agents.dead
    assert dict(second.polls[0]) == {"": None}
    assert f"UUID {first.UUID} is in use: " in caplog.text
    assert "``zc.async_.dispatcher.get().activated = False``" in caplog.text

    second.reactor.time_flies(LONG)
    let_it_end()
    wait_for_result(job)
    assert "an earlier process crashed; cleaning up" in caplog.text
    assert_that_it_took_effect_once(client, job)
    assert work.happened == ["increase"] * 2
    assert agents.activated
    assert not agents.dead


def test_the_interval_after_which_a_process_is_dead_can_be_shortened_while_it_is(
    client, put_and_start, start_process
):
    job, first = put_and_start()
    crash(first)
    second = start_process(first.UUID)
    agents = running(client, job).parent
    assert (agents.ping_interval, agents.ping_death_interval) == (
        datetime.timedelta(seconds=30),
        datetime.timedelta(seconds=60),
    )
    agents.ping_death_interval = datetime.timedelta(seconds=1)
    client.manager.commit()
    second.reactor.time_flies(6)
    let_it_end()
    wait_for_result(job)
    assert_that_it_took_effect_once(client, job)


def test_after_a_hard_crash_a_sibling_takes_over_once_the_ping_is_old(
    client, put_and_start, start_process, caplog
):
    job, first = put_and_start()
    sibling = start_process()
    crash(first)
    sibling.reactor.time_flies(20)
    agents = running(client, job).parent
    assert agents.UUID == first.UUID
    assert agents.activated

    sibling.reactor.time_flies(LONG)
    let_it_end()
    wait_for_result(job)
    assert f"dispatcher {first.UUID} is dead; its jobs are handed back" in caplog.text
    assert_that_it_took_effect_once(client, job)
    assert job.agent.parent.UUID == sibling.UUID
    assert not agents.activated
    assert agents.dead
    assert list(agents["main"]) == []


def test_what_the_thread_of_a_crashed_dispatcher_does_later_has_no_effect(
    client, put_and_start, start_process
):
    job, first = put_and_start()
    sibling = start_process()
    crash(first)
    sibling.reactor.time_flies(LONG)
    let_it_end()
    wait_for_result(job)
    for pool in first.pools():
        pool.stop()
        for thread in pool.threads:
            thread.join(20)
            assert not thread.is_alive()
    assert_that_it_took_effect_once(client, job)


@pytest.mark.parametrize("way", [stop, crash], ids=["a graceful stop", "a hard crash"])
def test_a_job_that_is_never_to_be_retried_is_aborted_and_its_callback_learns_of_it(
    client, put_and_start, start_process, way
):
    job, first = put_and_start(NeverRetry)
    way(first)
    start_process().reactor.time_flies(LONG)
    assert wait_for_result(job).check(AbortedError)
    work.gate.set()
    client.manager.begin()
    assert client.root["counter"].count == 0
    ((failure,),) = client.root["log"].entries
    assert failure.check(AbortedError)
    assert work.happened == ["increase"]


@pytest.mark.parametrize(
    ("factory", "crashes", "survives"),
    [
        pytest.param(RetryCommonFourTimes, 9, True, id="the default, nine times"),
        pytest.param(RetryCommonFourTimes, 10, False, id="the default, ten times"),
        pytest.param(RetryCommonForever, 25, True, id="forever"),
        pytest.param(NeverRetry, 1, False, id="never"),
    ],
)
def test_each_policy_says_how_many_crashes_a_job_survives(
    client, job, start_process, factory, crashes, survives
):
    job = job(factory)
    process = start_process()
    for number in range(crashes):
        wait_until(lambda n=number: len(work.happened) == n + 1, 20, "it did not start")
        crash(process)
        process = start_process(process.UUID)
        process.reactor.time_flies(LONG)
    if survives:
        let_it_end(crashes + 1)
    result = wait_for_result(job, 20)
    assert len(work.happened) == crashes + survives
    if survives:
        assert result == 1
        assert job.getRetryPolicy().data["interruptions"] == crashes
    else:
        assert result.check(AbortedError)
    client.manager.begin()
    assert client.root["counter"].count == survives


def test_a_job_that_waits_in_the_queue_is_not_touched_by_a_crash(client, start_process, put):
    first = start_process()
    later = put(work.answer, begin_after=zc.async_.testing.BEGINNING + datetime.timedelta(hours=1))
    crash(first)
    second = start_process(first.UUID)
    second.reactor.time_flies(LONG)
    client.manager.begin()
    assert later.status == PENDING
    second.reactor.time_flies(3600)
    wait_for_result(later)
    assert "interruptions" not in later.getRetryPolicy().data
