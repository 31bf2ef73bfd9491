"""Timers on reactors, whatever clock these go by."""

import threading

import pytest
from twisted.internet.task import Clock

from zc.async_.dispatcher import timers
from zc.async_.dispatcher.timers import Timers


class WallClockReactor(Clock):
    """Counts by a clock that can be set; calls of other threads are made when asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.come = threading.Event()

    def callFromThread(self, call, *args):
        self.asked.append((call, args))
        self.come.set()

    def make_asked(self):
        while self.asked:
            call, args = self.asked.pop()
            call(*args)


@pytest.fixture
def now(monkeypatch):
    """Seconds by the monotonic clock, in a list."""
    now = [1000.0]
    monkeypatch.setattr(timers.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def reactor():
    return WallClockReactor()


@pytest.fixture
def make(reactor):
    made = Timers(reactor)
    yield made
    made.cancel_all()
    made.stop()
    if made._thread is not None:
        made._thread.join(20)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """The thread looks often."""
    monkeypatch.setattr(timers, "LOOK_INTERVAL", 0.01)


def test_a_timer_whose_reactor_has_lost_time_is_called_all_the_same(reactor, make, now):
    called = []
    make.set("poll", 5, lambda: called.append(1))
    # The clock was set back: for the reactor, no time passes.
    now[0] += 5.6
    assert reactor.come.wait(20)
    reactor.make_asked()
    assert called == [1]
    assert not make.is_set("poll")
    # Nor does it come again when the reactor gets there.
    reactor.advance(3600)
    reactor.make_asked()
    assert called == [1]


def test_a_timer_that_comes_too_early_is_set_again_for_the_rest(reactor, make, now):
    called = []
    make.set("grace", 60, lambda: called.append(1))
    now[0] += 10
    # The clock was set forward.
    reactor.advance(3600)
    assert called == []
    assert make.is_set("grace")
    now[0] += 50
    reactor.advance(50)
    assert called == [1]


def test_a_timer_is_replaced_by_another_of_its_name_and_can_be_cancelled(reactor, make, now):
    called = []
    make.set("poll", 1, lambda: called.append("first"))
    make.set("poll", 2, lambda: called.append("second"))
    make.set("other", 2, lambda: called.append("other"))
    make.cancel("other")
    now[0] += 2
    reactor.advance(2)
    assert called == ["second"]
