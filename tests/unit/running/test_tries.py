"""Running jobs by calling them: tries and their ends."""

import datetime

import pytest
import transaction
import ZODB
from ZODB.POSException import ConflictError

import zc.twist
from tests.unit import calls
from zc.async_.interfaces import ASSIGNED, COMPLETED, NEW, BadStatusError
from zc.async_.job import Job
from zc.async_.threadlocal import local

# -- good ends


def test_the_result_is_returned_and_committed(client, other):
    job = client.add_job(calls.add, 1, 2)
    assert job() == 3
    assert job.result == 3
    assert job.status == COMPLETED
    other.begin()
    assert other.mine(job).result == 3
    assert other.mine(job).status == COMPLETED


def test_the_changes_and_the_result_are_one_transaction(client, other, log):
    job = client.add_job(log.note, "text")
    count = client.connection.db().storage.lastTransaction()
    seen = []
    client.manager.get()
    job()
    for record in client.connection.db().storage.iterator(start=count):
        seen.append(len(list(record)))
    assert len(seen) == 2  # the one of `count`, and one for all the job did
    other.begin()
    assert other.mine(log).entries == (("text",),)


def test_a_job_in_no_database_runs_in_the_transaction_of_the_thread():
    job = Job(calls.add, 1, 2)
    before = transaction.get()
    assert job() == 3
    assert job.status == COMPLETED
    assert transaction.get() is not before


def test_a_job_runs_in_the_transaction_manager_of_its_connection(client, log):
    job = client.add_job(log.note, "text")
    outside = transaction.begin()
    job()
    assert transaction.get() is outside


def test_a_job_knows_when_it_ran(client, clock):
    job = client.add_job(calls.nothing)
    job()
    assert job.active_start == job.active_end == clock.now


def test_the_running_job_is_the_local_one(client):
    outer = client.add_job(find_jobs)
    callback = outer.addCallback(find_jobs)
    client.commit()
    calls.happened.clear()
    assert local.job is None
    outer()
    assert calls.happened == [outer, callback]
    assert local.job is None


def find_jobs(*args):
    calls.happened.append(local.getJob())


def test_a_job_called_in_a_job_hides_it_for_a_while(client):
    inner = Job(find_jobs)
    outer = Job(call_then_look, inner)
    calls.happened.clear()
    outer()
    assert calls.happened == [inner, outer]


def call_then_look(job):
    job()
    find_jobs()


def test_results_of_all_kinds_are_kept(client, other):
    for value in (None, 0, "", [1, {"a": (2,)}], calls.Nested, datetime.timedelta(1)):
        job = client.add_job(calls.identity, value)
        assert job() == value
        other.begin()
        assert other.mine(job).result == value


def test_a_persistent_result_becomes_a_record_of_its_own(client, other):
    job = client.add_job(calls.Counter)
    counter = job()
    counter.increase()
    client.commit()
    other.begin()
    assert other.mine(job).result.count == 1


# -- bad ends


def test_an_exception_becomes_a_failure(client, other, log):
    job = client.add_job(log.note_and_fail)
    result = job()
    assert isinstance(result, zc.twist.Failure)
    assert result.check(ValueError)
    assert job.result is result
    assert job.status == COMPLETED
    assert log.entries == ()
    other.begin()
    assert other.mine(job).result.check(ValueError)
    assert "it failed" in other.mine(job).result.getTraceback()


class Strange(Exception):
    """Cannot be pickled, and says so."""

    def __reduce__(self):
        raise TypeError("not me")


def raise_strange():
    raise Strange("the text")


def test_an_exception_that_cannot_be_pickled_is_stored_as_text(client, other):
    job = client.add_job(raise_strange)
    job()
    other.begin()
    result = other.mine(job).result
    assert result.getErrorMessage() == "the text"
    assert result.type_name.endswith("Strange")


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_thread_is_not_swallowed(client, log, error, to_raise, happened):
    job = client.add_job(calls.note_and_raise_next, log)
    to_raise.append(error())
    with pytest.raises(error):
        job()
    assert log.entries == ()
    assert job.status == NEW
    assert local.job is None


# -- what the caller did


def test_what_the_caller_did_stays_though_the_job_fails(client, other, log):
    job = client.add_job(log.note_and_fail, "by the job")
    log.note("by the caller")
    assert job().check(ValueError)
    other.begin()
    assert other.mine(log).entries == (("by the caller",),)


def test_what_the_caller_did_stays_though_the_job_is_tried_again(client, other, log, to_raise):
    to_raise.extend([ConflictError(), ConflictError()])
    job = client.add_job(calls.raise_next)
    log.note("by the caller")
    job()
    other.begin()
    assert other.mine(log).entries == (("by the caller",),)


def test_if_what_the_caller_did_conflicts_he_hears_of_it_and_the_job_does_not_run(
    client, other, log, happened
):
    job = client.add_job(calls.happen)
    other.begin()
    other.mine(log).note("first")
    other.commit()
    log.note("by the caller")
    with pytest.raises(ConflictError):
        job()
    assert happened == []
    client.manager.abort()
    assert job.status == NEW
    assert job() is not None or job.status == COMPLETED


def test_a_run_that_committed_itself_is_tried_again_more_than_once(client, to_raise):
    """It does not take its own try for somebody else's."""
    to_raise.extend([ConflictError(), ConflictError(), ConflictError()])
    job = client.add_job(commit_and_raise_next)
    job()
    assert job.status == COMPLETED
    assert not isinstance(job.result, zc.twist.Failure)


def commit_and_raise_next():
    local.getJob()._p_jar.transaction_manager.commit()
    return calls.raise_next()


# -- which jobs may be called


def test_calling_an_assigned_job_runs_it(client, agent):
    job = client.put(calls.add)
    agent.claimJob()
    client.commit()
    assert job.status == ASSIGNED
    assert job() == 0


def test_a_waiting_job_is_not_called(client, happened):
    job = client.put(calls.happen)
    with pytest.raises(BadStatusError):
        job()
    assert happened == []


def test_jobs_in_a_database_without_a_queue_can_be_called():
    database = ZODB.DB(None)
    client = calls.Client(database)
    assert client.add_job(calls.add, 1)() == 1
    client.close()
    database.close()
