"""What a worker commits, it commits for a job that is its own."""

import pytest
import ZODB
from ZODB.POSException import ReadConflictError

from tests.dispatcher import work
from tests.dispatcher.looking import nothing_written
from zc.async_.dispatcher.fence import Fence
from zc.async_.interfaces import ReassignedError
from zc.async_.job import Job


@pytest.fixture
def fence(client):
    """A fence in the transaction manager of `client`."""
    fence = Fence()
    client.manager.registerSynch(fence)
    return fence


@pytest.fixture
def job(client, fence):
    """A job in the database, which is fenced with its present token."""
    job = client.root["job"] = Job(work.answer)
    client.manager.commit()
    client.manager.begin()
    fence.enclose(job, job.claim_token)
    return job


@pytest.fixture
def reassign(connect, job):
    """Has somebody else take the job meanwhile."""

    def reassign():
        other = connect()
        other.same(job).claim_token += 1
        other.manager.commit()

    return reassign


def test_while_the_token_is_the_same_everything_can_be_committed(client, job):
    for _number in range(2):
        client.root["counter"].increase()
        client.manager.commit()
    assert client.root["counter"].count == 2


def test_a_job_that_was_reassigned_before_the_transaction_is_noticed(client, job, reassign):
    reassign()
    client.manager.begin()
    client.root["counter"].increase()
    with pytest.raises(ReassignedError, match="given to somebody else"):
        client.manager.commit()
    client.manager.abort()
    assert client.root["counter"].count == 0


def test_a_job_that_is_reassigned_during_the_transaction_makes_it_conflict(client, job, reassign):
    client.root["counter"].increase()
    reassign()
    with pytest.raises(ReadConflictError):
        client.manager.commit()
    client.manager.abort()
    assert client.root["counter"].count == 0


def test_each_transaction_of_the_job_is_fenced(client, job, reassign):
    client.root["counter"].increase()
    client.manager.commit()
    client.root["counter"].increase()
    reassign()
    with pytest.raises(ReadConflictError):
        client.manager.commit()
    client.manager.abort()
    client.root["counter"].increase()
    with pytest.raises(ReassignedError):
        client.manager.commit()
    client.manager.abort()
    assert client.root["counter"].count == 1


def test_an_abort_is_always_possible(client, job, reassign):
    reassign()
    client.manager.begin()
    client.root["counter"].increase()
    client.manager.abort()
    assert client.root["counter"].count == 0


def test_a_job_that_is_written_anyway_is_not_written_by_the_fence(client, job, reassign):
    job.annotations["progress"] = 1
    job._p_changed = True
    client.manager.commit()
    assert job.annotations["progress"] == 1
    client.manager.begin()
    job._p_changed = True
    reassign()
    with pytest.raises(ZODB.POSException.ConflictError):
        client.manager.commit()


def test_a_fence_that_was_opened_guards_nothing(client, job, fence, reassign):
    reassign()
    fence.open()
    client.manager.begin()
    client.root["counter"].increase()
    client.manager.commit()
    assert client.root["counter"].count == 1


def test_reading_alone_does_not_write_the_job(client, database, job):
    with nothing_written(database):
        assert client.root["counter"].count == 0
        client.manager.commit()


def test_a_fence_knows_whether_there_is_a_transaction(client, fence):
    client.manager.begin()
    assert fence.in_transaction
    client.manager.abort()
    assert not fence.in_transaction
    client.manager.begin()
    client.manager.commit()
    assert not fence.in_transaction


@pytest.mark.parametrize("when", ["before", "during"])
def test_what_a_job_writes_in_another_database_is_fenced_too(two_databases, connect, when):
    """The other storage does not check who has the job, so the job is written with it."""
    client = connect(two_databases["content"])
    client.root["counter"] = work.Counter()
    client.manager.commit()
    job = client.queue.put(work.answer)
    client.manager.commit()
    fence = Fence()
    client.manager.registerSynch(fence)
    client.manager.begin()
    fence.enclose(job, job.claim_token)
    client.root["counter"].increase()
    client.manager.commit()

    client.root["counter"].increase()
    with two_databases["async"].transaction() as connection:
        connection.get(job._p_oid).claim_token += 1
    if when == "before":
        client.manager.begin()
        client.root["counter"].increase()
    with pytest.raises(ReassignedError if when == "before" else ZODB.POSException.ConflictError):
        client.manager.commit()
    client.manager.abort()
    assert client.root["counter"].count == 1
