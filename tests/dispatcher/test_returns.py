"""Jobs and callbacks that end the thread they run in."""

from tests.dispatcher import work
from tests.dispatcher.looking import seconds


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
