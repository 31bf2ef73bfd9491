"""Hearing of what others commit."""

import gc
import threading
import weakref

import pytest
import ZODB
from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage
from ZODB.MappingStorage import MappingStorage

from zc.async_.dispatcher import wakeup
from zc.async_.dispatcher.wakeup import Listener

METHODS = ("invalidate", "_invalidate_finish", "invalidateCache")


class Woken(Listener):
    """Counts how often it was woken, and looks at the database then."""

    def __init__(self, look=lambda: None):
        super().__init__(self.wake)
        self.seen = []
        self.look = look

    def wake(self):
        self.seen.append(self.look())

    @property
    def count(self):
        return len(self.seen)


@pytest.fixture
def counter(client):
    """A record that changes."""
    return client.root["counter"]


@pytest.fixture
def listen(database, counter):
    """Makes listeners to the changes of `counter`; they are forgotten in the end."""
    listeners = []

    def listen(listener=None, oids=None):
        listener = listener or Woken()
        listener.oids = frozenset([counter._p_oid] if oids is None else oids)
        assert wakeup.listen(database, listener)
        listeners.append(listener)
        return listener

    yield listen
    for listener in listeners:
        wakeup.forget(database, listener)


@pytest.fixture
def in_thread():
    """Has another thread make a call, and waits for it."""

    def in_thread(call):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    return in_thread


def increase(client):
    client.root["counter"].increase()
    client.manager.commit()


def is_wrapped(database):
    return [name in vars(database._mvcc_storage) for name in METHODS]


def test_a_commit_that_concerns_the_listener_wakes_it(client, listen):
    listener = listen()
    increase(client)
    assert listener.count == 1
    increase(client)
    assert listener.count == 2


def test_other_commits_do_not(client, listen):
    listener = listen(oids=[b"another"])
    increase(client)
    assert listener.count == 0


def test_a_listener_is_told_by_the_thread_that_commits(client, listen, in_thread):
    listener = listen(Woken(threading.get_ident))
    in_thread(lambda: increase(client))
    assert len(set(listener.seen) - {threading.get_ident()}) == 1


def test_when_a_listener_is_told_the_others_are_invalidated_already(client, connect, listen):
    other = connect()
    assert other.root["counter"].count == 0

    def look():
        # To load something here would wait for ever, for the lock of the committing thread.
        return set(other.connection._storage._invalidations)

    listener = listen(Woken(look))
    increase(client)
    assert listener.seen == [{client.root["counter"]._p_oid}]


def test_commits_of_a_connection_can_be_ignored(client, connect, listen):
    listener, other = listen(), listen()
    listener.ignore(client.connection)
    increase(client)
    assert (listener.count, other.count) == (0, 1)
    increase(connect())
    assert (listener.count, other.count) == (1, 2)


def test_they_are_ignored_whatever_thread_tells_of_them(client, listen, in_thread):
    listener, other = listen(), listen()
    listener.ignore(client.connection)
    in_thread(lambda: increase(client))
    assert (listener.count, other.count) == (0, 1)


def test_commits_to_the_other_databases_of_a_connection_are_ignored_too(two_databases, connect):
    client = connect(two_databases["content"])
    listener = Woken()
    listener.oids = frozenset([client.queue._p_oid])
    wakeup.listen(two_databases["async"], listener)
    listener.ignore(client.connection)
    client.queue._p_changed = True
    client.manager.commit()
    assert listener.count == 0
    with two_databases["async"].transaction() as connection:
        connection.get(client.queue._p_oid)._p_changed = True
    assert listener.count == 1
    wakeup.forget(two_databases["async"], listener)


def test_every_listener_is_told(client, listen):
    listeners = [listen(), listen(), listen(oids=[])]
    increase(client)
    assert [listener.count for listener in listeners] == [1, 1, 0]


def test_a_listener_that_listens_twice_is_told_once(client, listen):
    listener = listen(listen())
    increase(client)
    assert listener.count == 1


def test_what_is_watched_can_be_replaced(client, listen, counter):
    listener = listen(oids=[])
    increase(client)
    listener.oids = frozenset([counter._p_oid])
    increase(client)
    assert listener.count == 1


def test_an_invalidation_of_everything_wakes_every_listener(database, listen):
    listeners = [listen(), listen(oids=[])]
    database._mvcc_storage.invalidateCache()
    assert [listener.count for listener in listeners] == [1, 1]


def test_what_another_client_of_the_storage_committed_wakes(database, listen, counter):
    """This is how ZEO tells of it."""
    listener = listen()
    database._mvcc_storage.invalidate(database.lastTransaction(), [counter._p_oid])
    assert listener.count == 1
    database._mvcc_storage.invalidate(database.lastTransaction(), [b"another"])
    assert listener.count == 1


def test_a_listener_that_was_forgotten_is_not_told(database, client, listen):
    listener, other = listen(), listen()
    wakeup.forget(database, listener)
    increase(client)
    assert (listener.count, other.count) == (0, 1)


def test_the_database_is_as_before_when_nobody_listens_any_more(database, client, listen):
    assert is_wrapped(database) == [False] * 3
    first, second = listen(), listen()
    assert is_wrapped(database) == [True] * 3
    wakeup.forget(database, first)
    assert is_wrapped(database) == [True] * 3
    wakeup.forget(database, second)
    assert is_wrapped(database) == [False] * 3
    wakeup.forget(database, second)
    increase(client)
    listener = listen()
    increase(client)
    assert listener.count == 1


def test_a_database_that_was_dropped_is_dropped_by_its_listeners(tmp_path):
    database = ZODB.DB(FileStorage(str(tmp_path / "other.fs")))
    listener = Woken()
    wakeup.listen(database, listener)
    adapter = weakref.ref(database._mvcc_storage)
    wakeup.forget(database, listener)
    database.close()
    del database
    gc.collect()
    assert adapter() is None


def test_the_listener_of_a_closed_database_can_be_forgotten(tmp_path):
    database = ZODB.DB(FileStorage(str(tmp_path / "other.fs")))
    listener = Woken()
    wakeup.listen(database, listener)
    database.close()
    wakeup.forget(database, listener)


@pytest.mark.parametrize("make", [MappingStorage, DemoStorage])
def test_every_storage_behind_zodb_s_own_mvcc_tells(make):
    database = ZODB.DB(make())
    with database.transaction() as connection:
        listener = Woken()
        listener.oids = frozenset([connection.root()._p_oid])
        assert wakeup.listen(database, listener)
        connection.root()["more"] = 1
    assert listener.count == 1
    wakeup.forget(database, listener)
    database.close()


class NoStorage:
    """What is no database."""


class NoAdapter:
    """A database whose storage has MVCC of its own."""

    class _mvcc_storage:
        """Has only one of the methods."""

        def invalidateCache(self):
            """Not what is looked for."""


@pytest.mark.parametrize("database", [NoStorage(), NoAdapter()], ids=["none", "other methods"])
def test_a_storage_without_these_methods_does_not_tell(database):
    assert not wakeup.listen(database, Woken())
    wakeup.forget(database, Woken())
