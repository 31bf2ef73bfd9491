"""A server that is away, and connections that are lost, at each step of a transaction."""

import concurrent.futures

import pytest
import transaction

import zc.async_.relstorage
from benchmarks.workers import wait_until
from tests.relstorage.conftest import At
from zc.async_.interfaces import OutOfReachError
from zc.async_.relstorage import catching_up

#: Seconds for another thread to do as it was told.
PATIENCE = 90


def forget(connection):
    """Have it load what it knows anew, and not from RelStorage's own cache."""
    connection.cacheMinimize()
    connection.db().storage._cache.clear(load_persistent=False)


def test_a_transaction_begins_and_ends_though_the_server_is_away(party, server):
    party.manager.begin()
    server.crash()
    party.manager.begin()
    party.manager.abort()
    with pytest.raises(OutOfReachError):
        _ = party.root["a"].value
    party.manager.abort()
    server.start()
    party.manager.begin()
    assert party.root["a"].value == 0


def test_nothing_that_is_in_memory_is_read_while_the_server_is_away(party, server):
    known = party.root["a"]
    assert known.value == 0
    server.crash()
    party.manager.begin()
    assert known._p_changed is None
    with pytest.raises(OutOfReachError):
        _ = known.value


def test_a_load_that_loses_its_connection_raises_and_the_next_transaction_goes_on(
    party, server, zodb
):
    party.manager.begin()
    forget(party.connection)
    server.cut(zodb.name)
    with pytest.raises(OutOfReachError):
        _ = party.root["a"].value
    party.manager.begin()
    assert party.root["a"].value == 0


def test_a_connection_that_was_lost_between_transactions_is_replaced(party, server, zodb):
    server.cut(zodb.name)
    party.manager.begin()
    party.root["a"].value = 1
    party.manager.commit()
    party.manager.begin()
    assert party.root["a"].value == 1


@pytest.mark.parametrize("phase", ["tpc_begin", "commit"])
def test_one_that_is_lost_before_the_vote_costs_nothing(party, server, zodb, phase):
    """But those that loaded: what is stored is sent in the vote."""
    party.root["a"].value = 1
    party.manager.get().join(At(phase, lambda: server.cut(zodb.name)))
    party.manager.commit()
    party.manager.begin()
    assert party.root["a"].value == 1


def test_one_that_is_lost_after_the_vote_fails_the_commit(party, server, zodb):
    party.root["a"].value = 1
    party.manager.get().join(At("tpc_vote", lambda: server.cut(zodb.name)))
    with pytest.raises(OutOfReachError):
        party.manager.commit()
    party.manager.abort()
    assert party.root["a"].value == 0


def test_a_commit_that_was_done_is_not_said_to_have_failed(party, server):
    """Though the server has gone when the connection would begin the next transaction."""
    party.root["a"].value = 1
    party.manager.get().join(At("tpc_finish", server.crash))
    done = []
    party.manager.get().addAfterCommitHook(done.append)
    party.manager.commit()
    assert done == [True]
    server.start()
    party.manager.begin()
    assert party.root["a"].value == 1


def test_a_connection_can_be_closed_and_opened_again_while_the_server_is_away(
    party, server, database
):
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    zc.async_.relstorage.guard(connection)
    server.crash()
    manager.abort()
    connection.close()
    again = database.open(manager)
    assert again is connection
    with pytest.raises(OutOfReachError):
        again.root()
    server.start()
    manager.begin()
    assert again.root()["a"].value == 0
    again.close()


def test_a_connection_at_rest_keeps_no_transaction_of_the_server(party, server, zodb):
    def in_transactions():
        with server.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = %s AND state LIKE 'idle in%%'",
                (zodb.name,),
            )
            return cursor.fetchone()[0]

    party.manager.begin()
    assert party.root["a"].value == 0
    assert in_transactions() == 1
    party.manager.abort()
    zc.async_.relstorage.rest(party.connection)
    assert in_transactions() == 0
    party.manager.begin()
    assert party.root["a"].value == 0


# -- what became of a commit


def test_a_commit_whose_answer_is_lost_is_waited_for(
    party, connect, cut_off, proxy, server, zodb, database
):
    """The server is at work on it, and does not know that nobody waits for the answer."""
    other = connect(cut_off)
    other.root["a"].value = 1
    oid = other.root["a"]._p_oid
    with (
        server.cursor(zodb.name) as cursor,
        concurrent.futures.ThreadPoolExecutor(2) as threads,
    ):
        # The lock that each commit takes last.
        cursor.execute("SELECT pg_advisory_lock(-1)")
        committing = threads.submit(other.manager.commit)
        wait_until(lambda: committers(cursor) == 1, PATIENCE)
        proxy.cut()
        with pytest.raises(OutOfReachError):
            committing.result(PATIENCE)
        party.manager.begin()
        assert party.root["a"].value == 0
        looking = threads.submit(zc.async_.relstorage.catch_up, database, [oid])
        wait_until(lambda: len(waiting_for(cursor, oid)) == 1, PATIENCE)
        assert not looking.done()
        cursor.execute("SELECT pg_advisory_unlock(-1)")
        looking.result(PATIENCE)
    party.manager.begin()
    assert party.root["a"].value == 1


def committers(cursor):
    """How many wait for the lock that each commit takes last. Its number has two halves."""
    cursor.execute("SELECT count(*) FROM pg_locks WHERE classid = 4294967295 AND NOT granted")
    return cursor.fetchone()[0]


def waiting_for(cursor, oid):
    """Who waits for the lock of an object."""
    number = int.from_bytes(oid, "big")
    cursor.execute("SELECT pid FROM pg_locks WHERE objid = %s AND NOT granted", (number,))
    return cursor.fetchall()


def test_an_object_that_nobody_changes_is_not_waited_for(party, database):
    zc.async_.relstorage.catch_up(database, [party.root["a"]._p_oid])


def test_catching_up_with_a_server_that_is_away_says_so(party, database, server):
    oid = party.root["a"]._p_oid
    server.crash()
    with pytest.raises(OutOfReachError):
        zc.async_.relstorage.catch_up(database, [oid])


def test_a_commit_that_takes_too_long_is_to_be_asked_for_again(
    party, database, server, zodb, monkeypatch
):
    monkeypatch.setattr(catching_up, "PATIENCE", 0.1)
    oid = party.root["a"]._p_oid
    with server.cursor(zodb.name) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (int.from_bytes(oid, "big"),))
        with pytest.raises(Exception, match="lock timeout") as caught:
            zc.async_.relstorage.catch_up(database, [oid])
    assert not isinstance(caught.value, OutOfReachError)
