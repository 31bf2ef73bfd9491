"""Polls in threads of the reactor."""

import sys
import threading

import pytest

from tests.dispatcher import choosers, work
from tests.dispatcher.conftest import PATIENCE
from zc.async_.dispatcher import schedule
from zc.async_.dispatcher.schedule import LONGEST_GATHERING
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING


@pytest.fixture
def rests(reactor):
    """Whether a dispatcher makes no poll, after the time for which one waits for idle workers."""

    def rests(dispatcher):
        reactor.time_flies(LONGEST_GATHERING)
        return not dispatcher._schedule.polling

    return rests


@pytest.fixture
def threaded(make_dispatcher, install_agent, reactor, settle, rests):
    """A dispatcher that polls in threads of its reactor."""
    install_agent()
    dispatcher = make_dispatcher()
    dispatcher.activate(threaded=True)
    reactor.time_flies(0)
    settle(lambda: dispatcher.polls and rests(dispatcher))
    yield dispatcher
    work.gate.set()
    settle(lambda: rests(dispatcher) or not dispatcher.poller)


def test_polls_can_be_made_in_threads(threaded, put, settle, client, reactor):
    jobs = [put(work.answer) for _ in range(10)]

    def all_completed():
        reactor.time_flies(0.02)
        client.manager.begin()
        return all(job.status == COMPLETED for job in jobs)

    settle(all_completed)


def test_the_reactor_s_thread_is_not_held_up_by_a_poll(
    threaded, put, set_agent, settle, reactor, rests
):
    set_agent(threaded, chooser=choosers.choose_and_wait)
    put(work.answer)
    settle(lambda: "poll" in work.happened)
    assert threaded._schedule.polling
    # What happens meanwhile causes one more poll.
    threaded._schedule.wake()
    threaded._schedule.wake()
    reactor.time_passes()
    assert threaded._schedule.wanted
    work.gate.set()
    settle(lambda: rests(threaded))


def test_a_stop_waits_for_a_poll_in_a_thread_and_hands_back_what_it_claimed(
    threaded, put, set_agent, settle, reactor, client, agents_of
):
    set_agent(threaded, chooser=choosers.choose_and_wait)
    job = put(work.answer)
    settle(lambda: "poll" in work.happened)
    reactor.stop()
    assert reactor.running
    work.gate.set()
    settle(lambda: not reactor.running)
    assert agents_of(threaded).activated is None
    assert list(client.queue) == [job]
    assert dict(job.getRetryPolicy().data) == {}
    assert "answer" not in work.happened


def test_a_stop_does_not_wait_for_a_poll_that_has_not_begun(
    threaded, put, begun, settle, agents_of, reactor, client, rests, monkeypatch
):
    """It waits for some workers to become idle."""
    monkeypatch.setattr(schedule, "BUSY_FOR_LONG", PATIENCE)
    running = [put(work.wait) for _ in range(3)]
    settle(lambda: reactor.time_flies(0.02) or len(work.happened) == 3)
    settle(lambda: rests(threaded))
    job = put(work.answer)
    reactor.time_passes()
    assert threaded._schedule.polling
    assert threaded.deactivate() is None
    assert agents_of(threaded).activated is None
    assert job.status == PENDING
    assert [job.status for job in running] == [ACTIVE] * 3


def test_a_poll_in_a_thread_that_is_ended_is_not_the_last(
    threaded, put, set_agent, settle, reactor, client, monkeypatch, rests
):
    monkeypatch.setattr(threading, "excepthook", lambda args: work.happened.append("ended"))
    set_agent(threaded, chooser=choosers.choose_and_leave)
    job = put(work.answer)
    settle(lambda: "leave" in work.happened and rests(threaded))

    def has_completed():
        reactor.time_flies(1)
        client.manager.begin()
        return job.status == COMPLETED

    settle(has_completed)


def test_by_default_polls_are_made_in_threads_on_the_installed_reactor(
    make_dispatcher, reactor, monkeypatch, settle, rests
):
    dispatcher = make_dispatcher()
    dispatcher.activate()
    assert dispatcher._schedule.threaded is False
    dispatcher.deactivate()
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    other = make_dispatcher()
    other.activate()
    assert other._schedule.threaded is True
    reactor.time_flies(0)
    settle(lambda: other.polls and rests(other))
