"""What errors of PostgreSQL mean: the server's own, told apart by their codes."""

import concurrent.futures
import pickle

import pytest
import transaction
from ZODB.POSException import ConflictError, ReadConflictError, StorageError

import zc.async_.relstorage
from benchmarks.workers import wait_until
from zc.async_ import utils
from zc.async_.interfaces import OutOfReachError
from zc.async_.job import Job
from zc.async_.running.retry import NeverRetry, RetryCommonForever, RetryCommonFourTimes
from zc.twist import Failure

psycopg2 = pytest.importorskip("psycopg2")

from zc.async_.relstorage.driver import (  # noqa: E402
    ConflictingError,
    LostError,
    RefusedError,
    patient,
)

#: Seconds for another thread to do as it was told.
PATIENCE = 90


def cursor_of(party):
    """A cursor of the connection by which a party loads."""
    return party.connection._storage._load_connection.cursor


def raise_code(cursor, code):
    cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$")


@pytest.mark.parametrize(
    "code", ["08006", "25006", "25P03", "40003", "53300", "57P01", "57P02", "57P03", "0A000"]
)
def test_a_server_that_cannot_do_its_work_now_is_out_of_reach(party, code):
    with pytest.raises(OutOfReachError) as caught:
        raise_code(cursor_of(party), code)
    assert isinstance(caught.value, utils.DISCONNECTED_ERRORS)
    assert caught.value.pgcode == code
    party.manager.abort()


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03", "57014"])
def test_what_got_in_the_way_of_another_transaction_is_tried_again(party, code):
    with pytest.raises(utils.TRANSIENT_ERRORS) as caught:
        raise_code(cursor_of(party), code)
    assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS)
    assert caught.value.pgcode == code
    party.manager.abort()


@pytest.mark.parametrize("code", ["53100", "53200", "54000", "58030", "XX001"])
def test_a_server_in_trouble_says_nothing_of_what_was_asked_for(party, code):
    with pytest.raises(StorageError) as caught:
        raise_code(cursor_of(party), code)
    assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS + utils.TRANSACTION_ERRORS)
    assert caught.value.pgcode == code
    party.manager.abort()


@pytest.mark.parametrize("code", ["22012", "23505", "42P01"])
def test_other_errors_are_what_they_are(party, code):
    with pytest.raises(psycopg2.Error) as caught:
        raise_code(cursor_of(party), code)
    assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS + utils.TRANSACTION_ERRORS)
    assert caught.value.pgcode == code
    party.manager.abort()


@pytest.mark.parametrize("kind", [LostError, ConflictingError, RefusedError])
def test_an_error_can_be_stored(kind):
    error = pickle.loads(pickle.dumps(kind("why", "57P01")))
    assert (type(error), str(error), error.pgcode) == (kind, "why", "57P01")


def test_a_statement_that_may_have_committed_before_it_was_canceled_is_looked_for(party, server):
    store = party.connection._storage._store_connection_pool.borrow()
    store.cursor.execute("SET statement_timeout = 50")
    with pytest.raises(OutOfReachError):
        store.cursor.execute("COMMIT; SELECT pg_sleep(10)")
    store.drop()


def test_connections_are_given_up_in_time_unless_their_dsn_says_otherwise(party, monkeypatch):
    given = psycopg2.extensions.parse_dsn(cursor_of(party).connection.dsn)
    assert (given["connect_timeout"], given["keepalives_idle"]) == ("10", "15")
    given = psycopg2.extensions.parse_dsn(patient("host=x connect_timeout=77"))
    assert given["connect_timeout"] == "77"
    assert patient("service=mine") == "service=mine"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert "connect_timeout" not in psycopg2.extensions.parse_dsn(patient("host=x"))


# -- conflicts, as RelStorage tells of them


def test_objects_that_two_transactions_change_are_a_conflict(party, connect, database):
    other = connect(database)
    other.root["a"].value = party.root["a"].value = 1
    other.manager.commit()
    with pytest.raises(ConflictError) as caught:
        party.manager.commit()
    assert not utils.is_of_used_oid(caught.value)
    party.manager.abort()


