"""Tries that fail, and the policies that are asked about them."""

import datetime

import pytest
import ZEO.Exceptions
from ZODB.POSException import ConflictError

import zc.twist
from tests.unit import calls
from zc.async_.interfaces import COMPLETED, PENDING
from zc.async_.job import Job
from zc.async_.running.retry import RetryCommonForever

# -- retries


def test_a_transaction_error_is_tried_over_five_times_by_default(client, to_raise, happened):
    to_raise += [ConflictError() for _number in range(4)]
    assert client.add_job(calls.raise_next)() == 5
    to_raise += [ConflictError() for _number in range(5)]
    happened.clear()
    assert client.add_job(calls.raise_next)().check(ConflictError)
    assert len(happened) == 5


def test_other_errors_are_not_tried_over_by_default(client, to_raise, happened):
    to_raise.append(ValueError())
    assert client.add_job(calls.raise_next)().check(ValueError)
    assert len(happened) == 1


def test_each_try_begins_with_what_is_in_the_database(client, log, to_raise, happened):
    to_raise += [ConflictError(), ConflictError()]
    client.add_job(calls.note_and_raise_next, log)()
    assert log.entries == (("text",),)
    assert len(happened) == 3


def conflict(name, log):
    """Change a log that is changed elsewhere meanwhile, the first two times."""
    calls.happen()
    log.note(name)
    if len(calls.happened) < 3:
        other = calls.elsewhere
        other.begin()
        other.mine(log).note("other")
        other.commit()


def test_a_conflict_with_another_connection_is_tried_over(client, elsewhere, log, happened):
    job = client.add_job(conflict, "job", log)
    job()
    assert job.status == COMPLETED
    assert len(happened) == 3
    assert log.entries == (("other",), ("other",), ("job",))
    assert job.getRetryPolicy().data["transaction_error"] == 2


def test_a_conflict_without_end_fails_the_job(client, failing_commits, log, happened):
    job = client.add_job(calls.happen)
    failing_commits(*[ConflictError() for _number in range(5)])
    assert job().check(ConflictError)
    assert len(happened) == 5
    assert job.status == COMPLETED


def test_a_commit_that_fails_otherwise_fails_the_job(client, failing_commits, log):
    job = client.add_job(log.note)
    failing_commits(ValueError("bad commit"))
    result = job()
    assert result.check(ValueError)
    assert "bad commit" in result.getErrorMessage()
    assert log.entries == ()


def test_other_errors_of_the_commit_are_tried_over_by_the_policy_for_ever(
    client, failing_commits, sleeps, happened
):
    job = client.add_job(calls.happen)
    job.retry_policy_factory = RetryCommonForever
    client.commit()
    failing_commits(*[ValueError() for _number in range(5)])
    assert job() is None
    assert len(happened) == 6
    assert sleeps == [1, 2, 3, 4]


def test_a_database_out_of_reach_is_waited_for(client, to_raise, sleeps, happened):
    to_raise += [ZEO.Exceptions.ClientDisconnected() for _number in range(14)]
    assert client.add_job(calls.raise_next)() == 15
    assert sleeps == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60]


def test_a_policy_that_cannot_be_loaded_for_a_while_is_waited_for(
    client, to_raise, sleeps, monkeypatch
):
    job = client.add_job(calls.raise_next)
    errors = [ZEO.Exceptions.ClientDisconnected(), ConflictError()]
    original = Job.getRetryPolicy

    def get(self):
        if errors:
            raise errors.pop(0)
        return original(self)

    monkeypatch.setattr(Job, "getRetryPolicy", get)
    to_raise.append(ConflictError())
    assert not isinstance(job(), zc.twist.Failure)
    assert errors == []


class LosesDatabase(calls.Policy):
    """Answers when the database is out of reach."""

    def commitError(self, failure, data_cache):
        calls.lose_database()
        return super().commitError(failure, data_cache)


@pytest.mark.parametrize("answer", [True, datetime.timedelta(seconds=1)])
def test_a_database_out_of_reach_between_two_tries_is_waited_for(
    client, connect, agent, answers, failing_commits, sleeps, happened, monkeypatch, answer
):
    other = connect()
    storage = client.connection._storage
    load = storage.load
    job = Job(calls.happen)
    job.retry_policy_factory = LosesDatabase
    client.put(job)
    calls.claim_active(agent)
    loads = {}

    def lose_database():
        client.abort()
        client.connection.cacheMinimize()
        loads.update({job._p_oid: [change, fail], agent._p_oid: [fail]})

    def change():
        """Has the job be loaded anew in the next transaction."""
        other.begin()
        other.mine(job)._p_changed = True
        other.commit()

    def fail():
        raise ZEO.Exceptions.ClientDisconnected

    def load_or_fail(oid):
        found = load(oid)
        if loads.get(oid):
            loads[oid].pop(0)()
        return found

    monkeypatch.setattr(storage, "load", load_or_fail)
    monkeypatch.setattr(calls, "lose_database", lose_database, raising=False)
    answers(answer)
    failing_commits(OSError())
    calls.run_claimed(job)
    client.begin()
    assert job.status == (COMPLETED if answer is True else PENDING)
    assert happened.count(()) == (2 if answer is True else 1)
    assert sleeps
    assert loads[job._p_oid if answer is True else agent._p_oid] == []


# -- policies that fail


def test_a_policy_that_raises_fails_the_job_and_is_logged(client, agent, answers, happened, caplog):
    answers(RuntimeError("bad policy"))
    assert calls.policy_job(agent, calls.fail)().check(ValueError)
    assert "bad policy" in caplog.text
    assert "CRITICAL" in caplog.text


def test_a_policy_that_does_not_exist_fails_the_job_and_is_logged(client, caplog):
    job = client.add_job(calls.fail)
    job.retry_policy_factory = "no such name"
    client.commit()
    assert job().check(ValueError)
    assert "no adapter named 'no such name'" in caplog.text


class Exits(calls.Policy):
    def jobError(self, failure, data_cache):
        raise SystemExit


def test_a_policy_may_end_the_thread(client):
    job = client.add_job(calls.fail)
    job.retry_policy_factory = Exits
    client.commit()
    with pytest.raises(SystemExit):
        job()
