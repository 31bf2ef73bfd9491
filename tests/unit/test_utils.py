"""Readable reprs and patient transactions."""

import datetime
import logging

import pytest
import ZEO.Exceptions
import ZODB
from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_ import utils
from zc.async_.interfaces import ReassignedError


class Manager:
    """Counts what is asked of a transaction manager."""

    def __init__(self):
        self.done = []

    def abort(self):
        self.done.append("abort")

    def commit(self):
        self.done.append("commit")


@pytest.fixture
def manager():
    return Manager()


def raising(*errors):
    """A callable that raises these, one a call, and then returns 42."""
    left = list(errors)

    def call():
        call.count += 1
        if left:
            raise left.pop(0)
        return 42

    call.count = 0
    return call


DISCONNECTED = ZEO.Exceptions.ClientDisconnected


# -- reprs


def test_persistent_objects_are_told_by_oid_and_database(client):
    counter = calls.Counter()
    assert utils.custom_repr(counter) == "tests.unit.calls.Counter (oid ?, db ?)"
    assert utils.database_name(counter) == "?"
    client.add("counter", counter)
    oid = ZODB.utils.u64(counter._p_oid)
    assert utils.custom_repr(counter) == f"tests.unit.calls.Counter (oid {oid}, db 'unnamed')"
    assert utils.database_name(counter) == "unnamed"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (calls.add, "tests.unit.calls.add"),
        (calls.Nested.static, "tests.unit.calls.Nested.static"),
        (calls.Counter, "tests.unit.calls.Counter"),
        (len, "builtins.len"),
        (42, "42"),
        ("text", "'text'"),
    ],
)
def test_other_values_are_told_by_dotted_name_or_repr(value, text):
    assert utils.custom_repr(value) == text


def test_global_functions_and_classes_have_dotted_names():
    assert utils.dotted_name(calls.add) == "tests.unit.calls.add"
    assert utils.dotted_name(calls.Nested) == "tests.unit.calls.Nested"


# -- five tries


def test_a_call_that_succeeds_is_committed_and_its_value_returned(manager):
    assert utils.try_five_times(raising(), "test", manager) == 42
    assert manager.done == ["commit"]


def test_nothing_is_committed_if_that_is_not_wanted(manager):
    assert utils.try_five_times(raising(), "test", manager, commit=False) == 42
    assert manager.done == []


@pytest.mark.parametrize("error", [ConflictError, TransientError])
def test_transaction_errors_are_tried_over_up_to_five_times(manager, error, caplog):
    call = raising(*[error()] * 4)
    assert utils.try_five_times(call, "test", manager) == 42
    assert call.count == 5
    assert manager.done == ["abort"] * 4 + ["commit"]
    call = raising(*[error()] * 5)
    with pytest.raises(error):
        utils.try_five_times(call, "the identifier", manager)
    assert call.count == 5
    assert "the identifier" in caplog.text


def test_conflicts_of_the_commit_count_too(client, other):
    client.add("counter", calls.Counter())
    other.begin()

    def increase():
        other.begin()
        other.root["counter"].increase()
        if client.root["counter"].count < 2:
            client.begin()
            client.root["counter"].increase()
            client.commit()

    utils.try_five_times(increase, "test", other.manager)
    client.begin()
    assert client.root["counter"].count == 3


def test_other_errors_are_raised_at_once(manager):
    call = raising(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        utils.try_five_times(call, "test", manager)
    assert call.count == 1
    assert manager.done == ["abort"]


def test_a_database_out_of_reach_is_waited_for_ever_longer(manager, sleeps, caplog):
    call = raising(*[DISCONNECTED()] * 15)
    assert utils.try_five_times(call, "test", manager) == 42
    assert sleeps == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60, 60]
    assert manager.done == ["abort"] * 15 + ["commit"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("try_", [utils.try_five_times, utils.never_fail])
def test_what_ends_a_thread_is_raised_after_an_abort(manager, error, try_):
    with pytest.raises(error):
        try_(raising(error()), "test", manager)
    assert manager.done == ["abort"]


# -- tries without end


def test_never_fail_tries_over_every_error(manager, sleeps, caplog):
    call = raising(*[ConflictError()] * 20, ValueError(), DISCONNECTED(), KeyError())
    assert utils.never_fail(call, "the identifier", manager) == 42
    assert call.count == 24
    assert manager.done == ["abort"] * 23
    assert sleeps == [5, 10, 15]
    assert [r.levelname for r in caplog.records] == ["CRITICAL", "WARNING", "CRITICAL"]
    assert "the identifier" in caplog.text


def test_never_fail_gives_up_a_job_that_is_somebody_elses(manager):
    with pytest.raises(ReassignedError):
        utils.never_fail(raising(ReassignedError()), "test", manager)
    assert manager.done == ["abort"]


def test_try_until_reachable_tries_over_transient_errors_only(manager, sleeps):
    call = raising(*[ConflictError()] * 20, DISCONNECTED())
    assert utils.try_until_reachable(call, "test", manager) == 42
    with pytest.raises(ValueError, match="no"):
        utils.try_until_reachable(raising(ValueError("no")), "test", manager)


def test_try_until_reachable_uses_the_transaction_manager_of_the_thread_by_default():
    assert utils.try_until_reachable(raising(ConflictError()), "test") == 42


def test_the_loggers_have_their_historic_names():
    assert utils.log.name == "zc.async.events"
    assert utils.tracelog.name == "zc.async.trace"


def test_a_database_is_closed_as_soon_as_its_connections_lose_what_they_need():
    database = ZODB.DB(None)
    connection = database.open()
    seen = []

    class Participant:
        def beforeCompletion(self, transaction):
            pass

        def afterCompletion(self, transaction):
            seen.append(utils.is_closed(database))

        def newTransaction(self, transaction):
            pass

    participant = Participant()
    manager = connection.transaction_manager
    manager.registerSynch(participant)
    assert not utils.is_closed(database)
    database.close()
    assert seen == [True]
    assert utils.is_closed(database)
    assert not utils.is_closed(None)
    manager.unregisterSynch(participant)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.datetime(2030, 1, 1, 12, 30, 15, 123456),
        datetime.datetime(1, 1, 1),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
    ],
)
def test_a_moment_can_be_told_by_a_key(moment):
    key = utils.dt_to_long(moment)
    assert utils.long_to_dt(key) == moment
    assert 0 <= key < 1 << 63
    assert utils.dt_to_long(moment.replace(tzinfo=datetime.UTC)) == key


def test_keys_sort_the_newest_first():
    moments = [datetime.datetime(2030, 1, 1, second=second) for second in range(3)]
    assert sorted(moments, key=utils.dt_to_long) == moments[::-1]
