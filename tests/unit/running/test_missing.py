"""Code that is not there."""

import datetime

import pytest
import ZODB.broken

from tests.unit import calls
from zc.async_.interfaces import CALLBACKS, COMPLETED, NEW, PENDING, MissingCallableError
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job
from zc.async_.running import missing
from zc.async_.running.missing import MissingCodeError, delay, find_callable
from zc.async_.storing.callables import from_stored


@pytest.fixture
def broken():
    """An object whose class is gone."""
    kind = ZODB.broken.find_global("gone", "Class")
    return kind.__new__(kind)


class Computed:
    """Has an attribute that fails by a fault of its own."""

    @property
    def method(self):
        return self.nothing


@pytest.mark.parametrize("arguments", [lambda b: ([b], {}), lambda b: ([], {"key": b})])
def test_an_argument_whose_class_is_gone_is_missing_code(broken, arguments):
    args, kwargs = arguments(broken)
    job = Job(calls.echo, *args, **kwargs)
    with pytest.raises(MissingCodeError) as caught:
        find_callable(job)
    assert "gone.Class" in str(caught.value)


def test_nothing_is_missing():
    assert find_callable(Job(calls.echo, 1, key=2)) is calls.echo


@pytest.mark.parametrize("name", ["method", None])
def test_an_object_whose_class_is_gone_has_no_method(broken, name):
    with pytest.raises(MissingCallableError, match=r"gone\.Class"):
        from_stored((broken, name))


def test_a_method_that_was_renamed_is_missing():
    with pytest.raises(MissingCallableError, match="no 'renamed' any more"):
        from_stored((calls.Log(), "renamed"))


def test_an_attribute_that_fails_is_not_missing():
    with pytest.raises(AttributeError) as caught:
        from_stored((Computed(), "method"))
    assert not isinstance(caught.value, MissingCallableError)


def test_delays_grow_and_have_an_end():
    assert [delay(count) for count in (0, 1, 9, 10, 1000)] == [1, 2, 512, 600, 600]
    assert missing.PATIENCE.total_seconds() == 24 * 60 * 60


# -- jobs that wait for their code


@pytest.fixture
def leave_out(client, monkeypatch):
    """Has the code of a job be missing here, until the function that it returns is called."""

    def leave_out(job):
        function = job.callable
        job.stored_callable = "tests.unit.calls:installed_later"
        client.commit()
        return lambda: monkeypatch.setattr(calls, "installed_later", function, raising=False)

    return leave_out


def test_the_code_of_a_callback_may_be_missing_for_a_while(client, agent, clock, leave_out):
    job = client.put(calls.add)
    callback = job.addCallback(calls.identity)
    install = leave_out(callback)
    calls.run_next(agent)
    assert (job.status, callback.status, len(agent)) == (CALLBACKS, NEW, 0)
    clock.advance(seconds=1)
    client.begin()
    calls.run_next(agent.parent.system_agent)
    assert (job.status, callback.status) == (CALLBACKS, NEW)
    install()
    clock.advance(seconds=2)
    client.begin()
    calls.run_next(agent.parent.system_agent)
    assert (job.status, callback.result) == (COMPLETED, 0)


def test_a_job_whose_code_is_missing_waits_for_it(client, agent, clock, leave_out, caplog):
    job = client.put(calls.add)
    install = leave_out(job)
    for seconds in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600):
        calls.run_next(agent)
        assert job.status == PENDING
        assert len(client.queue) == 1
        assert job.begin_after == clock.after(seconds=seconds)
        clock.advance(seconds=seconds - 1)
        client.begin()
        assert calls.run_next(agent) is None
        clock.advance(seconds=1)
        client.begin()
    assert "tests.unit.calls.installed_later" in caplog.text
    # It did not count as a try.
    assert job.kept_policy is None
    install()
    calls.run_next(agent)
    assert job.result == 0


def test_a_job_does_not_wait_for_its_code_for_ever(client, agent, clock, leave_out, caplog):
    job = client.put(calls.add)
    leave_out(job)
    calls.run_next(agent)
    clock.advance(hours=24)
    for _try in range(missing.LEAST_TRIES):
        assert job.status == PENDING
        client.begin()
        calls.run_next(agent)
        clock.advance(minutes=10)
    assert job.result.check(MissingCallableError)
    assert "and fails" in caplog.text


def test_a_job_whose_code_is_missing_does_not_outlive_its_begin_by(client, agent, clock, leave_out):
    job = client.put(calls.add, begin_by=datetime.timedelta(minutes=1))
    leave_out(job)
    calls.run_next(agent)
    clock.advance(minutes=2)
    client.begin()
    assert calls.run_next(agent) is None
    assert job.result.check(BeginByPassedError)
