"""A ZEO client, its server, and a network between them that fails in each way once.

Looks are much more frequent than they usually are, and the patience of the watch is counted in
looks.
"""

import contextlib
import gc
import logging
import threading
import time
import uuid

import pytest
import ZEO
import ZEO.Exceptions
import ZODB
from ZEO.asyncio.futures import AsyncTask
from ZEO.ClientStorage import ClientStorage
from ZODB.DemoStorage import DemoStorage
from ZODB.utils import z64

import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.zeo
from tests.processes import queue_of
from tests.zeo.network import RoughProxy
from tests.zeo.test_transports import FAULTY
from tests.zeoservers import server
from zc.async_.interfaces import DatabaseOpened
from zc.async_.testing.reactor import Reactor
from zc.async_.zeo import transports, watching
from zc.async_.zeo.attempts import Stage

pytestmark = pytest.mark.slow

#: Real seconds that something is given which is to happen.
PATIENCE = 90

#: Seconds between two looks.
INTERVAL = 0.05


@pytest.fixture(autouse=True)
def many_looks(monkeypatch):
    monkeypatch.setattr(watching, "INTERVAL", INTERVAL)


@pytest.fixture(scope="module")
def zeo_server(tmp_path_factory):
    with server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def proxy(zeo_server):
    with RoughProxy(zeo_server.address).running() as running:
        yield running


@pytest.fixture
def database(proxy):
    with closing(ZEO.DB(proxy.address, wait_timeout=PATIENCE)) as database:
        zc.async_.zeo.watch(database)
        yield database


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.DEBUG, "zc.async")

    def told(text):
        return [record for record in caplog.records if text in record.getMessage()]

    return told


@contextlib.contextmanager
def closing(database):
    try:
        yield database
    finally:
        database.close()


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(INTERVAL / 5)


def in_loop(database, function):
    """Have a function called with the client of a database, in the thread of its loop."""
    client = database.storage._server.client
    done = threading.Event()

    def call():
        try:
            function(client)
        finally:
            done.set()

    client.loop.call_soon_threadsafe(call)
    assert done.wait(PATIENCE)


def lose(client):
    """Lose the connection, and write to it before the loop has dealt with the loss."""
    protocol = client.protocol
    protocol.sm_protocol.transport.abort()
    protocol.write_message(b"too late")


