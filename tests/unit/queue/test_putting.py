"""What `put` takes, and `call`."""

import datetime
import inspect
import logging
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
import pytz
import zope.component

from tests.unit import calls
from zc.async_.interfaces import COMPLETED, IUUID, NEW, PENDING, BadStatusError, IQueue
from zc.async_.job import Job, mistyped
from zc.async_.queue import Queue
from zc.async_.running.retry import NeverRetry
from zc.async_.storing.storable import UnstorableError

ROOT = Path(__file__).parents[3]
HOUR = datetime.timedelta(hours=1)
UTC = datetime.UTC


def test_all_that_can_be_set_on_a_job_can_be_given_to_put(queue, clock):
    queue.quotas.create("index")
    queue.quotas.create("mail")
    values = {
        "begin_after": clock.now + HOUR,
        "begin_by": HOUR,
        "failure_log_level": logging.INFO,
        "needs": ("eu", "gpu"),
        "priority": 5,
        "quota_names": ("index", "mail"),
        "retry_policy_factory": NeverRetry,
    }
    job = queue.put(calls.nothing, **values)
    assert {name: getattr(job, name) for name in values} == values
    # The rest is the call itself, and everybody's notes.
    the_call = {"annotations", "args", "callable", "kwargs"}
    assert set(mistyped.SETTABLE) == set(values) | the_call


def test_the_contract_and_the_queue_take_the_same():
    _self, *taken = inspect.signature(Queue.put).parameters
    assert list(IQueue["put"].getSignatureInfo()["positional"]) == taken


def test_quotas_that_are_given_to_put_hold_the_job_back(client):
    client.queue.quotas.create("index")
    first = client.put(calls.nothing, quota_names=["index"])
    client.put(calls.nothing, quota_names=["index"])
    assert client.claim() is first
    assert client.claim() is None


def test_quotas_that_are_given_to_put_replace_those_of_the_job(queue):
    queue.quotas.create("index")
    job = Job(calls.nothing)
    job.quota_names = ["unknown"]
    queue.put(job, quota_names=["index"])
    assert job.quota_names == ("index",)


def test_what_put_refuses_for_a_quota_can_be_put_with_another(queue):
    queue.quotas.create("index")
    job = Job(calls.nothing)
    with pytest.raises(ValueError, match="unknown quota name"):
        queue.put(job, priority=3, quota_names=["indices"])
    assert (job.status, job.priority, job.quota_names) == (NEW, 0, ())
    with pytest.raises(TypeError, match="put it into a list"):
        queue.put(job, quota_names="index")
    queue.put(job, quota_names=["index"])
    assert job.status == PENDING


def test_call_puts_a_job_of_a_function_and_its_arguments(queue):
    job = queue.call(calls.echo, 1, "a", key=2)
    assert list(queue) == [job]
    assert job.callable is calls.echo
    assert (job.args, job.kwargs) == ([1, "a"], {"key": 2})


@pytest.mark.parametrize("name", ["self", "callable", "item", "begin_after", "priority"])
def test_call_keeps_no_argument_for_itself(queue, name):
    job = queue.call(calls.echo, **{name: 1})
    assert job.kwargs == {name: 1}
    assert job.priority == 0


def test_call_takes_methods_and_refuses_what_put_refuses(client):
    quotas = client.queue.quotas
    job = client.queue.call(quotas.create, "a", size=2)
    assert (job.callable, job.args, job.kwargs) == (quotas.create, ["a"], {"size": 2})
    with pytest.raises(UnstorableError, match="argument 0"):
        client.queue.call(calls.echo, lambda: 1)
    with pytest.raises(TypeError, match="cannot be called"):
        client.queue.call(1)


def test_a_put_with_arguments_in_place_of_call_is_told_of_it(queue):
    with pytest.raises(TypeError, match=r"use call: queue\.call\(callable, 5\)$"):
        queue.put(calls.echo, 5)


TYPED = """
    from zc.async_.interfaces import IQueue
    from zc.async_.queue import Queue

    def send(address: str, copies: int = 1) -> bool:
        return True

    def work(queue: Queue, adapted: IQueue) -> None:
        queue.call(send, "a")
        queue.call(send, "a", copies=2)
        adapted.call(send, "a", 2)
        queue.call(send, 1)
        queue.call(send, "a", copy=2)
        queue.call(send)
        adapted.call(send, "a", copies="2")
        queue.put(send, quota_names=["a"], priority=1)
        queue.put(send, quota_name=["a"])
    """


@pytest.mark.slow
def test_type_checkers_check_the_arguments_of_a_call(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(TYPED))
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--no-error-summary", str(program)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
    )
    found = [line.split(":", 3) for line in done.stdout.splitlines() if "error:" in line]
    assert [(int(line), text.rpartition("[")[2]) for _, line, _, text in found] == [
        (12, "arg-type]"),
        (13, "call-arg]"),
        (14, "call-arg]"),
        (15, "arg-type]"),
        (17, "call-arg]"),
    ], done.stdout + done.stderr


# -- jobs that are put


