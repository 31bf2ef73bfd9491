"""Oids that a server gives again: a sequence may lose its last steps in a crash."""

import contextlib

import pytest
from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError

import zc.async_.configure
from tests.processes import Entry
from tests.races import parties
from tests.relstorage.conftest import Party
from zc.async_ import utils
from zc.async_.job import Job
from zc.async_.storing import oids

#: Oids that RelStorage fetches at once.
FETCHED = 16


@pytest.fixture
def sequence(server, zodb):
    """Reads, and sets back, how far the server is."""

    def sequence(value=None):
        with server.cursor(zodb.name) as cursor:
            if value is not None:
                cursor.execute("SELECT setval('zoid_seq', %s, %s)", value)
            cursor.execute("SELECT last_value, is_called FROM zoid_seq")
            return cursor.fetchone()

    return sequence


@pytest.fixture
def guarded(database):
    """Opens connections as those that put; they are closed in the end."""
    with contextlib.ExitStack() as stack:

        def guarded():
            party = stack.enter_context(contextlib.closing(Party(database)))
            oids.guard(party.connection)
            return party

        yield guarded


def test_two_new_objects_of_one_oid_conflict_and_no_try_is_counted(guarded, sequence):
    first, second = guarded(), guarded()
    before = sequence()
    first.connection.new_oid()
    sequence(before)
    second.connection.new_oid()
    assert first.connection._storage._oids.preallocated_oids == (
        second.connection._storage._oids.preallocated_oids
    )
    for number, party in enumerate((first, second)):
        entry = party.entry = Entry()
        entry.count = number
        party.connection.add(entry)
    assert first.entry._p_oid == second.entry._p_oid
    first.root["first"] = first.entry
    first.manager.commit()
    second.root["first"] = second.entry
    with pytest.raises(ConflictError) as caught:
        second.manager.commit()
    assert utils.is_of_used_oid(caught.value)
    second.manager.abort()
    assert second.root["first"].count == 0


def test_oids_that_were_fetched_before_the_server_went_are_not_used(guarded, server, zodb):
    party = guarded()
    old = {party.connection.new_oid()}
    old.update(oid.to_bytes(8, "big") for oid in party.connection._storage._oids.preallocated_oids)
    assert len(old) == FETCHED
    for way in (server.cut, lambda name: (server.crash(), server.start())):
        way(zodb.name)
        party.manager.begin()
        new = {party.connection.new_oid() for _ in range(FETCHED)}
        assert not new & old
        old |= new


def test_as_long_as_it_stays_all_of_them_are_used(guarded, sequence):
    party = guarded()
    party.connection.new_oid()
    before = sequence()
    for _transaction in range(FETCHED - 1):
        party.manager.begin()
        party.connection.new_oid()
    assert sequence() == before
    party.connection.new_oid()
    assert sequence() == (before[0] + 1, True)


@pytest.mark.parametrize("per_transaction", [1, 7, 100])
def test_no_job_is_lost_though_the_server_gives_oids_again(
    guarded, sequence, server, zodb, database, per_transaction
):
    """It comes back with a sequence that has lost its last steps, unlike what it has committed."""
    zc.async_.configure.base()
    parties.make_queue(database)
    putters = [guarded() for _ in range(2)]
    expected = set()
    for _round in range(3):
        fetched = sequence()
        for number, putter in enumerate(putters):
            # Some are left, in each connection.
            expected |= put(putter, number, len(expected), 5, 5)
        sequence(fetched)
        server.cut(zodb.name)
        for number, putter in enumerate(putters):
            expected |= put(putter, number, len(expected), 100, per_transaction)
    putters[0].manager.begin()
    queue = putters[0].root[parties.KEY][""]
    jobs = list(queue)
    assert {job.args[1] for job in jobs} == expected
    assert len(jobs) == len(queue) == len(expected)
    for job in jobs:
        entry, key = job.args
        assert type(entry) is Entry
        assert entry.key == key


def put(putter, name, first, count, per_transaction):
    """Put jobs with an object each, over again if the storage refuses; return their names."""
    keys = [(name, first + number) for number in range(count)]
    for start in range(0, count, per_transaction):
        for _try in range(1000):
            try:
                putter.manager.begin()
                for key in keys[start : start + per_transaction]:
                    entry = Entry()
                    entry.key = key
                    putter.root[parties.KEY][""].put(Job(parties.nothing, entry, key))
                putter.manager.commit()
                break
            except TransientError as error:
                putter.manager.abort()
                if not utils.is_of_used_oid(error):
                    raise
    return set(keys)
