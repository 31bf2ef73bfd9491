"""Zope, its WSGI server, its console: real ones."""

import signal

import pytest

pytestmark = pytest.mark.slow

LOOK = """\
import zc.async_.dispatcher, zc.async_.subscribers
from zc.async_.interfaces import IQueue

dispatcher = zc.async_.dispatcher.get()
print("dispatcher" if dispatcher is not None and dispatcher.activated else "no dispatcher")
queue = IQueue(app)
print(len(queue), [bool(agents.activated) for agents in queue.dispatchers.values()])
if dispatcher is not None:
    zc.async_.subscribers.stop(dispatcher)
"""

RESULT = "admin in site (of its own): 42"


def test_a_request_puts_a_job_that_runs_in_its_site_and_as_its_user(instance):
    instance.start()
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert instance.result(job_id) == RESULT
    # A request that fails puts nothing, and one that nobody has authenticated may not.
    assert instance.get("site/@@abort") == 500
    assert instance.get("site/@@put", user=None) == 401
    assert instance.get("@@process") == f"{instance.process.pid} True"
    # The dispatcher leaves its queues, and then the process ends as Python has it.
    assert instance.stop() == -signal.SIGTERM
    assert "deactivated" in instance.printed()
    # A console is no worker, and sees that nothing is left.
    assert instance.console(LOOK) == ["no dispatcher", "0 [False]"]
    # What came of it is there after a restart.
    instance.start()
    assert instance.get(f"site/@@result?id={job_id}").endswith(RESULT)


def test_a_console_is_a_worker_only_if_it_is_told_to(instance):
    assert instance.console(LOOK)[0] == "no dispatcher"
    assert instance.console(LOOK, ZC_ASYNC_DISPATCHER="on")[0] == "dispatcher"


def test_the_configuration_file_is_heeded(instance):
    instance.add_to_conf("<product-config zc.async>\n  dispatcher off\n</product-config>\n")
    instance.start()
    assert instance.get("@@process") == f"{instance.process.pid} False"
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert instance.get(f"site/@@result?id={job_id}").startswith("pending")
    instance.stop()
    # Another process runs what was put.
    instance.start(ZC_ASYNC_DISPATCHER="on")
    assert instance.result(job_id) == RESULT


def test_the_queues_may_be_in_a_database_of_their_own(instance):
    instance.add_to_conf(
        f"<zodb_db async>\n  <filestorage>\n    path {instance.folder}/var/async.fs\n"
        "  </filestorage>\n  mount-point /async\n</zodb_db>\n"
    )
    instance.configure("multidb_dispatcher_policy.zcml")
    instance.start()
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert job_id.endswith("-async")
    assert instance.result(job_id) == RESULT