def test_an_object_that_was_read_as_current_and_changed_is_a_conflict(party, connect, database):
    other = connect(database)
    other.root["a"].value = 1
    party.root["b"].value = 1
    party.connection.readCurrent(party.root["a"])
    other.manager.commit()
    with pytest.raises(ReadConflictError):
        party.manager.commit()
    party.manager.abort()


def test_one_that_is_being_changed_is_a_conflict_too(party, server, zodb):
    party.root["b"].value = 1
    party.connection.readCurrent(party.root["a"])
    oid = int.from_bytes(party.root["a"]._p_oid, "big")
    with server.cursor(zodb.name) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (oid,))
        with pytest.raises(ReadConflictError) as caught:
            party.manager.commit()
    assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS)
    party.manager.abort()


def test_a_lock_that_is_not_to_be_had_in_time_is_a_conflict(zodb, server, party, connect):
    with zodb.database(commit_lock_timeout=0.1) as hasty, server.cursor(zodb.name) as cursor:
        zc.async_.relstorage.watch(hasty)
        other = connect(hasty)
        other.root["a"].value = 1
        oid = int.from_bytes(other.root["a"]._p_oid, "big")
        cursor.execute("SELECT pg_advisory_lock(%s)", (oid,))
        with pytest.raises(ConflictError) as caught:
            other.manager.commit()
        assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS)
        other.manager.abort()


def test_a_deadlock_is_a_conflict(party, connect, zodb, server):
    for root in (party.root["a"], party.root["b"]):
        root.value = 1
    first, last = sorted(int.from_bytes(party.root[name]._p_oid, "big") for name in "ab")
    with (
        server.cursor(zodb.name) as cursor,
        concurrent.futures.ThreadPoolExecutor(1) as thread,
    ):
        # It is the commit that notices.
        cursor.execute("SET deadlock_timeout = '60s'")
        cursor.execute("SELECT pg_advisory_lock(%s)", (last,))
        committing = thread.submit(party.manager.commit)
        wait_until(lambda: waits(cursor, last), PATIENCE)
        cursor.execute("SELECT pg_advisory_lock(%s)", (first,))
        with pytest.raises(ConflictError, match="deadlock detected") as caught:
            committing.result(PATIENCE)
    assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS)
    party.manager.abort()


def waits(cursor, number):
    """Whether somebody waits for a lock."""
    cursor.execute("SELECT 1 FROM pg_locks WHERE objid = %s AND NOT granted", (number,))
    return cursor.fetchone() is not None


# -- what policies make of them


@pytest.mark.parametrize(
    ("policy", "lost", "conflicting"),
    [(RetryCommonFourTimes, True, 5), (RetryCommonForever, True, None), (NeverRetry, False, 1)],
)
def test_policies_wait_for_a_server_and_count_conflicts(policy, lost, conflicting):
    asked = policy(Job(len))
    answers = [asked.commitError(Failure(LostError("away")), cache) for cache in [{}] * 20]
    assert [bool(answer) for answer in answers] == [lost] * 20
    cache = {}
    tries = 1
    while tries < 10 and asked.jobError(Failure(ConflictingError("deadlock")), cache):
        tries += 1
    assert tries == (conflicting or 10)


def test_an_application_s_own_errors_of_psycopg2_say_nothing_of_our_database(server):
    """It may use a database of its own, which is nobody's business but the job's."""
    with pytest.raises(psycopg2.OperationalError) as caught:
        psycopg2.connect(server.dsn("no such database"))
    assert not isinstance(caught.value, utils.DISCONNECTED_ERRORS + utils.TRANSACTION_ERRORS)


def test_connections_that_were_opened_before_are_replaced_when_they_begin_anew(
    zodb, connect, caplog
):
    with zodb.database() as database:
        manager = transaction.TransactionManager()
        early = database.open(manager)
        early.root()["early"] = 1
        manager.commit()
        zc.async_.relstorage.watch(database)
        party = connect(database)
        manager.begin()
        assert early.root()["early"] == 1
        for connection in (early, party.connection):
            with pytest.raises(LostError):
                raise_code(connection._storage._load_connection.cursor, "57P01")
        manager.abort()
        early.root()["early"] = 2
        manager.commit()
        party.manager.begin()
        assert party.root["early"] == 2
        early.close()
    # Nothing was lost, and nobody is told so.
    assert caplog.records == []
