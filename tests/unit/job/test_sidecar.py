"""What may be written of a job while it runs, and with whom that conflicts."""

import pytest
import transaction
import ZODB
from ZODB.POSException import ReadConflictError

from tests.unit import calls
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, sidecar
from zc.async_.job.sidecar import SHARED_BY, Sidecar, SidecarPlaces


@pytest.fixture
def running(client, agent):
    """Puts and claims jobs in one transaction, as a dispatcher does; they are active then."""

    def running(count):
        agent.size = count
        for _number in range(count):
            client.queue.put(calls.nothing)
        client.commit()
        places = SidecarPlaces()
        jobs = []
        for _number in range(count):
            job = agent.claimJob()
            job.activate_at(1, places)
            jobs.append(job)
        client.commit()
        return jobs

    return running


def test_a_job_that_runs_has_a_place_and_no_sidecar(running):
    (job,) = running(1)
    assert sidecar.find(job) is None
    assert dict(job.annotations) == {}
    assert job.callbacks == ()


def test_annotations_of_jobs_of_one_claim_do_not_conflict(running, client, other):
    first, second = running(2)
    assert first.sidecar_place is second.sidecar_place
    other.begin()
    other.mine(second).annotations["a"] = 2
    other.mine(second).addCallback(calls.nothing)
    first.annotations["a"] = 1
    client.commit()
    other.commit()
    client.begin()
    assert (first.annotations["a"], second.annotations["a"]) == (1, 2)
    assert (len(first.callbacks), len(second.callbacks)) == (0, 1)


def test_an_annotation_and_the_end_of_the_job_do_not_conflict(running, client, other):
    (job,) = running(1)
    other.begin()
    other.mine(job).annotations["a"] = 2
    job.end_with(5)
    client.commit()
    other.commit()
    client.begin()
    assert (job.status, job.annotations["a"]) == (COMPLETED, 2)


@pytest.mark.parametrize("has_sidecar", [False, True])
def test_a_callback_conflicts_with_who_saw_that_there_is_none(running, client, other, has_sidecar):
    (job,) = running(1)
    if has_sidecar:
        job.annotations["a"] = 1
        client.commit()
    other.begin()
    assert other.mine(job).callbacks == ()
    sidecar.see(other.mine(job))
    other.root["x"] = 1
    job.addCallback(calls.nothing)
    client.commit()
    with pytest.raises(ReadConflictError):
        other.commit()
    other.abort()


def test_few_jobs_share_a_place(running):
    jobs = running(SHARED_BY + 1)
    assert [job.sidecar_place is jobs[0].sidecar_place for job in jobs] == [True] * SHARED_BY + [
        False
    ]


def test_a_job_that_had_annotations_before_keeps_them_where_they_are(client, agent):
    job = client.put(calls.nothing)
    job.annotations["a"] = 1
    assert isinstance(job.sidecar_record, Sidecar)
    client.commit()
    agent.claimJob().activate_at(1)
    assert job.sidecar_place is None
    assert job.annotations["a"] == 1


def test_jobs_of_different_databases_have_different_places(client):
    job = client.put(calls.nothing)
    elsewhere = Job(calls.nothing)
    database = ZODB.DB(None)
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    connection.add(elsewhere)
    places = SidecarPlaces()
    assert places.next(job) is not places.next(elsewhere)
    manager.abort()
    connection.close()
    database.close()
