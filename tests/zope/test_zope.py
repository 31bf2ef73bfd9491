"""What Zope alone has: its console, its configuration file, mounted databases. Real ones."""

import pytest

from zc.async_.interfaces import PENDING

pytestmark = pytest.mark.slow

#: A script: what `zconsole run` sees.
LOOK = """\
import zc.async_.dispatcher
from zc.async_.interfaces import IQueue

dispatcher = zc.async_.dispatcher.get()
print("dispatcher" if dispatcher is not None and dispatcher.activated else "no dispatcher")
queue = IQueue(app)
print(len(queue), [bool(agents.activated) for agents in queue.dispatchers.values()])
"""

RESULT = "admin in site (of its own): 42"

#: Statements that are typed one after the other.
PUT = (
    "import operator, transaction, zc.async_.dispatcher, zc.async_.testing",
    "from zc.async_.interfaces import IQueue",
    "dispatcher = zc.async_.dispatcher.get()",
    "print(dispatcher is not None and bool(dispatcher.activated))",
    "job = IQueue(app).call(operator.mul, 21, 2)",
    "transaction.commit()",
    "print(job.status)",
)
WAIT = ("print(zc.async_.testing.wait_for_result(job, 60))",)


def test_a_script_is_a_worker_only_if_it_is_told_to(instance):
    assert instance.run(LOOK) == ["no dispatcher", "0 []"]
    assert instance.run(LOOK, ZC_ASYNC_DISPATCHER="on")[0] == "dispatcher"
    # It has left at its end.
    assert instance.run(LOOK) == ["no dispatcher", "0 [False]"]


def test_a_session_is_no_worker(instance):
    assert instance.debug(PUT) == ["False", PENDING]
    assert instance.look(lambda queue: (len(queue), list(queue.dispatchers))) == (1, [])


def test_a_session_that_is_to_be_a_worker_is_one_and_leaves_at_its_end(instance):
    printed = instance.debug(PUT + WAIT, ZC_ASYNC_DISPATCHER="on")
    assert (printed[0], printed[-1]) == ("True", "42")
    assert instance.active() == [False]
    assert instance.look(len) == 0


def test_the_configuration_file_is_heeded(instance):
    instance.add_to_conf("<product-config zc.async>\n  dispatcher off\n</product-config>\n")
    instance.start()
    assert instance.get("@@process") == f"{instance.process.pid} False"
    assert instance.get("@@make-site") == "made"
    job_id = instance.get("site/@@put")
    assert instance.told(job_id).startswith(PENDING)
    instance.stop()
    # Another process runs what was put.
    instance.start(ZC_ASYNC_DISPATCHER="on")
    assert instance.result(job_id) == RESULT


@pytest.fixture
def two_databases(instance):
    """An instance that has its queues in a database of their own."""
    instance.add_to_conf(
        f"<zodb_db async>\n  <filestorage>\n    path {instance.folder}/var/async.fs\n"
        "  </filestorage>\n  mount-point /async\n  container-class OFS.Folder.Folder\n</zodb_db>\n"
    )
    instance.configure("multidb_dispatcher_policy.zcml")
    return instance


def test_the_queues_may_be_in_a_database_of_their_own(two_databases):
    two_databases.start()
    assert two_databases.get("@@make-site") == "made"
    job_id = two_databases.get("site/@@put")
    assert job_id.endswith("-async")
    assert two_databases.result(job_id) == RESULT


#: A script that mounts the database, as an administrator does.
MOUNT = """\
import transaction
from Products.ZODBMountPoint.MountedObject import manage_addMounts

manage_addMounts(app, ["/async"])
transaction.commit()
print(app.unrestrictedTraverse("async")._p_jar.db().database_name)
"""


def test_the_database_of_the_queues_may_be_mounted(two_databases):
    assert two_databases.run(MOUNT) == ["async"]
    two_databases.start()
    for place in ("", "async/"):
        assert two_databases.get(f"{place}@@make-site") == "made"
        job_id = two_databases.get(f"{place}site/@@put")
        assert job_id.endswith("-async")
        assert two_databases.result(job_id) == RESULT
