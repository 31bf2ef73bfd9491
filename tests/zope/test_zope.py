"""Zope, its WSGI server, its console: real ones."""

import signal

import pytest

pytestmark = pytest.mark.slow

LOOK = """\
import zc.async_.dispatcher
from zc.async_.interfaces import IQueue

dispatcher = zc.async_.dispatcher.get()
print("dispatcher" if dispatcher is not None and dispatcher.activated else "no dispatcher")
queue = IQueue(app)
print(len(queue), [bool(agents.activated) for agents in queue.dispatchers.values()])
if dispatcher is not None:
    import zc.async_.configure, zc.async_.subscribers
    zc.async_.subscribers.stop(dispatcher)
"""


def finished(instance, job_id):
    """Waits until a job has ended; returns its result."""
    instance.wait_for(lambda: "completed" in str(instance.get(f"site/@@result?id={job_id}")))
    return instance.get(f"site/@@result?id={job_id}").partition("|")[2]


def test_a_request_puts_a_job_that_runs_in_its_site_and_as_its_user(instance):
    instance.start()
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert finished(instance, job_id) == "admin in site (of its own): 42"
    # One that fails puts nothing; one that nobody has authenticated may put nothing.
    assert instance.get("site/@@abort") == 500
    assert instance.get("site/@@put", user=None) == 401
    pid, active = instance.get("@@process").split()
    assert (int(pid), active) == (instance.server.pid, "True")
    # The dispatcher leaves its queues, and then the process ends as Python has it.
    assert instance.stop() == -signal.SIGTERM
    assert "deactivated" in instance.output.read_text("utf-8")
    # A console is no worker, and sees that nothing is left.
    assert instance.console(LOOK).splitlines() == ["no dispatcher", "0 [False]"]
    # What was put is there after a restart.
    instance.start()
    assert instance.get(f"site/@@result?id={job_id}").endswith("42")


def test_a_console_is_a_worker_if_it_is_told_to(instance):
    assert instance.console(LOOK).splitlines()[0] == "no dispatcher"
    told = instance.console(LOOK, ZC_ASYNC_DISPATCHER="on")
    assert told.splitlines()[0] == "dispatcher"


def test_the_configuration_file_is_heeded(instance):
    instance.add_to_conf("<product-config zc.async>\n  dispatcher off\n</product-config>\n")
    instance.start()
    assert instance.get("@@process").split()[1] == "False"
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert instance.get(f"site/@@result?id={job_id}").startswith("pending")
    instance.stop()
    # Another process runs what was put.
    instance.start(ZC_ASYNC_DISPATCHER="on")
    assert finished(instance, job_id) == "admin in site (of its own): 42"


@pytest.mark.parametrize("mount", ["", "   mount-point /async\n"], ids=["unmounted", "mounted"])
def test_the_queues_may_be_in_a_database_of_their_own(instance, mount):
    path = instance.folder / "var" / "async.fs"
    mount = mount or "   mount-point /nowhere-async\n"
    instance.add_to_conf(
        f"<zodb_db async>\n  <filestorage>\n    path {path}\n  </filestorage>\n{mount}</zodb_db>\n"
    )
    instance.configure("multidb_dispatcher_policy.zcml")
    instance.start()
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert job_id.endswith("-async")
    assert finished(instance, job_id) == "admin in site (of its own): 42"
