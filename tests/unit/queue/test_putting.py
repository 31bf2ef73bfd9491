"""What `put` takes, and `call`."""

import datetime
import inspect
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.unit import calls
from zc.async_.interfaces import NEW, PENDING, IQueue
from zc.async_.job import Job, NeverRetry, mistyped
from zc.async_.queue import Queue
from zc.async_.storing.storable import UnstorableError

ROOT = Path(__file__).parents[3]
HOUR = datetime.timedelta(hours=1)


def test_all_that_can_be_set_on_a_job_can_be_given_to_put(queue, clock):
    queue.quotas.create("index")
    queue.quotas.create("mail")
    values = {
        "begin_after": clock.now + HOUR,
        "begin_by": HOUR,
        "failure_log_level": logging.INFO,
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