def ask(database):
    """Have the server answer. Waits for the connection."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return database.storage.history(z64)
        except ZEO.Exceptions.ClientDisconnected:
            # The connection that was cut, of which the client had not heard.
            assert time.monotonic() < end


def connected(database):
    return database.storage.is_connected()


# -- attempts that come to nothing


def test_an_attempt_that_asyncio_never_ends_is_made_anew(proxy, told, monkeypatch):
    for name in ("prepare_loop", "prepare_connected"):
        monkeypatch.setattr(transports, name, lambda one: None)
    with closing(ZEO.DB(proxy.address, wait_timeout=PATIENCE)) as database:
        zc.async_.zeo.watch(database)
        in_loop(database, lose)
        assert ask(database)
        if FAULTY:
            assert told("waited")
            assert told("for the server to accept the connection")[0].levelname == "WARNING"
            wait_until(lambda: told("connected again"))


def test_asyncio_ends_each_attempt_of_a_client_that_is_watched(database, told):
    before = len(told("waited"))
    # The first connection was there before the watch.
    for _ in range(5):
        in_loop(database, lose)
        assert ask(database)
    assert len(told("waited")) == before


@pytest.mark.parametrize("connection", ["before the watch", "later"])
def test_who_asks_a_connection_that_has_just_ended_is_told_of_the_loss(database, connection):
    if connection == "later":
        in_loop(database, lose)
        ask(database)
    asked = []

    def end(client):
        # What asyncio does when it reads the end of the stream; the loss is told a round later.
        client.protocol.sm_protocol.transport.close()
        asked.append(AsyncTask(client.call_sync_co("ping", (), 1), client.loop))

    in_loop(database, end)
    wait_until(lambda: asked[0].done())
    with pytest.raises(ZEO.Exceptions.ClientDisconnected):
        asked[0].result()


def test_an_attempt_whose_server_never_says_a_word_is_made_anew(proxy, database, told):
    proxy.mode = "hang"
    seen = proxy.accepted
    proxy.cut()
    wait_until(lambda: proxy.accepted > seen)
    proxy.mode = "pass"
    # Nobody who waits for the connection is told that there is none.
    assert ask(database)
    assert told("for the first word of the server")[0].name.startswith("zc.async")
    assert str(proxy.address) in told("for the first word of the server")[0].getMessage()


@pytest.mark.parametrize("word", [b"register", b"get_info"])
def test_an_attempt_whose_server_never_answers_is_made_anew(proxy, database, told, word):
    proxy.mute_word = word
    proxy.cut()
    wait_until(lambda: told("for an answer of the server"))
    proxy.mute_word = None
    wait_until(lambda: connected(database))
    assert ask(database)
    wait_until(lambda: told("connected again"))


def test_a_client_that_has_given_up_connecting_is_made_to_try_again(database, told):
    def fail(client):
        # As ZEO does it when the last question of an attempt is answered with an error.
        client.operational = False
        client.register_failed(client.protocol, Exception("no get_info"))

    in_loop(database, fail)
    wait_until(lambda: connected(database))
    assert ask(database)
    assert told("with no attempt under way")


@contextlib.contextmanager
def two_servers(proxy, zeo_server):
    """Another proxy that refuses connections, and a watched database that has both."""
    with RoughProxy(zeo_server.address).running() as other:
        other.close()
        addresses = [proxy.address, other.address]
        with closing(ZEO.DB(addresses, wait_timeout=PATIENCE)) as database:
            zc.async_.zeo.watch(database)
            yield other, database


@pytest.mark.parametrize("mode", ["hang", "closing"])
def test_the_one_of_several_servers_is_found_that_failed_before(proxy, zeo_server, mode):
    with two_servers(proxy, zeo_server) as (_, database):
        proxy.mode = mode
        seen = proxy.accepted
        proxy.cut()
        wait_until(lambda: proxy.accepted > seen)
        proxy.mode = "pass"
        assert ask(database)


# -- attempts that have to be left alone


def test_a_server_that_is_away_is_waited_for(proxy, database, told):
    proxy.close()
    wait_until(lambda: not connected(database))
    # More looks than any patience but one.
    time.sleep(INTERVAL * 40)
    proxy.open()
    assert ask(database)
    assert not told("waited")


def test_a_server_that_takes_its_time_is_waited_for(proxy, database, told, monkeypatch):
    monkeypatch.setitem(watching.PATIENCE, Stage.ANSWER, 100)
    proxy.mute_word, proxy.delay = b"register", 0.5
    seen = proxy.accepted
    proxy.cut()
    wait_until(lambda: connected(database) and proxy.accepted > seen)
    assert ask(database)
    assert not told("waited")
    assert proxy.accepted == seen + 1


def test_a_server_that_is_slower_than_we_are_patient_is_reached_in_the_end(proxy, database, told):
    proxy.mute_word, proxy.delay = b"register", INTERVAL * 20
    proxy.cut()
    wait_until(lambda: told("for an answer of the server"))
    assert ask(database)


def test_an_attempt_that_has_found_a_server_is_left_alone_if_another_is_stuck(
    proxy, zeo_server, told, monkeypatch
):
    monkeypatch.setitem(watching.PATIENCE, Stage.ANSWER, 100)
    with two_servers(proxy, zeo_server) as (other, database):
        proxy.mode = "hang"
        other.open()
        other.mute_word, other.delay = b"register", INTERVAL * 30
        proxy.cut()
        assert ask(database)
        assert not told("waited")
        assert other.accepted == 1


def test_a_connection_that_is_in_use_is_left_alone(proxy, database, told):
    ask(database)
    seen = proxy.accepted
    proxy.hold()
    time.sleep(INTERVAL * 40)
    proxy.open()
    assert ask(database)
    assert proxy.accepted == seen
    assert not told("waited")


# -- the beginning and the end of a watch


def test_a_dispatcher_has_all_its_databases_watched(zeo_server):
    databases = {}
    with closing(ZEO.DB(zeo_server.address, wait_timeout=PATIENCE)) as other:
        databases["other"] = other
        main = ZODB.DB(None, database_name="main", databases=databases)
        with closing(main):
            assert client_of(other) not in watching._watched
            dispatcher = zc.async_.dispatcher.Dispatcher(main, Reactor(), uuid=uuid.uuid4())
            dispatcher.activate()
            assert client_of(other) in watching._watched
            dispatcher.deactivate()


def test_a_process_that_puts_a_job_has_its_databases_watched(zeo_server):
    with closing(ZEO.DB(zeo_server.address, wait_timeout=PATIENCE)) as database:
        with database.transaction() as connection:
            queue_of(connection).put(len)
        assert client_of(database) in watching._watched


def test_a_process_that_installs_queues_has_its_databases_watched(zeo_server):
    with closing(ZEO.DB(zeo_server.address, wait_timeout=PATIENCE)) as database:
        zc.async_.subscribers.QueueInstaller()(DatabaseOpened(database))
        assert client_of(database) in watching._watched


def client_of(database):
    return database.storage._server.client


def test_a_client_is_watched_once(database):
    zc.async_.zeo.watch(database)
    client = client_of(database)
    watches = [one for one in gc.get_objects() if isinstance(one, watching._Watch)]
    assert len([one for one in watches if one._client is client]) == 1


def test_nothing_is_left_of_a_watch_when_its_database_is_closed(proxy, told):
    # In the midst of an attempt.
    database = ZEO.DB(proxy.address, wait_timeout=PATIENCE)
    client = client_of(database)
    zc.async_.zeo.watch(database)
    proxy.mode = "hang"
    seen = proxy.accepted
    proxy.cut()
    wait_until(lambda: proxy.accepted > seen)
    thread = database.storage._server.thread
    database.close()
    assert not thread.is_alive()
    assert client.loop.is_closed()
    zc.async_.zeo.watch(database)
    assert not told("waited")
    del database, client, thread
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, watching._Watch)]


def test_a_client_that_is_wrapped_in_another_storage_is_watched(zeo_server):
    base = ClientStorage(zeo_server.address, wait_timeout=PATIENCE)
    with closing(ZODB.DB(DemoStorage(base=base))) as database:
        zc.async_.zeo.watch(database)
        assert base._server.client in watching._watched


def test_storages_of_other_kinds_are_left_alone(db):
    zc.async_.zeo.watch(db)
    assert list(watching.client_storages(db.storage)) == []


def test_a_client_of_an_unknown_kind_is_left_alone(told):
    storage = ClientStorage.__new__(ClientStorage)
    storage.__name__ = "strange"
    watching._watch(storage)
    assert told("cannot watch over ZEO storage strange")[0].levelname == "DEBUG"


def test_a_watch_ends_that_does_not_understand_what_it_sees(database, told):
    def spoil(client):
        client.operational = False
        client.protocols = [object()]

    def repair(client):
        client.operational = True
        client.protocols = ()

    in_loop(database, spoil)
    wait_until(lambda: told("cannot watch"))
    time.sleep(INTERVAL * 4)
    in_loop(database, repair)
    assert len(told("cannot watch")) == 1
