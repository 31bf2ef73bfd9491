"""Jobs put while a ZEO server is started again: none is lost, no reference leads astray."""

import concurrent.futures
import contextlib

import pytest
import transaction
import ZEO
import ZEO.Exceptions
from persistent.mapping import PersistentMapping
from ZODB.POSException import ConflictError

from benchmarks.storages import add_queue
from benchmarks.workers import wait_until
from tests.processes import Entry, queue_of
from tests.torture.processes import StorageServer
from zc.async_.job import Job

#: Jobs of each client: more than ZEO gives oids at once.
JOBS = 250

#: Seconds that a client waits for its server.
PATIENCE = 300


@pytest.fixture
def server(tmp_path):
    server = StorageServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def open_database(server):
    with contextlib.ExitStack() as stack:

        def open_database():
            database = ZEO.DB(server.address, wait=True, wait_timeout=PATIENCE)
            stack.callback(database.close)
            return database

        yield open_database


def note(entry, number):
    """What the jobs call."""


class Putter:
    """A client of the server, and what it has put."""

    def __init__(self, database, name):
        self.database = database
        self.name = name
        self.put = set()
        self.conflicts = 0

    def is_prepared(self):
        with self.database.transaction() as connection:
            return self.name in connection.root()

    def put_jobs(self, per_transaction):
        """Put so many jobs, with an object of the application each."""
        left = [(self.name, len(self.put) + number) for number in range(JOBS)]
        while left:
            batch, left = left[:per_transaction], left[per_transaction:]
            self._put(batch)
            self.put.update(batch)

    def _put(self, batch):
        manager = transaction.TransactionManager()
        connection = self.database.open(manager)
        try:
            while True:
                try:
                    manager.begin()
                    for key in batch:
                        entry = connection.root()[self.name][key] = Entry()
                        entry.key = key
                        queue_of(connection).put(Job(note, entry, key))
                    manager.commit()
                    return
                except ZEO.Exceptions.ClientDisconnected:
                    manager.abort()
                except ConflictError:
                    self.conflicts += 1
                    manager.abort()
        finally:
            manager.abort()
            connection.close()


@pytest.fixture
def putters(open_database):
    """Makes clients."""

    def putters(count):
        clients = [Putter(open_database(), f"client {number}") for number in range(count)]
        add_queue(clients[0].database)
        with clients[0].database.transaction() as connection:
            for client in clients:
                connection.root()[client.name] = PersistentMapping()
        for client in clients:
            # It hears of the commit a moment later.
            wait_until(client.is_prepared, PATIENCE)
        return clients

    return putters


def put_all(clients, per_transaction):
    """All of them at once."""
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as threads:
        for done in [threads.submit(client.put_jobs, per_transaction) for client in clients]:
            done.result()


def restart(server, how):
    (server.terminate if how == "TERM" else server.kill)()
    server.start()


def check(database, clients):
    """Each job is there, is one, and has its object of the application."""
    expected = set().union(*(client.put for client in clients))
    connection = database.open(transaction.TransactionManager())
    try:
        connection.cacheMinimize()
        jobs = list(queue_of(connection))
        assert [type(job) for job in jobs] == [Job] * len(jobs)
        assert len(queue_of(connection)) == len(jobs) == len(expected)
        assert {job.args[1] for job in jobs} == expected
        for job in jobs:
            entry, key = job.args
            assert type(entry) is Entry
            assert entry.key == key
            assert connection.root()[key[0]][key] is entry
    finally:
        connection.close()


QUICK = [("KILL", JOBS, 1)]


@pytest.mark.parametrize(
    ("how", "per_transaction", "count"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in [
            (how, per_transaction, count)
            for how in ("TERM", "KILL")
            for per_transaction in (JOBS, 7, 1)
            for count in (1, 3)
        ]
    ],
)
def test_no_job_is_lost_that_is_put_after_the_server_was_started_again(
    server, putters, open_database, how, per_transaction, count
):
    clients = putters(count)
    put_all(clients, per_transaction)
    restart(server, how)
    put_all(clients, per_transaction)
    check(open_database(), clients)
    if count == 1:
        # It uses none of the oids that it was given before.
        assert clients[0].conflicts == 0


@pytest.mark.parametrize("how", ["TERM", pytest.param("KILL", marks=pytest.mark.slow)])
def test_no_job_is_lost_of_a_transaction_during_which_the_server_was_started_again(
    server, putters, open_database, how
):
    (client,) = putters(1)
    manager = transaction.TransactionManager()
    connection = client.database.open(manager)
    for number in range(2 * JOBS):
        if number == JOBS:
            restart(server, how)
        entry = Entry()
        key = (client.name, number)
        entry.key = key
        while True:
            try:
                queue_of(connection).put(Job(note, entry, key))
                break
            except ZEO.Exceptions.ClientDisconnected:
                pass
        connection.root()[client.name][key] = entry
        client.put.add(key)
    manager.commit()
    connection.close()
    check(open_database(), [client])
