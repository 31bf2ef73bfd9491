"""Jobs whose code, or what they are to work with, is gone when they are due."""

import enum
import gc
import sys
import types

import persistent
import pytest
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import POSKeyError

import zc.async_.clock
import zc.async_.testing
from tests.dispatcher import work
from zc.async_.interfaces import PENDING, MissingCallableError
from zc.async_.job import Job

#: Seconds for which a job waits at most before its code is looked for again.
LONGEST_WAIT = 600


def hold(argument):
    return "held"


def look_at(argument):
    return argument.content


class Gone(persistent.Persistent):
    """Is to be taken out of the database."""

    content = "here"


@pytest.fixture
def code(monkeypatch):
    """A module that a test can take away."""
    module = types.ModuleType("code_of_this_test")
    exec(  # a module of its own, as an application has one
        "import persistent, enum\n"
        "def answer(*args):\n    return 'answered'\n"
        "class Plain:\n    content = 'plain'\n"
        "class Record(persistent.Persistent):\n"
        "    content = 'record'\n"
        "    def method(self):\n        return self.content\n"
        "class Color(enum.Enum):\n    RED = 1\n    GREEN = 2\n"
        "class Strict:\n"
        "    content = 'strict'\n"
        "    def __setstate__(self, state):\n        raise ValueError('of another version')\n"
        "    def __getstate__(self):\n        return {'some': 'state'}\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def forget(database):
    """Have every connection load its objects anew, as after a restart."""
    database.cacheMinimize()
    # What tracebacks of errors refer to, in circles, would stay what it is.
    gc.collect()
    database.cacheMinimize()


@pytest.fixture
def waits(client, settle, dispatcher):
    """Waits until a job is in its queue, not due, and no worker has it in memory any more."""

    def waits(job):
        def is_pending():
            client.manager.begin()
            not_due = job.begin_after > zc.async_.clock.now()
            idle = not any(pool.busy for pool in dispatcher.pools())
            return job.status == PENDING and not_due and idle

        settle(is_pending)
        assert job in client.queue

    return waits


# -- the code of the callable


def remove_module(code, monkeypatch):
    monkeypatch.delitem(sys.modules, code.__name__)


def rename_module(code, monkeypatch):
    monkeypatch.delitem(sys.modules, code.__name__)
    monkeypatch.setitem(sys.modules, "renamed_code", code)


def remove_function(code, monkeypatch):
    monkeypatch.delattr(code, "answer")


@pytest.mark.parametrize("go", [remove_module, rename_module, remove_function])
def test_a_job_whose_code_is_gone_waits_and_runs_when_the_code_is_back(
    dispatcher, client, put, reactor, completed, waits, errors_told, code, monkeypatch, go
):
    job = client.queue.put(code.answer)
    with monkeypatch.context() as patch:
        go(code, patch)
        client.manager.commit()
        completed(put(work.answer))
        reactor.time_flies(60)
        waits(job)
        assert "code_of_this_test.answer" in errors_told()
    reactor.time_flies(LONGEST_WAIT + 5)
    completed(job)
    assert job.result == "answered"
    assert len(client.queue) == 0


@pytest.mark.slow
def test_a_job_whose_code_does_not_come_back_within_a_day_fails(
    dispatcher, client, reactor, waits, failed, code, monkeypatch
):
    job = client.queue.put(code.answer)
    remove_module(code, monkeypatch)
    client.manager.commit()
    for _hour in range(23):
        reactor.time_flies(3600)
        waits(job)
    for _ in range(3):
        reactor.time_flies(3600)
    assert "code_of_this_test.answer" in failed(job, MissingCallableError).getErrorMessage()


# -- what a job is to work with


def test_an_argument_that_is_not_in_the_database_fails_the_job_when_it_is_used(
    dispatcher, client, database, failed, errors_told
):
    held = client.queue.put(Job(hold, Gone()), begin_after=soon_enough())
    used = client.queue.put(Job(look_at, Gone()), begin_after=soon_enough())
    client.manager.commit()
    for job in (held, used):
        take_out(database, job.args[0])
    dispatcher.reactor.time_flies(120)
    failure = failed(used, POSKeyError)
    assert f"{client.connection.get(used._p_oid)!r} failed:" in errors_told()
    assert failure.getTraceback()
    client.manager.begin()
    assert held.result == "held"


def soon_enough():
    return zc.async_.testing.BEGINNING.replace(minute=46)


def take_out(database, record):
    """Write what a storage writes of an object that is no more."""
    record._p_activate()
    meta = TransactionMetaData()
    storage = database.storage
    storage.tpc_begin(meta)
    storage.deleteObject(record._p_oid, record._p_serial, meta)
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)
    database.cacheMinimize()


@pytest.fixture
def waits_for_class(client, database, reactor, completed, waits, errors_told, code, monkeypatch):
    """Has a job be due without the module of a class: it waits and says so, and others run."""

    def waits_for_class(job, name):
        with monkeypatch.context() as patch:
            remove_module(code, patch)
            forget(database)
            reactor.time_flies(120)
            completed(client_put(client))
            waits(job)
            assert f"code_of_this_test.{name}" in errors_told()

    return waits_for_class


@pytest.mark.parametrize("name", ["Plain", "Record"])
def test_a_job_whose_argument_has_no_class_waits_for_it_and_holds_up_nobody(
    dispatcher, client, connect, code, waits_for_class, name
):
    job = client.queue.put(Job(look_at, getattr(code, name)()), begin_after=soon_enough())
    client.manager.commit()
    waits_for_class(job, name)
    # What the record said is in it still, for a process that has the code.
    assert connect().connection.get(job._p_oid).args[0].content == name.lower()


def test_a_method_of_an_object_without_its_class_waits_for_it_too(
    dispatcher, client, database, reactor, completed, code, waits_for_class
):
    job = client.queue.put(code.Record().method, begin_after=soon_enough())
    client.manager.commit()
    waits_for_class(job, "Record")
    forget(database)
    reactor.time_flies(LONGEST_WAIT + 5)
    completed(job)
    assert job.result == "record"


def client_put(client):
    job = client.queue.put(work.answer)
    client.manager.commit()
    return job


POISON = "a record that raises when it is loaded fails each poll: nothing of the queue is claimed"


def test_an_argument_whose_member_of_an_enumeration_is_gone_does_not_hold_up_others(
    dispatcher, client, database, reactor, soon, errors_told, code, monkeypatch
):
    job = client.queue.put(Job(hold, code.Color.RED), begin_after=soon_enough())
    client.manager.commit()
    monkeypatch.setattr(code, "Color", enum.Enum("Color", {"GREEN": 2}, module=code.__name__))
    assert_that_it_holds_up_nobody(client, database, reactor, soon, errors_told, job)


def test_an_argument_whose_class_refuses_its_state_does_not_hold_up_others(
    dispatcher, client, database, reactor, soon, errors_told, code
):
    job = client.queue.put(Job(hold, code.Strict()), begin_after=soon_enough())
    client.manager.commit()
    assert_that_it_holds_up_nobody(client, database, reactor, soon, errors_told, job)


def assert_that_it_holds_up_nobody(client, database, reactor, soon, errors_told, job):
    oid = job._p_oid
    forget(database)
    reactor.time_flies(120)
    soon(client_put(client))
    assert f"{int.from_bytes(oid, 'big'):#x}" in errors_told()
