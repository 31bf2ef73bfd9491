"""Ending dispatchers in tests."""

import os
import signal
import threading

import pytest
import transaction

import zc.async_.subscribers
import zc.async_.testing
import zc.async_.testing.teardown
from tests.testing import work
from zc.async_.interfaces import AsyncError
from zc.async_.testing import TearDownDispatcherError, tear_down_dispatcher


def descriptors():
    """How many descriptors this process has open."""
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def impatient():
    """Tearing down gives up at once, until the fixtures that were made before this one end."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(zc.async_.testing.teardown, "PATIENCE_WITH_JOBS", 0.01)
        # Nor does the reactor's thread wait for code that may be about to return.
        context.setattr(zc.async_.dispatcher.leaving, "LAST_MOMENT", 0)
        yield


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("zc.async ")]


def test_a_dispatcher_ends_with_its_threads(dispatcher, put):
    zc.async_.testing.wait_for_result(put(work.answer))
    assert threads()
    tear_down_dispatcher(dispatcher)
    assert not dispatcher.activated
    assert threads() == []
    tear_down_dispatcher(dispatcher)


def test_no_descriptor_is_left_open(db, queue):
    before = descriptors()
    for _ in range(3):
        zc.async_.subscribers.threaded_dispatcher_installer(zc.async_.interfaces.DatabaseOpened(db))
        dispatcher = zc.async_.dispatcher.pop()
        zc.async_.testing.get_poll(dispatcher, 0)
        tear_down_dispatcher(dispatcher)
    assert descriptors() <= before


def test_a_poll_that_is_under_way_in_a_thread_is_waited_for(db, queue, reactor, put):
    dispatcher = zc.async_.dispatcher.Dispatcher(db, reactor)

    def choose_when_stopped(agent):
        begun.set()
        while dispatcher.activated:
            never.wait(0.01)

    begun, never = threading.Event(), threading.Event()
    dispatcher.activate(threaded=True)
    reactor.time_flies(0)
    zc.async_.testing.get_poll(dispatcher, 0)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(zc.async_.agent.Agent, "claimJob", choose_when_stopped)
        # Else the poll may find that nothing has changed, and ask no agent.
        put(work.answer)
        # Another poll may be under way, which has asked already: then the next one does.
        zc.async_.testing.wait_until(begun.is_set, 30, "no poll asked the agent")
        tear_down_dispatcher(dispatcher)
    assert not reactor.running


@pytest.fixture
def default_handlers():
    """The handlers are Python's; whatever measures the coverage may have put one of its own."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_signal_handlers_are_restored(default_handlers, on_real):
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    tear_down_dispatcher(on_real)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert zc.async_.subscribers.signal_handlers == {}


def test_a_job_that_goes_on_is_named(dispatcher, put, gate, impatient):
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job)
    with pytest.raises(TearDownDispatcherError) as caught:
        tear_down_dispatcher(dispatcher)
    assert str(caught.value) == f"\nJob in pool 'main' failed to stop:\n  {job!r}"
    assert len(caught.value.problems) == 1
    assert isinstance(caught.value, AsyncError)
    gate.set()
    # Nobody took the job away from the thread.
    assert zc.async_.testing.wait_for_result(job) == "waited"


def test_a_dispatcher_that_goes_on_is_named(on_real, impatient, monkeypatch):
    zc.async_.testing.get_poll(on_real, 0)
    with monkeypatch.context() as context:
        context.setattr(on_real.reactor, "stop", lambda: None)
        context.setattr(zc.async_.testing.teardown, "PATIENCE", 0.01)
        with pytest.raises(TearDownDispatcherError, match=f"{on_real.UUID}.*failed to stop"):
            tear_down_dispatcher(on_real)
    assert on_real.activated


def test_a_dispatcher_whose_reactor_crashed_can_be_torn_down(on_real, put, queue, identity):
    zc.async_.testing.wait_for_result(put(work.answer))
    on_real.activated = False
    on_real.reactor.callFromThread(on_real.reactor.crash)
    on_real.thread.join(10)
    tear_down_dispatcher(on_real)
    assert threads() == []
    transaction.begin()
    # As after a crash: the database knows nothing of it.
    assert queue.dispatchers[identity].activated


def test_a_virtual_reactor_that_crashed_can_be_torn_down(on_virtual, reactor, put):
    reactor.wait_for(put(work.answer))
    on_virtual.activated = False
    reactor.crash()
    tear_down_dispatcher(on_virtual)
    assert threads() == []


def test_a_grace_period_is_waited_for(on_virtual, reactor, put, gate):
    on_virtual.shutdown_grace_period = 60
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job)
    reactor.callLater(10, gate.set)
    reactor.callLater(20, zc.async_.testing.time_sleep, 0.2)
    tear_down_dispatcher(on_virtual)
    assert zc.async_.testing.wait_for_result(job) == "waited"


def test_a_thread_that_its_pool_has_dropped_is_waited_for(on_real, put, monkeypatch, gate):
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job)
    (worker,) = [thread for thread in threads() if thread.name.endswith("/main")]
    # As when the reactor hears that a thread ends before that has ended.
    worker.pool.ended(worker)
    with monkeypatch.context() as impatient:
        impatient.setattr(zc.async_.testing.teardown, "PATIENCE_WITH_JOBS", 0.01)
        impatient.setattr(zc.async_.dispatcher.leaving, "LAST_MOMENT", 0)
        with pytest.raises(TearDownDispatcherError, match="failed to stop"):
            tear_down_dispatcher(on_real)
    gate.set()
    tear_down_dispatcher(on_real)
    assert not worker.is_alive()
