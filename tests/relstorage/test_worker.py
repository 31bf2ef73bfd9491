"""Workers of `zc-async worker` on PostgreSQL."""

import contextlib

import pytest

import zc.async_.configure
from benchmarks.workers import wait_until
from tests.races import parties
from tests.worker import supervisors
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job


@pytest.fixture
def client(database):
    zc.async_.configure.base()
    parties.make_queue(database)
    with contextlib.closing(parties.Client(database)) as client:
        yield client


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_they_run_jobs_and_end(scheme, client, zodb, server, tmp_path):
    """With either scheme: one is RelStorage's, the other that of PostgreSQL's own URIs."""
    uri = f"{scheme}://postgres:s3cret@127.0.0.1:{server.port}/{zodb.name}?keep_history=false"
    options = ["--db", uri, "--processes", "2", "--state", tmp_path / "state"]
    supervisor = supervisors.Supervisor(tmp_path, options)
    with contextlib.closing(supervisor):
        supervisor.wait_until_up()
        jobs = [client.queue.put(Job(supervisors.burn, 0.05)) for _job in range(20)]
        client.manager.commit()

        def ended():
            client.manager.begin()
            return all(job.status == COMPLETED for job in jobs)

        wait_until(ended, supervisors.PATIENCE)
        assert {job.result for job in jobs} <= set(supervisor.pids().values())
        assert supervisor.end() == 0
        assert "Traceback" not in supervisor.said()
        assert "s3cret" not in supervisor.said()
