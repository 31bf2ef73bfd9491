"""A dispatcher that has a thread is stopped: by a call, and at the end of the process."""

import logging
import threading
import weakref

import pytest
import transaction
import twisted.internet.error

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
from zc.async_.interfaces import KEY, DatabaseOpened
from zc.async_.stopping import threads


@pytest.fixture
def dispatcher(db):
    """One that was started; it is torn down in the end."""
    zc.async_.configure.base()
    zc.async_.subscribers.queue_installer(DatabaseOpened(db))
    # Without a grace period.
    zc.async_.subscribers.ThreadedDispatcherInstaller()(DatabaseOpened(db))
    dispatcher = zc.async_.dispatcher.get()
    yield dispatcher
    zc.async_.testing.tear_down_dispatcher(dispatcher)


def test_a_stop_waits_until_all_is_handed_back(db, dispatcher):
    zc.async_.testing.get_poll(dispatcher, 0)
    with transaction.manager:
        connection = db.open()
        agents = connection.root()[KEY][""].dispatchers[dispatcher.UUID]
        assert agents.activated
    threads.stop(dispatcher)
    assert not dispatcher.thread.is_alive()
    with transaction.manager:
        assert not agents.activated
    connection.close()
    # Once more changes nothing.
    threads.stop(dispatcher)


def test_a_dispatcher_that_does_not_stop_is_told_of(dispatcher, monkeypatch, caplog):
    with monkeypatch.context() as context:
        context.setattr(dispatcher.reactor, "stop", lambda: None)
        threads.stop(dispatcher, seconds=0.01)
    record = caplog.records[-1]
    assert record.levelno == logging.CRITICAL
    assert str(dispatcher.UUID) in record.getMessage()


def test_those_that_stop_the_same_reactor_do_not_meet(dispatcher):
    stops = [threading.Thread(target=threads.stop, args=(dispatcher,)) for _ in range(3)]
    for thread in stops:
        thread.start()
    for thread in stops:
        thread.join()
    assert not dispatcher.thread.is_alive()
    with pytest.raises(twisted.internet.error.ReactorNotRunning):
        dispatcher.reactor.stop()


def test_at_exit_a_dispatcher_is_stopped_if_it_is_still_there(dispatcher):
    at_exit = threads._exit_handlers[dispatcher]
    at_exit()
    assert not dispatcher.thread.is_alive()
    gone = weakref.ref(at_exit)
    del at_exit
    assert gone() is not None
    threads.forget_exit_handler(dispatcher)
    assert gone() is None
    threads.forget_exit_handler(dispatcher)


def test_an_exit_handler_keeps_no_dispatcher_that_is_gone():
    class Gone:
        pass

    threads._StopAtExit(Gone())()
