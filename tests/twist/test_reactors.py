"""Reactors that other threads wake while they are being closed."""

import threading

from zc.twist.reactors import AnyReactor, close_wakers


def test_a_thread_that_wakes_a_reactor_is_waited_for_before_its_wakers_are_closed():
    reactor = AnyReactor()
    errors = []
    entered, go_on = threading.Event(), threading.Event()
    really_wake = reactor.waker.wakeUp

    def wake():
        entered.set()
        go_on.wait(60)
        really_wake()

    reactor.waker.wakeUp = wake

    def call():
        try:
            reactor.callFromThread(print)
        except OSError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    entered.wait(60)
    closer = threading.Thread(target=close_wakers, args=(reactor,))
    closer.start()
    # Time for it to close them, if nothing kept it from that.
    closer.join(0.1)
    go_on.set()
    caller.join(60)
    closer.join(60)
    assert errors == []
    assert reactor.waker is None


def test_a_thread_that_holds_the_lock_for_long_keeps_nobody_from_waking(monkeypatch):
    monkeypatch.setattr("zc.twist.reactors.LONGEST_CLOSING", 0.01)
    reactor = AnyReactor()
    woken = []
    with reactor.waking:
        other = threading.Thread(target=lambda: woken.append(reactor.wakeUp()))
        other.start()
        other.join(60)
        assert woken == [None]
    close_wakers(reactor)


def test_a_reactor_whose_wakers_are_closed_may_be_called():
    reactor = AnyReactor()
    close_wakers(reactor)
    reactor.callFromThread(print)
    close_wakers(reactor)


def test_a_signal_handler_may_wake_a_reactor_that_is_being_woken():
    reactor = AnyReactor()
    really_wake = reactor.waker.wakeUp
    reactor.waker.wakeUp = lambda: (setattr(reactor.waker, "wakeUp", really_wake), reactor.wakeUp())
    reactor.wakeUp()
    close_wakers(reactor)
