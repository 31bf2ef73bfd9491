"""Log records stay small and safe, whatever jobs are called with, answer or raise."""

import logging
import sys

import pytest

import zc.async_.interfaces
import zc.async_.job
from tests.unit import calls
from zc.async_ import utils
from zc.async_.job import Job
from zc.async_.storing.storable import UnstorableError
from zc.twist import showing

#: More than any record of a few values has.
ENOUGH = 3 * showing.MAX_LENGTH

HUGE = 50_000_000


def fail_with(value):
    """Raise, with a variable."""
    raise ValueError("x" * 5_000_000, type(value))


def fail_with_secret():
    """Raise, with variables that are nobody's business, and large ones."""
    password = "hunter" + "2"
    filling = ["x" * 5_000_000]
    raise ValueError(len(password), len(filling))


class Nasty(Job):
    """Its repr raises."""

    def __repr__(self):
        raise ValueError


@pytest.fixture
def texts(caplog):
    """The texts that were logged."""
    caplog.set_level(logging.DEBUG, "zc.async")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_job_shows_little_of_large_arguments():
    job = Job(calls.echo, "x" * HUGE, [b"y" * HUGE], also={"z": "z" * HUGE})
    assert len(repr(job)) <= showing.MAX_LENGTH
    for part in ("calls.echo('xxx", "[b'yyy", "also={'z': 'zzz", ")``>"):
        assert part in repr(job)


def test_a_job_shows_little_of_many_arguments():
    assert len(repr(Job(calls.echo, *["x" * 100] * 10_000))) <= showing.MAX_LENGTH


def test_a_job_does_not_show_secrets():
    assert repr(Job(calls.echo, password="hunter2")).endswith("(password=***)``>")


def test_the_end_of_a_job_with_huge_values_is_a_small_record(texts):
    job = Job(calls.echo, "x" * HUGE)
    job()
    (text,) = texts()
    assert "succeeded with result:\n(('xxx" in text
    assert len(text) < ENOUGH


def test_the_failure_of_a_job_with_huge_values_is_a_small_record(texts):
    job = Job(fail_with, "x" * HUGE)
    job()
    (text,) = [text for text in texts() if " failed:" in text]
    assert len(text) < showing.MAX_FAILURE_LENGTH + ENOUGH


def test_what_is_stored_of_a_failure_is_small_and_without_secrets(client, texts):
    job = Job(fail_with_secret)
    client.add("job", job)
    job()
    data, _serial = client.connection._storage.load(job._p_oid)
    assert b"filling" in data
    assert b"hunter2" not in data
    assert len(data) < showing.MAX_FAILURE_LENGTH + ENOUGH
    assert not any("hunter2" in text for text in texts())


def test_a_job_whose_repr_raises_is_told_of_all_the_same(texts):
    job = Nasty(fail_with, 1)
    job()
    assert job.status == zc.async_.interfaces.COMPLETED
    assert any("Nasty at 0x" in text and " failed:" in text for text in texts())


def test_whatever_is_logged_is_cut_and_cannot_forge_a_record(texts):
    utils.log.error("%r and %s", "x" * HUGE, ValueError("y" * HUGE))
    utils.log.error("%r of %d, %.1f", "a\nb\ud800", 1, 2.5)
    first, second = texts()
    assert len(first) < ENOUGH
    assert second == "'a\\nb\\ud800' of 1, 2.5"


def test_a_traceback_in_the_log_is_cut(caplog):
    formatter = logging.Formatter()
    try:
        raise ValueError("x" * HUGE)
    except ValueError:
        utils.log.critical("an error", exc_info=True)
    text = formatter.format(caplog.records[0])
    assert len(text) < showing.MAX_FAILURE_LENGTH + ENOUGH
    assert text.startswith("an error\nTraceback (most recent call last):\n")


def test_a_usual_traceback_is_logged_as_it_is(caplog):
    formatter = logging.Formatter()
    try:
        raise ValueError("usual")
    except ValueError:
        expected = formatter.formatException(sys.exc_info())
        utils.log.critical("an error", exc_info=True)
    assert formatter.format(caplog.records[0]) == f"an error\n{expected}"


def test_errors_show_little_of_huge_values(client, queue):
    job, put = Job(calls.echo), queue.put(calls.echo)
    for wrong in (
        lambda: queue.put(Job(calls.echo, {"x" * HUGE: lambda: None})),
        lambda: setattr(job, "quota_names", "x" * HUGE),
        lambda: setattr(put, "quota_names", ["x" * HUGE]),
        lambda: setattr(job, "priority", "x" * HUGE),
        lambda: queue.quotas.create("x" * HUGE, size="y" * HUGE),
        lambda: Job("x" * HUGE),
    ):
        with pytest.raises((TypeError, ValueError, LookupError, UnstorableError)) as caught:
            wrong()
        assert len(str(caught.value)) < ENOUGH
