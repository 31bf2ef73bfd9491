"""The connections of workers."""

import pytest
import transaction
import ZODB
from ZODB.FileStorage import FileStorage

import zc.async_
from tests.dispatcher import work
from zc.async_.dispatcher.connections import close_for_worker, open_for_worker
from zc.async_.interfaces import COMPLETED, AsyncError
from zc.async_.job import Job
from zc.twist import Failure


@pytest.fixture
def third_database(tmp_path, two_databases):
    """One that has neither the queue nor is a dispatcher's."""
    storage = FileStorage(str(tmp_path / "third.fs"))
    database = ZODB.DB(storage, databases=two_databases, database_name="third")
    yield database
    database.close()


@pytest.fixture
def manager():
    """The transaction manager of this thread."""
    yield transaction.manager
    transaction.abort()


def test_only_the_opener_can_close_a_connection(database, manager):
    connection = open_for_worker(database)
    with pytest.raises(AsyncError, match="do not close it"):
        connection.close()
    assert connection.opened
    close_for_worker(connection)
    assert connection.opened is None
    # Whoever gets it next can close it.
    again = database.open()
    assert again is connection
    again.close()


def test_a_connection_is_closed_with_its_database(database, manager):
    connection = open_for_worker(database)
    database.close()
    close_for_worker(connection)
    assert connection.opened is None


def close_connection(name):
    transaction.commit()
    zc.async_.local.getJob()._p_jar.get_connection(name).close()


@pytest.mark.parametrize("name", ["async", "content", "third"])
def test_no_connection_that_belongs_to_that_of_a_worker_is_closed_by_a_job(
    two_databases,
    third_database,
    make_dispatcher,
    reactor,
    install_agent,
    connect,
    settle,
    name,
):
    install_agent()
    dispatcher = make_dispatcher(two_databases["content"])
    dispatcher.activate()
    client = connect(two_databases["content"])
    jobs = [client.queue.put(Job(close_connection, name)) for _job in range(6)]
    others = [client.queue.put(work.answer) for _job in range(6)]
    client.manager.commit()

    def ended():
        client.manager.begin()
        return all(job.status == COMPLETED for job in jobs + others)

    settle(ended)
    assert [isinstance(job.result, Failure) for job in jobs + others] == [True] * 6 + [False] * 6


def test_the_connection_of_a_worker_keeps_its_place_whatever_another_brings_along(two_databases):
    content, queues = two_databases["content"], two_databases["async"]
    # As a job does that opens a connection of its own.
    first = content.open(transaction.TransactionManager())
    brought = first.get_connection("async")
    first.close()
    connection = open_for_worker(queues)
    # It is the same, from the pool.
    assert connection.get_connection("content") is first
    assert connection.get_connection("async") is connection
    assert first.get_connection("async") is connection
    assert brought.opened is None
    close_for_worker(connection)
    assert connection.opened is None
    transaction.abort()
