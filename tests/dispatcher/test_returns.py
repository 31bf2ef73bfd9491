"""Jobs and callbacks that end the thread they run in."""

from tests.dispatcher import work
from tests.dispatcher.looking import idle, seconds


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


def test_jobs_that_ended_are_counted_once_they_have(dispatcher, put, begin, completed, settle):
    assert dispatcher.jobs_ended == 0
    completed(*[put(work.answer) for _ in range(10)], put(work.fail))
    settle(lambda: dispatcher.jobs_ended == 11)
    # The try that ends its thread is not counted, but the job that sees to the interruption is.
    completed(put(work.leave))
    settle(lambda: dispatcher.jobs_ended == 13)
    job = begin(work.wait)
    settle(lambda: idle(dispatcher) is False)
    assert dispatcher.jobs_ended == 13
    work.gate.set()
    completed(job)
    settle(lambda: dispatcher.jobs_ended == 14)
