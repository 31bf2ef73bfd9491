"""What retry policies answer, and what is done about it."""

import datetime

import pytest

import zc.async_.running.answers
import zc.twist
from tests.unit import calls
from zc.async_.interfaces import COMPLETED, PENDING, AsyncError
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job


def test_true_means_now(client, agent, answers, happened, to_raise):
    answers(True, True)
    to_raise += [ValueError(), KeyError()]
    job = calls.policy_job(agent, calls.raise_next)
    job()
    assert job.status == COMPLETED
    assert happened == [(), ("jobError", ValueError), (), ("jobError", KeyError), ()]


def test_false_means_give_up(client, agent, answers, happened):
    answers(False)
    assert calls.policy_job(agent, calls.fail)().check(ValueError)
    assert happened == [("jobError", ValueError)]


@pytest.mark.parametrize("answer", [None, 0, ""])
def test_what_is_not_true_means_give_up(client, agent, answers, happened, answer):
    answers(answer)
    assert calls.policy_job(agent, calls.fail)().check(ValueError)


@pytest.mark.parametrize("as_", ["timedelta", "datetime", "naive datetime"])
def test_a_time_means_then(client, agent, answers, clock, to_raise, happened, as_):
    when = {
        "timedelta": datetime.timedelta(minutes=5),
        "datetime": clock.after(minutes=5),
        "naive datetime": clock.after(minutes=5).replace(tzinfo=None),
    }[as_]
    answers(when)
    to_raise.append(ValueError())
    job = calls.policy_job(agent, calls.raise_next)
    assert job() is None
    assert job.status == PENDING
    assert job.begin_after == clock.after(minutes=5)
    assert len(agent) == 0
    assert list(client.queue) == [job]
    assert ("updateData", {}) in happened
    clock.advance(minutes=4)
    assert calls.run_next(agent) is None
    clock.advance(minutes=1)
    assert calls.run_next(agent) is job
    assert job.status == COMPLETED
    assert not isinstance(job.result, zc.twist.Failure)


@pytest.mark.parametrize("delay", [datetime.timedelta(), datetime.timedelta(minutes=-1)])
def test_no_delay_puts_the_job_back_before_all_others(
    client, agent, answers, to_raise, happened, delay
):
    answers(delay)
    to_raise.append(ValueError())
    job = calls.policy_job(agent, calls.raise_next)
    client.put(calls.nothing, priority=1000)
    job()
    client.begin()
    assert client.queue[0] is job


def test_a_time_for_a_commit_error_holds_too(client, agent, answers, failing_commits, happened):
    answers(datetime.timedelta(minutes=5))
    job = calls.policy_job(agent, calls.happen)
    failing_commits(ValueError())
    job()
    assert happened[:2] == [(), ("commitError", ValueError)]
    assert job.status == PENDING


def put_with_deadline(client, callable):
    """Put a job with `calls.Policy` that must have begun in an hour."""
    hour = datetime.timedelta(hours=1)
    return client.put(callable, begin_by=hour, retry_policy_factory=calls.Policy)


def test_after_begin_by_there_is_no_retry(client, agent, answers, clock, happened):
    answers(True, True)
    job = put_with_deadline(client, take_long_and_fail)
    CLOCKS.append(clock)
    calls.run_next(agent)
    CLOCKS.clear()
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert [event[0] for event in happened] == ["try", "jobError", "try", "jobError"]


#: The clock, for code of jobs.
CLOCKS = []


def take_long_and_fail():
    calls.happened.append(("try",))
    CLOCKS[0].advance(minutes=40)
    raise ValueError("it failed")


def test_a_retry_at_a_time_after_begin_by_is_refused(client, agent, answers, clock, happened):
    answers(datetime.timedelta(hours=2))
    job = put_with_deadline(client, calls.fail)
    calls.run_next(agent)
    assert job.status == COMPLETED
    assert job.result.check(ValueError)


def test_a_retry_at_a_time_does_not_move_the_deadline(client, agent, answers, clock, happened):
    answers(*[datetime.timedelta(minutes=25)] * 10)
    job = put_with_deadline(client, calls.happen_and_fail)
    for _number in range(5):
        calls.run_next(agent)
        clock.advance(minutes=25)
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert [event for event in happened if event == ()] == [(), (), ()]


def test_a_retry_that_is_claimed_after_begin_by_times_out(client, agent, answers, clock, happened):
    answers(datetime.timedelta(minutes=50))
    job = put_with_deadline(client, calls.fail)
    calls.run_next(agent)
    assert job.status == PENDING
    clock.advance(minutes=70)
    assert calls.run_next(agent) is None
    assert job.result.check(BeginByPassedError)


def test_a_job_in_no_queue_cannot_be_rescheduled():
    job = Job(calls.nothing)
    with pytest.raises(AsyncError, match="has no queue"):
        zc.async_.running.answers.reschedule(job, True)
