"""`zc-async worker --zope-conf`: jobs of real sites."""

import contextlib

import pytest

from tests.zope.servers import Worker
from zc.async_.interfaces import COMPLETED

pytestmark = pytest.mark.slow


@pytest.fixture
def job_id(server):
    """A job that a site has put and that a worker has run.

    Their storages are files, so one has to end before the other begins.
    """
    server.start(ZC_ASYNC_DISPATCHER="off")
    assert server.get("@@make-site") == "made"
    job_id = server.get("site/@@put")
    assert server.told(job_id).startswith("pending")
    server.stop()
    worker = Worker(server, server.conf, "--max-jobs", "1", "--threads", "2")
    with contextlib.closing(worker):
        worker.start_and_wait_for("all workers are up")
        # And another comes up, once the site of the first is closed.
        worker.wait_for(lambda: worker.printed().count("worker 1 is up") == 2)
        assert "is replaced: it has run 1 jobs" in worker.printed()
        # The site's own policy has started no dispatcher besides.
        assert worker.printed().count(" is active in queue ") <= 2
        assert worker.stop() == 0
    assert "Traceback" not in worker.printed()
    return job_id


def test_a_job_of_a_site_is_run_by_a_worker(server, job_id):
    server.start(ZC_ASYNC_DISPATCHER="off")
    assert server.told(job_id) == f"{COMPLETED}|{server.user} in site (of its own): 42"


@pytest.mark.parametrize("server", ["Zope"], indirect=True)
def test_the_agents_are_those_of_the_settings_of_the_worker(server, job_id):
    # And not those of the site's policy.
    sizes = server.run(
        "from zc.async_.interfaces import IQueue\n"
        "for agents in IQueue(app).dispatchers.values():\n"
        "    print(agents.activated, {name: agents[name].size for name in agents})\n"
    )
    assert sizes == ["None {'main': 2}"]


def test_a_site_that_cannot_be_opened_is_told_in_a_line(instance):
    instance.add_to_conf("nonsense yes\n")
    worker = Worker(instance, instance.conf)
    with contextlib.closing(worker):
        worker.start_and_wait_for("cannot open the site of ")
        assert worker.process.wait(60) == 2
    assert "'nonsense' is not a known key name" in worker.printed().splitlines()[-1]
    assert "Traceback" not in worker.printed()
