"""`zc-async worker --zope-conf`: jobs of real sites."""

import contextlib

import pytest

from tests.zope.servers import Worker

pytestmark = pytest.mark.slow


def job_of_worker(server, conf):
    """Have a job put by a site, and run by a worker; return what the site then says of it.

    Their storages are files, so one has to end before the other begins.
    """
    server.start(ZC_ASYNC_DISPATCHER="off")
    assert server.get("@@make-site") == "made"
    job_id = server.get("site/@@put")
    assert server.get(f"site/@@result?id={job_id}").startswith("pending")
    server.stop()
    worker = Worker(server, conf, "--max-jobs", "1", "--threads", "2")
    with contextlib.closing(worker):
        worker.start_and_wait_for("all workers are up")
        # And another comes up, once the site of the first is closed.
        worker.wait_for(lambda: worker.printed().count("worker 1 is up") == 2)
        assert "is replaced: it has run 1 jobs" in worker.printed()
        # The site's own policy has started no dispatcher besides.
        assert worker.printed().count(" is active in queue ") <= 2
        assert worker.stop() == 0
    assert "Traceback" not in worker.printed()
    server.start(ZC_ASYNC_DISPATCHER="off")
    return server.get(f"site/@@result?id={job_id}")


def test_a_job_of_zope_is_run_by_a_worker(instance):
    result = job_of_worker(instance, instance.conf)
    assert result == "completed-status|admin in site (of its own): 42"
    # Its agents are those of the worker's settings, and not those of the site's policy.
    instance.stop()
    sizes = instance.run(
        "from zc.async_.interfaces import IQueue\n"
        "for agents in IQueue(app).dispatchers.values():\n"
        "    print(agents.activated, {name: agents[name].size for name in agents})\n"
    )
    assert sizes == ["None {'main': 2}"]


def test_a_job_of_zope_app_wsgi_is_run_by_a_worker(site):
    result = job_of_worker(site, site.conf)
    assert result == "completed-status|wsgi.admin in site (of its own): 42"


def test_a_site_that_cannot_be_opened_is_told_in_a_line(instance):
    instance.add_to_conf("nonsense yes\n")
    worker = Worker(instance, instance.conf)
    with contextlib.closing(worker):
        worker.start_and_wait_for("cannot open the site of ")
        assert worker.process.wait(60) == 2
    assert "'nonsense' is not a known key name" in worker.printed().splitlines()[-1]
    assert "Traceback" not in worker.printed()
