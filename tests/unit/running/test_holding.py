"""Jobs that became somebody else's, or are no longer at hand."""

import pytest

from tests.unit import calls
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING, ReassignedError
from zc.async_.job import Job
from zc.async_.running import tries as running
from zc.async_.running.holding import ConnectionClosedError
from zc.async_.threadlocal import local

# -- jobs that became somebody else's


@pytest.fixture
def claimed(client, agent):
    """A job that is claimed and active."""
    job = client.put(calls.happen)
    calls.claim_active(agent)
    return job


def test_a_claimed_job_runs_with_its_token(claimed, happened):
    assert calls.run_claimed(claimed) is None
    assert claimed.status == COMPLETED
    assert happened == [()]


def test_a_job_with_another_token_is_not_run(claimed, happened):
    with pytest.raises(ReassignedError):
        running.run_claimed(claimed, claimed.claim_token + 1)
    assert happened == []
    assert claimed.status == ACTIVE


def test_a_job_that_is_no_longer_active_is_not_run(client, claimed, happened):
    token = claimed.claim_token
    client.queue.putBack(claimed)
    client.commit()
    with pytest.raises(ReassignedError):
        running.run_claimed(claimed, token)
    assert happened == []
    assert claimed.status == PENDING


def lose(job):
    calls.happen()
    other = calls.elsewhere
    other.begin()
    there = other.mine(job)
    there.queue.putBack(there)
    other.commit()


def test_a_job_that_was_taken_away_while_it_ran_is_not_tried_again(
    client, elsewhere, agent, happened
):
    job = client.put(Job(calls.nothing))
    job.callable = lose
    job.args.append(job)
    client.commit()
    calls.claim_active(agent)
    with pytest.raises(ReassignedError):
        calls.run_claimed(job)
    client.begin()
    assert happened == [()]
    assert job.status == PENDING


def reassigned():
    raise ReassignedError("gone")


def test_a_job_that_finds_itself_reassigned_gives_up(client, agent, happened):
    job = client.put(calls.LoggedJob(reassigned))
    calls.claim_active(agent)
    with pytest.raises(ReassignedError):
        calls.run_claimed(job)
    assert happened == ["setUp", ("tearDown", "info")]
    assert job.status == ACTIVE


def test_a_commit_that_finds_the_job_reassigned_gives_up(client, agent, happened, failing_commits):
    job = client.put(calls.LoggedJob(calls.happen))
    calls.claim_active(agent)
    failing_commits(ReassignedError("gone"))
    with pytest.raises(ReassignedError):
        calls.run_claimed(job)
    assert happened == ["setUp", (), ("tearDown", "info")]
    assert job.status == ACTIVE


# -- jobs that close the connection of their caller


def commit_and_close_connection():
    jar = local.getJob()._p_jar
    jar.transaction_manager.commit()
    jar.close()


def test_a_job_that_closes_its_callers_connection_is_told_of_before_a_commit(client):
    job = client.add("job", Job(commit_and_close_connection))
    with pytest.raises(ConnectionClosedError, match="who opened it"):
        job()