def test_a_function_that_is_put_becomes_a_job(queue):
    job = queue.put(calls.nothing)
    assert isinstance(job, Job)
    assert job.callable is calls.nothing
    assert job.status == PENDING
    assert job.parent is queue
    assert job.queue is queue
    assert job.agent is None


def test_a_job_that_is_put_is_returned(queue):
    job = Job(calls.add, 1, 2)
    assert queue.put(job) is job


def test_the_job_belongs_to_the_database_of_the_queue_at_once(client):
    job = client.queue.put(calls.nothing)
    assert job._p_jar is client.connection


def test_a_job_tells_who_put_it(queue):
    zope.component.provideUtility(uuid.UUID(int=5), IUUID)
    assert queue.put(calls.nothing).assignerUUID == uuid.UUID(int=5)


def test_a_process_without_identity_can_put(queue, monkeypatch):
    monkeypatch.setattr(zope.component, "queryUtility", lambda *args, **kwargs: None)
    assert queue.put(calls.nothing).assignerUUID is None


def settings(clock):
    """A value for each of the first arguments of `put`, in their order."""
    return {
        "begin_after": clock.after(hours=1),
        "begin_by": datetime.timedelta(minutes=5),
        "failure_log_level": 10,
        "retry_policy_factory": NeverRetry,
        "priority": 7,
    }


def test_the_arguments_of_put_set_the_attributes_of_the_job(queue, clock):
    wanted = settings(clock)
    job = queue.put(calls.nothing, *wanted.values())
    assert {name: getattr(job, name) for name in wanted} == wanted


def test_without_arguments_put_leaves_the_attributes_of_the_job_alone(queue, clock):
    wanted = settings(clock)
    job = Job(calls.nothing)
    for name, value in wanted.items():
        setattr(job, name, value)
    queue.put(job)
    assert {name: getattr(job, name) for name in wanted} == wanted


def test_by_default_a_job_begins_after_the_time_of_the_put(queue, clock):
    job = Job(calls.nothing)
    assert job.begin_after is None
    queue.put(job)
    assert abs(job.begin_after - clock.now) < datetime.timedelta(milliseconds=1)
    assert job.begin_by is None


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime.datetime(2030, 1, 1, 13), id="naive is in UTC"),
        pytest.param(datetime.datetime(2030, 1, 1, 13, tzinfo=UTC), id="UTC"),
        pytest.param(datetime.datetime(2030, 1, 1, 13, tzinfo=pytz.UTC), id="pytz"),
        pytest.param(
            datetime.datetime(
                2030, 1, 1, 8, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))
            ),
            id="another zone",
        ),
    ],
)
def test_times_are_taken_in_any_zone_and_told_in_utc(queue, moment):
    job = queue.put(calls.nothing, moment)
    assert job.begin_after == datetime.datetime(2030, 1, 1, 13, tzinfo=UTC)
    assert job.begin_after.tzinfo is UTC


def test_what_cannot_be_called_cannot_be_put(queue):
    with pytest.raises(TypeError, match="cannot be called"):
        queue.put(42)
    assert len(queue) == 0


@pytest.mark.parametrize("status", [PENDING, COMPLETED])
def test_a_job_that_is_no_longer_new_cannot_be_put(queue, status):
    job = queue.put(calls.nothing)
    if status == COMPLETED:
        queue.claim()()
    with pytest.raises(BadStatusError, match="only a new job"):
        queue.put(job)
    assert job.status == status


def test_a_job_in_one_queue_cannot_be_put_into_another(queue):
    job = queue.put(calls.nothing)
    with pytest.raises(BadStatusError):
        Queue().put(job)
    assert list(queue) == [job]


def test_a_job_that_names_an_unknown_quota_cannot_be_put(queue):
    job = Job(calls.nothing)
    job.quota_names = ["content catalog"]
    with pytest.raises(ValueError, match="unknown quota name") as raised:
        queue.put(job)
    assert raised.value.args == ("unknown quota name", "content catalog")
    assert len(queue) == 0
    assert job.status == NEW


def test_a_priority_is_an_integer(queue):
    with pytest.raises(TypeError, match="integer"):
        queue.put(calls.nothing, priority="high")
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        pytest.param(lambda: Job(lambda: 1), "lambda", id="a lambda"),
        pytest.param(lambda: Job(calls.echo, open), None, id="a built-in function is fine"),
        pytest.param(lambda: Job(calls.echo, 1, (i for i in ())), "generator", id="an argument"),
        pytest.param(
            lambda: Job(calls.echo, key=[{1: (i for i in ())}]), "generator", id="deep inside"
        ),
    ],
)
def test_what_cannot_be_stored_cannot_be_put(queue, make, named):
    if named is None:
        queue.put(make())
        assert len(queue) == 1
        return
    with pytest.raises(TypeError, match=named):
        queue.put(make())
    assert len(queue) == 0


def test_persistent_arguments_are_not_looked_into_by_put(client, other):
    counter = client.add("counter", calls.Counter())
    other.begin()
    there = other.mine(counter)
    job = Job(calls.echo, [there], value=there)
    other.queue.put(job)
    assert there._p_changed is None
