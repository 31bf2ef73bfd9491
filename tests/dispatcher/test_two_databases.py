"""Content in one database and queues in another one, on each kind of storage."""

import contextlib
import threading
import time
import uuid

import pytest
import transaction
from twisted.internet.selectreactor import SelectReactor

import zc.async_.configure
import zc.async_.testing
from tests import storages
from tests.dispatcher import work
from tests.dispatcher.conftest import PATIENCE
from zc.async_ import local
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import KEY, DatabaseOpened
from zc.async_.job import Job
from zc.async_.subscribers import QueueInstaller
from zc.async_.testing import wait_for_result

#: Seconds: no test waits for a poll to come by itself.
LONG = 1000


@pytest.fixture(params=storages.KINDS)
def storage_kind(request):
    """The kind of both storages."""
    return request.param


@pytest.fixture
def databases(storage_kind, two_databases):
    """'content', and 'async' that has the queue; and a counter in each."""
    with two_databases["content"].transaction() as connection:
        for name in two_databases:
            connection.get_connection(name).root()["counter"] = work.Counter()
    return two_databases


@pytest.fixture
def start(install_agent):
    """Starts dispatchers on reactors of their own; they are torn down in the end."""
    install_agent()
    started = []

    def start(database, uuid_=None):
        dispatcher = Dispatcher(database, SelectReactor(), LONG, uuid=uuid_ or uuid.uuid4())
        dispatcher.activate(threaded=False)
        dispatcher.thread = threading.Thread(
            target=dispatcher.reactor.run,
            kwargs={"installSignalHandlers": False},
            name=f"zc.async dispatcher {dispatcher.UUID}",
            daemon=True,
        )
        dispatcher.thread.start()
        started.append(dispatcher)
        zc.async_.testing.get_poll(dispatcher, 0, PATIENCE)
        return dispatcher

    yield start
    work.gate.set()
    for dispatcher in started:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


class Client:
    """A connection to the content, by which jobs are put into the other database."""

    def __init__(self, database):
        self.manager = transaction.TransactionManager()
        self.connection = database.open(self.manager)
        self.root = self.connection.root()

    @property
    def queue(self):
        return self.root[KEY][""]

    def close(self):
        self.manager.abort()
        self.connection.close()


@pytest.fixture
def client(databases):
    with contextlib.closing(Client(databases["content"])) as client:
        yield client


def count(name):
    """Count in a database of the job's group."""
    jar = local.getJob()._p_jar
    counter = jar.get_connection(name).root()["counter"]
    counter.count += 1
    return counter.count


def see(client, is_there):
    """Begin again until something is there: databases finish a commit one after the other."""
    end = time.monotonic() + PATIENCE
    client.manager.begin()
    while not is_there() and time.monotonic() < end:
        client.manager.begin()


def test_a_put_by_the_content_starts_the_job_without_a_further_poll(databases, start, client):
    """It is the database of the queue that is listened to."""
    dispatcher = start(databases["content"])
    client.manager.begin()
    job = client.queue.put(Job(work.answer))
    client.manager.commit()
    assert job._p_jar.db() is databases["async"]
    assert wait_for_result(job, PATIENCE) == 42
    assert len(dispatcher.polls) == 1


def test_what_is_put_with_changed_content_is_one_transaction(databases, start, client):
    start(databases["content"])
    for number in range(3):
        # The job before has ended in one database a little earlier than in the other.
        for attempt in client.manager.attempts(5):
            with attempt:
                client.root["counter"].count += 1
                job = client.queue.put(Job(count, "content"))
        assert wait_for_result(job, PATIENCE) == 2 * number + 2
    see(client, lambda: client.root["counter"].count == 6)
    assert client.root["counter"].count == 6


def test_the_churn_of_the_queue_stays_out_of_the_content(databases, start, client):
    start(databases["content"])
    client.manager.begin()
    before = client.root["counter"]._p_serial, newest(databases["content"])
    jobs = [client.queue.put(Job(count, "async")) for _ in range(5)]
    client.manager.commit()
    for job in jobs:
        wait_for_result(job, PATIENCE)
    client.manager.begin()
    assert (client.root["counter"]._p_serial, newest(databases["content"])) == before
    side = client.connection.get_connection("async").root()["counter"]
    assert side.count == 5


def newest(database):
    """The newest serial of what is stored."""
    found, following = [], None
    while True:
        _oid, tid, _data, following = database.storage.record_iternext(following)
        found.append(tid)
        if following is None:
            return max(found)


def test_queues_of_one_name_in_two_databases_are_two(databases, start, client):
    """Each has its dispatcher, which takes no job of the other's."""
    QueueInstaller()(DatabaseOpened(databases["async"]))
    client.manager.begin()
    # That of the database itself, which is not the one that the content refers to.
    own = client.connection.get_connection("async").root()
    own["content's"] = own.pop(KEY)
    client.manager.commit()
    QueueInstaller()(DatabaseOpened(databases["async"]))
    dispatchers = {name: start(database) for name, database in databases.items()}
    client.manager.begin()
    side = client.connection.get_connection("async").root()[KEY][""]
    assert side is not client.queue
    jobs = {
        "content": [client.queue.put(Job(work.answer)) for _ in range(3)],
        "async": [side.put(Job(work.answer)) for _ in range(3)],
    }
    client.manager.commit()
    for name, mine in jobs.items():
        for job in mine:
            assert wait_for_result(job, PATIENCE) == 42
            assert job.agent.parent.UUID == dispatchers[name].UUID


def test_many_queues_are_served_without_further_polls(databases, start, client):
    names = [f"queue {number}" for number in range(20)]
    QueueInstaller(names, db_name="async")(DatabaseOpened(databases["content"]))
    dispatcher = start(databases["content"])
    for name in (names[0], names[-1]):
        client.manager.begin()
        job = client.root[KEY][name].put(Job(work.answer))
        client.manager.commit()
        assert wait_for_result(job, PATIENCE) == 42
    assert len(dispatcher.polls) == 1
