"""Tries that came to nothing, and who waits for the next."""

import datetime

import pytest
import ZODB
from ZODB.POSException import POSKeyError

from tests.unit import calls
from zc.async_.interfaces import CALLBACKS, COMPLETED, NEW, PENDING
from zc.async_.running.retry import NeverRetry

# -- later tries


def test_a_job_in_no_queue_cannot_wait_and_fails(client, answers, happened, caplog, sleeps):
    answers(datetime.timedelta(minutes=5))
    job = client.add_job(calls.fail)
    job.retry_policy_factory = calls.Policy
    client.commit()
    assert job().check(ValueError)
    assert job.status == COMPLETED
    assert "in no queue" in caplog.text


def test_the_arguments_of_the_call_are_kept_for_the_next_try(client, agent, answers, clock):
    answers(datetime.timedelta(minutes=5))
    job = calls.policy_job(agent, fail_first, 1)
    calls.happened.clear()
    job(2, key=3)
    assert job.args == [1, 2]
    assert job.kwargs == {"key": 3}
    clock.advance(minutes=5)
    calls.run_next(agent)
    assert job.result == ((1, 2), {"key": 3})


def fail_first(*args, **kwargs):
    calls.happened.append("call")
    if calls.happened.count("call") == 1:
        raise ValueError("it failed")
    return args, kwargs


def test_a_callback_can_wait_and_so_does_what_is_behind_it(
    client, agent, answers, clock, to_raise, happened
):
    answers(datetime.timedelta(minutes=5))
    job = client.put(calls.add)
    callback = job.addCallback(calls.raise_next, retry_policy_factory=calls.Policy)
    behind = job.addCallback(calls.identity)
    client.commit()
    to_raise.append(ValueError())
    calls.run_next(agent)
    assert (job.status, callback.status, behind.status) == (CALLBACKS, NEW, NEW)
    # It holds no place of the agent meanwhile, and no worker.
    assert len(agent) == 0
    assert calls.run_next(agent) is None
    clock.advance(minutes=5)
    client.begin()
    assert calls.run_next(agent.parent.system_agent) is not None
    assert (job.status, callback.status, behind.status) == (COMPLETED,) * 3
    assert happened[0] == happened[-1] == (0,)
    assert callback.kept_policy.parent is callback
    assert len(client.queue) == 0


# -- several databases


@pytest.fixture
def two(clock, connect, uuid_1):
    """A client of a queue whose database has another one beside it, and an agent."""
    databases = {}
    main = ZODB.DB(None, databases=databases, database_name="main")
    ZODB.DB(None, databases=databases, database_name="content")
    client = connect(main)
    calls.make_queue(client)
    yield client, client.agent(uuid_1)
    client.close()
    for database in databases.values():
        database.close()


def test_an_object_of_another_database_may_be_on_its_way(two, clock, to_raise):
    """Of two databases, one after the other finishes the commit that put the job."""
    client, agent = two
    job = client.put(calls.raise_next, retry_policy_factory=NeverRetry)
    to_raise[:] = [POSKeyError(b"12345678")] * 2
    for _vain in range(2):
        assert calls.run_in_worker(agent) is job
        assert job.status == PENDING
        assert agent.claimJob() is None
        clock.advance(milliseconds=200)
        client.begin()
    calls.run_in_worker(agent)
    assert job.status == COMPLETED
    # It counted as nothing: no policy was asked.
    assert job.kept_policy is None


def test_an_object_that_is_missing_for_ten_seconds_is_missing(two, clock, to_raise):
    client, agent = two
    job = client.put(calls.raise_next)
    clock.advance(seconds=10)
    client.begin()
    to_raise[:] = [POSKeyError(b"12345678")]
    calls.run_in_worker(agent)
    assert job.result.check(POSKeyError)


def test_in_a_single_database_a_missing_object_does_not_come(client, agent, to_raise):
    job = client.put(calls.raise_next)
    to_raise[:] = [POSKeyError(b"12345678")]
    calls.run_in_worker(agent)
    assert job.result.check(POSKeyError)
