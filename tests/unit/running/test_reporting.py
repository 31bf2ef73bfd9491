"""What is told of the end of a job."""

import logging

import pytest

from tests.unit import calls
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job

# -- good ends


def test_the_success_is_traced_with_the_result(client, caplog):
    caplog.set_level(logging.INFO, "zc.async.trace")
    client.add_job(calls.add, 1, 2)()
    assert "succeeded with result:\n3" in caplog.text


def test_a_result_that_cannot_be_shown_is_a_result(client, caplog, happened):
    caplog.set_level(logging.DEBUG, "zc.async.trace")
    job = client.add_job(calls.BadRepr)
    job.addCallback(calls.happen)
    client.commit()
    job()
    assert job.status == COMPLETED
    assert len(happened) == 1
    assert "BadRepr" in caplog.text


# -- bad ends


@pytest.mark.parametrize(
    ("make", "level"),
    [
        pytest.param(lambda job: job, logging.ERROR, id="a job"),
        pytest.param(
            lambda job: Job(calls.nothing).addCallback(job), logging.CRITICAL, id="callback"
        ),
    ],
)
def test_failures_are_logged_among_the_events_with_a_traceback(make, level, caplog):
    caplog.set_level(1)
    job = Job(calls.fail)
    (make(job).parent or job)()
    records = [r for r in caplog.records if r.name == "zc.async.events"]
    assert [record.levelno for record in records] == [level]
    assert "it failed" in records[0].getMessage()
    assert "in fail" in records[0].getMessage() or "fail(" in records[0].getMessage()


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.CRITICAL])
def test_the_level_of_the_log_record_can_be_set(level, caplog):
    caplog.set_level(1, "zc.async.events")
    job = Job(calls.fail)
    job.failure_log_level = level
    job()
    assert [record.levelno for record in caplog.records] == [level]
