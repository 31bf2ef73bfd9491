"""Where queues are, and how they are found."""

import pytest
import ZODB
import zope.component
from persistent.mapping import PersistentMapping
from ZODB.DemoStorage import DemoStorage

import zc.twist
from tests.unit import calls
from zc.async_.interfaces import COMPLETED, KEY, IQueue
from zc.async_.queue import Queue, Queues, getDefaultQueue


@pytest.mark.parametrize(
    ("name", "queue", "problem"),
    [
        ("x", None, "None is no queue: put a"),
        ("x", object(), "is no queue"),
        (None, Queue(), "the name of a queue is a str, not None"),
    ],
)
def test_what_is_no_queue_is_refused_at_once(name, queue, problem):
    queues = Queues()
    with pytest.raises(TypeError, match=problem):
        queues[name] = queue
    assert len(queues) == 0


def test_queues_tell_their_queues_where_they_are():
    queues, queue = Queues(), Queue()
    queues["images"] = queue
    assert queue.name == "images"
    assert queue.parent is queues
    assert list(queues.keys()) == ["images"]
    queues["images"] = queue
    assert (queue.name, queue.parent) == ("images", queues)
    with pytest.raises(KeyError):
        del queues["videos"]


@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(lambda queues: queues.__delitem__("images"), id="del"),
        pytest.param(lambda queues: queues.pop("images"), id="pop"),
        pytest.param(lambda queues: queues.popitem(), id="popitem"),
        pytest.param(lambda queues: queues.clear(), id="clear"),
        pytest.param(lambda queues: queues.update(images=Queue()), id="another in its place"),
    ],
)
def test_a_queue_that_was_removed_has_no_name(remove):
    queues, queue = Queues(), Queue()
    queues["images"] = queue
    remove(queues)
    assert (queue.parent, queue.name) == (None, None)
    assert queue not in queues.values()


def test_queues_are_apart(client):
    second = client.root[KEY]["second"] = Queue()
    client.commit()
    here, there = client.queue.put(calls.nothing), second.put(calls.nothing)
    client.commit()
    assert list(client.queue) == [here]
    assert list(second) == [there]
    assert here.queue is client.queue
    assert there.queue is second
    assert client.claim_all() == [here]
    assert len(second) == 1


class Remembering(Queue):
    """A queue that is told of every put."""

    def __init__(self):
        super().__init__()
        self.seen = ()

    def put(self, item, *args, **kwargs):
        job = super().put(item, *args, **kwargs)
        self.seen += (job,)
        return job


def test_a_subclass_of_queue_can_redefine_put(client, other):
    client.root[KEY]["second"] = Remembering()
    client.commit()
    job = client.root[KEY]["second"].put(calls.nothing)
    client.commit()
    other.begin()
    second = other.root[KEY]["second"]
    assert second.seen == (other.mine(job),)
    assert IQueue.providedBy(second)
    assert second.claim() == other.mine(job)


@pytest.fixture
def two_databases(clock):
    """A connection to a database that mounts the queues of another one."""
    databases = {}
    main = ZODB.DB(DemoStorage(), database_name="main", databases=databases)
    queues_database = ZODB.DB(DemoStorage(), database_name="queues", databases=databases)
    client = calls.Client(main)
    mounted = client.connection.get_connection("queues")
    queues = Queues()
    mounted.add(queues)
    mounted.root()["mounted"] = queues
    client.root[KEY] = queues
    queues[""] = Queue()
    client.commit()
    yield client
    client.close()
    main.close()
    queues_database.close()


def test_the_jobs_of_a_queue_in_another_database_are_in_that_database(two_databases):
    client = two_databases
    counter = client.add("counter", calls.Counter())
    job = client.put(counter.increase)
    assert job._p_jar is client.connection.get_connection("queues")
    assert counter._p_jar is client.connection
    second = calls.Client(client.connection.db())
    claimed = second.claim()
    assert claimed._p_oid == job._p_oid
    assert claimed() == 1
    second.close()
    client.begin()
    assert counter.count == 1
    assert job.status == COMPLETED


def test_connections_to_a_mounted_queue_have_lanes_of_their_own(two_databases):
    clients = [two_databases, calls.Client(two_databases.connection.db())]
    for each in clients:
        each.begin()
        each.queue.put(calls.nothing)
    for each in clients:
        each.commit()
    clients[1].close()
    two_databases.begin()
    assert len(set(two_databases.queue.lanes)) == 2
    third = calls.Client(two_databases.connection.db())
    third.put(calls.nothing)
    two_databases.begin()
    assert len(set(two_databases.queue.lanes)) == 2
    third.close()


def test_the_default_queue_is_found_from_a_persistent_object_and_a_connection(client):
    counter = client.add("counter", calls.Counter())
    assert getDefaultQueue(counter) is client.queue
    assert getDefaultQueue(client.connection) is client.queue
    zope.component.provideAdapter(getDefaultQueue)
    assert IQueue(counter) is client.queue
    assert IQueue(client.root) is client.queue


def test_the_default_queue_is_found_through_the_adapter_to_a_connection(client):
    zope.component.provideAdapter(zc.twist.connection)
    counter = client.add("counter", calls.Counter())
    assert getDefaultQueue(counter) is client.queue


@pytest.mark.parametrize("mapping", [None, PersistentMapping()])
def test_a_database_without_default_queue_says_what_to_do(connect, mapping):
    client = connect()
    if mapping is not None:
        client.root[KEY] = mapping
    counter = client.add("counter", calls.Counter())
    with pytest.raises(LookupError, match="call zc"):
        getDefaultQueue(counter)


def test_an_object_in_no_database_has_no_default_queue(client):
    with pytest.raises(LookupError, match="in no database"):
        getDefaultQueue(calls.Counter())
