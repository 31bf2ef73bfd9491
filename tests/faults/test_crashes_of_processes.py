"""Real processes that crash, on a real ZEO server."""

import datetime

import pytest

from benchmarks.workers import wait_until
from tests import processes, servers
from tests.faults.deaths import die_always
from tests.processes import PATIENCE, lines, worker
from zc.async_.interfaces import AbortedError
from zc.async_.job import Job, NeverRetry

shared, database, see, wait_for = servers.shared, servers.database, servers.see, servers.wait_for


def die_soon(client):
    """Have the processes that are registered count as dead a second after their last ping."""
    client.manager.begin()
    for agents in client.queue.dispatchers.values():
        agents.ping_death_interval = datetime.timedelta(seconds=1)
        agents.ping_interval = datetime.timedelta(seconds=0.3)
    client.manager.commit()


@pytest.mark.slow
def test_a_killed_process_that_is_started_again_does_its_work_again(
    shared, tmp_path, client, wait_for
):
    path = tmp_path / "begun"
    with worker(shared, tmp_path, "one") as one:
        die_soon(client)
        job = client.queue.put(Job(processes.wait_once, path))
        client.manager.commit()
        wait_until(lambda: lines(path), PATIENCE)
        one.kill()
        one.wait(PATIENCE)
    with worker(shared, tmp_path, "one") as again:
        assert again.uuid == one.uuid
        wait_for(job)
        assert job.result == again.pid
    assert [int(pid) for (pid,) in lines(path)] == [one.pid, again.pid]
    assert job.getRetryPolicy().data["interruptions"] == 1


@pytest.mark.slow
def test_a_job_that_kills_its_process_is_aborted_by_a_sibling_and_others_run(
    shared, tmp_path, client, wait_for
):
    path = tmp_path / "died"
    with worker(shared, tmp_path, "one") as one:
        die_soon(client)
        job = client.queue.put(Job(die_always, path), retry_policy_factory=NeverRetry)
        client.manager.commit()
        assert one.wait(PATIENCE) == 7
    with worker(shared, tmp_path, "two"):
        other = client.queue.put(processes.part)
        client.manager.commit()
        wait_for(job, other)
    assert job.result.check(AbortedError)
    assert [int(pid) for (pid,) in lines(path)] == [one.pid]
    client.manager.begin()
    assert len(client.queue) == 0
