"""Jobs that cannot be read, since code or data is missing: they are set aside, and not dropped.

Each of these went wrong once.
"""

import datetime
import operator
import sys
import types

import pytest
import ZODB
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage

import zc.async_.clock
import zc.async_.interfaces
from tests.races import parties
from tests.races.parties import nothing
from zc.async_.interfaces import COMPLETED, PENDING
from zc.async_.job import Job


@pytest.fixture
def open_again(tmp_path):
    """Opens the database as a process does that has just started."""
    opened = []

    def open_again():
        if opened:
            opened.pop().close()
        opened.append(ZODB.DB(FileStorage(str(tmp_path / "again.fs"))))
        return opened[0]

    yield open_again
    opened.pop().close()


def first_client(database):
    """Put a queue into a new database; return a client of it."""
    parties.make_queue(database)
    return parties.Client(database)


def start_dispatcher(database):
    """A dispatcher of a database whose queue has jobs."""
    dispatcher = parties.Dispatcher(database, size=0)
    dispatcher.manager.begin()
    dispatcher.queue.dispatchers[dispatcher.uuid]["main"].size = 3
    dispatcher.manager.commit()
    return dispatcher


def stop(dispatcher):
    """Have a dispatcher leave its queue."""
    dispatcher.leave()
    dispatcher.close()


@pytest.fixture
def other_class(monkeypatch):
    """A subclass of `Job`, in a module that can be removed."""
    module = types.ModuleType("code_that_goes")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.Other = type("Other", (Job,), {"__module__": module.__name__})
    return module.Other


@pytest.mark.parametrize("options", [{}, {"begin_by": datetime.timedelta(seconds=90)}])
def test_a_job_without_its_class_is_set_aside_told_of_and_run_when_the_class_is_back(
    open_again, other_class, clock, told, options
):
    client = first_client(open_again())
    job = client.queue.put(other_class(operator.mul, 6, 7), **options)
    behind = client.queue.put(Job(operator.mul, 6, 8))
    client.manager.commit()
    oids = job._p_oid, behind._p_oid
    client.close()
    module = sys.modules.pop(other_class.__module__)
    database = open_again()
    dispatcher = start_dispatcher(database)
    (message,) = told()
    assert "code_that_goes.Other" in message
    assert f"{int.from_bytes(oids[0], 'big'):#x}" in message
    assert "Install the code" in message

    dispatcher.work()
    clock.advance(58)
    dispatcher.work()

    dispatcher.manager.begin()
    assert dispatcher.connection.get(oids[1]).result == 48
    assert len(dispatcher.queue) == 1
    assert list(dispatcher.queue) == []
    assert not told()
    clock.advance(4)
    dispatcher.work()
    assert len(told()) == 1
    stop(dispatcher)

    sys.modules[module.__name__] = module
    dispatcher = start_dispatcher(open_again())
    dispatcher.work()
    dispatcher.manager.begin()
    assert dispatcher.connection.get(oids[0]).status == PENDING
    clock.advance(62)
    dispatcher.work()
    dispatcher.manager.begin()
    job = dispatcher.connection.get(oids[0])
    assert job.status == COMPLETED
    if options:
        assert job.result.check(zc.async_.interfaces.TimeoutError)
    else:
        assert job.result == 42
    assert len(dispatcher.queue) == 0
    dispatcher.close()


def test_a_job_that_was_too_late_without_its_class_fails_when_the_class_is_back(
    open_again, other_class, clock
):
    """Though a quota holds it back, so that no claim would come across it."""
    client = first_client(open_again())
    client.queue.quotas.create("closed", 0)
    job = client.queue.put(other_class(nothing), begin_by=datetime.timedelta(seconds=10))
    job.quota_names = ["closed"]
    client.manager.commit()
    oid = job._p_oid
    client.close()
    stop(start_dispatcher(open_again()))
    module = sys.modules.pop(other_class.__module__)
    dispatcher = start_dispatcher(open_again())
    clock.advance(20)
    outcome = dispatcher.poll()
    assert not outcome.failed
    assert outcome.next_time > zc.async_.clock.microseconds()
    stop(dispatcher)
    sys.modules[module.__name__] = module

    dispatcher = start_dispatcher(open_again())
    clock.advance(62)
    dispatcher.work()

    dispatcher.manager.begin()
    job = dispatcher.connection.get(oid)
    assert job.status == COMPLETED
    assert job.result.check(zc.async_.interfaces.TimeoutError)
    assert len(dispatcher.queue) == 0
    dispatcher.close()


def test_a_job_that_is_due_later_is_not_run_at_once_when_its_class_is_back(
    open_again, other_class, clock
):
    client = first_client(open_again())
    job = client.queue.put(other_class(nothing), clock_after(1000))
    client.manager.commit()
    oid = job._p_oid
    client.close()
    module = sys.modules.pop(other_class.__module__)
    stop(start_dispatcher(open_again()))
    sys.modules[module.__name__] = module

    dispatcher = start_dispatcher(open_again())
    clock.advance(62)
    dispatcher.work()

    dispatcher.manager.begin()
    assert dispatcher.connection.get(oid).status == PENDING
    clock.advance(1000)
    dispatcher.work()
    dispatcher.manager.begin()
    assert dispatcher.connection.get(oid).status == COMPLETED
    assert len(dispatcher.queue) == 0
    dispatcher.close()


def delete_record(database, job):
    """Have the storage lose a record."""
    storage = database.storage
    changes = TransactionMetaData()
    storage.tpc_begin(changes)
    storage.deleteObject(job._p_oid, job._p_serial, changes)
    storage.tpc_vote(changes)
    storage.tpc_finish(changes)


@pytest.mark.parametrize("options", [{}, {"begin_by": datetime.timedelta(seconds=30)}])
@pytest.mark.parametrize("place", ["in a lane", "in the backlog", "among those for later"])
def test_a_job_whose_record_is_missing_is_set_aside_and_told_of(
    client, database, clock, told, make_dispatcher, place, options
):
    dispatcher = make_dispatcher(size=0)
    client.manager.begin()
    after = clock_after(10) if place == "among those for later" else None
    job = client.queue.put(nothing, after, **options)
    client.manager.commit()
    behind = client.queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()
    if place != "in a lane":
        dispatcher.work()
    delete_record(database, job)
    dispatcher.poller._connection.cacheMinimize()
    dispatcher.agents(client)["main"].size = 3
    client.manager.commit()
    clock.advance(11)

    dispatcher.work()

    client.manager.begin()
    assert behind.result == 42
    (message,) = told()
    assert f"{int.from_bytes(job._p_oid, 'big'):#x}" in message
    assert "restore the record" in message
    clock.advance(61)
    assert not dispatcher.poll().failed
    assert len(told()) == 1
    client.manager.begin()
    assert len(client.queue) == 1
    assert not dispatcher.poll().failed


def clock_after(seconds):
    """The time in a while."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
