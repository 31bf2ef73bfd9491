"""New oids: never one twice in a process.

A FileStorage is made to give oids again as a ZEO server does that was restarted.
"""

import math
import operator

import persistent
import pytest
import transaction
from persistent.mapping import PersistentMapping
from ZODB.POSException import ConflictError
from ZODB.utils import p64, u64

from benchmarks.storages import add_queue
from tests.unit import calls
from zc.async_ import utils
from zc.async_.interfaces import KEY
from zc.async_.job import Job
from zc.async_.storing import oids


@pytest.fixture
def connect(db):
    add_queue(db)
    clients = []

    def connect():
        clients.append(calls.Client(db))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def rewind(database, oid):
    """Have the storage give oids again, from the one after this on."""
    database.storage._oid = oid


def queue_in(client):
    return client.connection.root()[KEY][""]


def test_a_job_does_not_get_the_oid_of_another_new_object(db, connect):
    client = connect()
    queue = queue_in(client)
    last = db.storage._oid
    first = queue.put(Job(operator.add, 1))
    rewind(db, last)
    second = queue.put(Job(operator.add, 2))
    client.manager.commit()
    assert first._p_oid != second._p_oid
    assert [list(job.args) for job in queue_in(connect())] == [[1], [2]]


def test_an_object_added_by_the_application_gets_another_oid_than_a_job(db, connect):
    client = connect()
    last = db.storage._oid
    job = queue_in(client).put(Job(operator.add, 1))
    rewind(db, last)
    client.connection.add(mapping := PersistentMapping())
    rewind(db, last)
    # This one gets its oid during the commit.
    client.connection.root()["mappings"] = PersistentMapping({1: mapping})
    client.manager.commit()
    assert len({job._p_oid, mapping._p_oid, client.connection.root()["mappings"]._p_oid}) == 3
    assert [list(job.args) for job in queue_in(connect())] == [[1]]


def test_a_new_object_does_not_get_the_oid_of_one_that_was_loaded(db, connect):
    other = connect()
    last = db.storage._oid
    other.connection.root()["taken"] = PersistentMapping()
    other.manager.commit()
    client = connect()
    taken = client.connection.root()["taken"]
    rewind(db, last)
    job = queue_in(client).put(Job(operator.add, 1))
    client.manager.commit()
    assert job._p_oid != taken._p_oid


def test_a_transaction_conflicts_that_comes_to_know_what_has_the_oid_of_its_new_job(db, connect):
    other = connect()
    box = other.connection.root()["box"] = PersistentMapping({"taken": PersistentMapping()})
    other.manager.commit()
    client = connect()
    rewind(db, p64(u64(box["taken"]._p_oid) - 1))
    job = queue_in(client).put(Job(operator.add, 1))
    assert job._p_oid == box["taken"]._p_oid
    # The application reads what refers to it.
    assert client.connection.root()["box"]["taken"] is not job
    with pytest.raises(ConflictError) as caught:
        client.manager.commit()
    assert utils.is_of_used_oid(caught.value)
    client.manager.abort()
    queue_in(client).put(Job(operator.add, 2))
    client.manager.commit()
    assert [list(job.args) for job in queue_in(connect())] == [[2]]


@pytest.fixture
def taken(db, connect):
    """A client, and what puts a job that gets the oid of an object which it reads afterwards."""
    other = connect()
    box = other.connection.root()["box"] = PersistentMapping({"taken": PersistentMapping()})
    other.manager.commit()
    client = connect()

    def put():
        rewind(db, p64(u64(box["taken"]._p_oid) - 1))
        queue_in(client).put(Job(operator.add, 2))

    client.put_taken = put
    client.look = lambda: client.connection.root()["box"]["taken"]
    return client


def test_a_job_is_checked_that_is_put_after_a_hook_of_somebody_else_was_registered(taken):
    queue_in(taken).put(Job(operator.add, 1))
    taken.manager.get().addBeforeCommitHook(taken.look)
    taken.put_taken()
    with pytest.raises(ConflictError):
        taken.manager.commit()


def test_a_job_is_checked_that_is_put_by_a_hook(taken):
    queue_in(taken).put(Job(operator.add, 1))
    taken.manager.get().addBeforeCommitHook(lambda: (taken.put_taken(), taken.look()))
    with pytest.raises(ConflictError):
        taken.manager.commit()


def test_a_job_is_checked_that_is_put_after_a_hook_has_failed(taken):
    def fail():
        raise ZeroDivisionError

    taken.manager.get().addBeforeCommitHook(fail)
    queue_in(taken).put(Job(operator.add, 1))
    with pytest.raises(ZeroDivisionError):
        taken.manager.commit()
    # The hooks are gone, and the transaction goes on.
    taken.put_taken()
    taken.look()
    with pytest.raises(ConflictError):
        taken.manager.commit()


def test_many_jobs_of_a_transaction_are_checked_by_one_hook(connect):
    client = connect()
    for number in range(10):
        queue_in(client).put(Job(operator.add, number))
    assert len(list(client.manager.get().getBeforeCommitHooks())) == 1


def test_nothing_is_checked_of_a_job_that_was_taken_back_before_the_commit(db, connect):
    client = connect()
    client.connection.root()["any"] = 1
    savepoint = client.manager.savepoint()
    job = queue_in(client).put(Job(operator.add, 1))
    savepoint.rollback()
    assert job._p_jar is None
    client.manager.commit()
    assert len(queue_in(connect())) == 0


def test_a_job_that_was_stored_by_a_savepoint_is_committed(connect):
    client = connect()
    queue_in(client).put(Job(operator.add, 1))
    client.manager.savepoint()
    queue_in(client).put(Job(operator.add, 2))
    client.manager.commit()
    assert [list(job.args) for job in queue_in(connect())] == [[1], [2]]


class Reluctant(persistent.Persistent):
    """Cannot be stored the first time."""

    tries = 0

    def __getstate__(self):
        Reluctant.tries += 1
        if Reluctant.tries == 1:
            raise ConflictError("not yet")
        return super().__getstate__()


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_failed_commit_did_not_store_is_stored_by_the_next(db, order):
    """Its oid is taken back: else the next one would refer to what is not there."""
    add_queue(db)
    Reluctant.tries = 0
    manager = transaction.TransactionManager()
    connection = db.open(manager)
    arguments = [Reluctant(), PersistentMapping(one=PersistentMapping()), PersistentMapping()]
    queue = connection.root()[KEY][""]
    job = Job(math.floor, *arguments[::order])
    queue.put(job)
    with pytest.raises(ConflictError):
        manager.commit()
    manager.abort()
    assert [obj._p_oid for obj in (job, *arguments)] == [None] * 4
    job = queue.put(Job(math.floor, *arguments[::order]))
    manager.commit()
    other = db.open(transaction.TransactionManager())
    for argument in other.get(job._p_oid).args:
        argument._p_activate()
    assert other.get(arguments[1]._p_oid)["one"] == {}
    for each in (connection, other):
        each.transaction_manager.abort()
        each.close()


def test_a_connection_that_is_opened_again_is_guarded_once(db):
    connection = db.open(transaction.TransactionManager())
    oids.guard(connection)
    guarded = connection.new_oid
    oids.guard(connection)
    assert connection.new_oid is guarded
    connection.close()
