"""`zc.async_.local` where no job runs. Inside of jobs, others test it."""

import operator

import pytest
import transaction
import ZODB
from persistent.mapping import PersistentMapping

import zc.async_.configure
from zc.async_ import local
from zc.async_.interfaces import DatabaseOpened, IQueue
from zc.async_.job import Job
from zc.async_.subscribers import QueueInstaller
from zc.async_.threadlocal import NoJobError


def test_outside_of_a_job_there_is_no_job_agent_or_dispatcher():
    assert local.getJob() is None
    assert local.getAgentName() is None
    assert local.getDispatcher() is None


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        pytest.param(lambda: local.getQueue(), "no job runs in this thread", id="queue"),
        pytest.param(lambda: local.getReactor(), "no worker of a dispatcher", id="reactor"),
        pytest.param(
            lambda: local.setLiveAnnotation("name", 1), "no job runs in this thread", id="set"
        ),
        pytest.param(
            lambda: local.getLiveAnnotation("name"), "no job runs in this thread", id="get"
        ),
    ],
)
def test_what_a_job_alone_can_ask_is_an_error_that_says_why(ask, why):
    with pytest.raises(NoJobError, match=why):
        ask()
    assert issubclass(NoJobError, AttributeError)


# -- in a group of databases


@pytest.fixture
def content():
    """A database of content; the queue is in another one."""
    databases = {}
    for name in ("content", "async"):
        ZODB.DB(None, databases=databases, database_name=name)
    QueueInstaller(db_name="async")(DatabaseOpened(databases["content"]))
    yield databases["content"]
    transaction.abort()
    for database in databases.values():
        database.close()


@pytest.fixture
def job(content):
    """A job with an argument that is in the other database."""
    connection = content.open(manager := transaction.TransactionManager())
    zc.async_.configure.base()
    connection.root()["argument"] = PersistentMapping()
    manager.commit()
    job = IQueue(connection).put(Job(operator.is_, connection.root()["argument"], None))
    manager.commit()
    yield job
    manager.abort()
    connection.close()


def open_several(content):
    """Connections as web requests use them: each leads to one of the other database."""
    connections = [content.open(transaction.TransactionManager()) for _number in range(3)]
    return [(one, one.get_connection("async").get_connection("content")) for one in connections]


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda job: local.setLiveAnnotation("so", "far", job=job), id="set"),
        pytest.param(lambda job: local.getLiveAnnotation("so", job=job), id="get"),
    ],
)
def test_a_live_annotation_leaves_the_connections_of_others_together(content, job, use):
    for one, _same in open_several(content):
        one.close()
    use(job)
    # None of them leads back to another connection, whose objects this one could not refer to.
    assert all(one is same for one, same in open_several(content))


def test_a_live_annotation_is_set_in_the_database_of_the_job(content, job):
    local.setLiveAnnotation("so", "far", job=job)
    job._p_jar.transaction_manager.begin()
    assert job.annotations["so"] == "far"
    assert local.getLiveAnnotation("so", job=job) == "far"
