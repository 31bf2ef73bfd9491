"""A database is closed while a dispatcher works for it."""

import logging
import threading

import pytest
import ZEO
import ZODB
from ZODB.FileStorage import FileStorage

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
from benchmarks import postgres
from benchmarks.workers import wait_until
from tests.dispatcher import work
from tests.dispatcher.conftest import PATIENCE
from tests.races.parties import Client, make_queue
from tests.zeoservers import server
from zc.async_.testing import get_poll, wait_for_start

SAID = "was closed, so it ends"


@pytest.fixture(params=["FileStorage", "ZEO", pytest.param("RelStorage", marks=pytest.mark.slow)])
def open_database(request, tmp_path, base):
    """Opens a database with a queue, as often as is wanted."""
    if request.param == "RelStorage":
        zodb = request.getfixturevalue("zodb")
        with zodb.database() as database:
            make_queue(database)
        yield lambda: postgres.open_database(zodb.dsn)
        return
    if request.param == "ZEO":
        with server(tmp_path) as running:
            yield lambda: ZEO.DB(running.address)
        return

    def open_database():
        return ZODB.DB(FileStorage(str(tmp_path / "Own.fs")))

    make_queue(own := open_database())
    own.close()
    yield open_database


def our_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("zc.async ")}


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "at work"])
def test_it_is_said_once_the_dispatcher_ends_and_another_start_works(open_database, busy, caplog):
    caplog.set_level(logging.INFO)
    before = our_threads()
    database = open_database()
    zc.async_.configure.start(database, poll_interval=0.1)
    dispatcher = zc.async_.dispatcher.get()
    get_poll(dispatcher, 0, PATIENCE)
    if busy:
        client = Client(database)
        job = client.queue.put(work.wait)
        client.manager.commit()
        wait_for_start(job, PATIENCE)
        client.manager.abort()
        client.connection.close()
    database.close()
    wait_until(lambda: not dispatcher.activated, PATIENCE)
    dispatcher.thread.join(PATIENCE)
    assert not dispatcher.thread.is_alive()
    work.gate.set()
    wait_until(lambda: our_threads() <= before, PATIENCE)
    assert caplog.text.count(SAID) == 1
    assert not [r for r in caplog.records if r.levelno >= logging.CRITICAL]
    assert not [r for r in caplog.records if r.exc_info and r.name.startswith("zc.async")]
    zc.async_.configure.stop()

    database = open_database()
    zc.async_.configure.start(database, poll_interval=0.1)
    assert zc.async_.dispatcher.get() is not dispatcher
    client = Client(database)
    another = client.queue.put(work.answer)
    client.manager.commit()

    def completed():
        client.manager.begin()
        return another.status == "completed-status"

    wait_until(completed, PATIENCE)
    client.manager.abort()
    client.connection.close()
    zc.async_.configure.stop()
    database.close()
    assert our_threads() <= before
