"""The first poll of a dispatcher, when something is in its way."""

import logging
import uuid

import pytest

import zc.async_.dispatcher
from tests.dispatcher import work
from zc.async_.dispatcher import session


def test_an_error_of_the_database_at_the_start_is_logged_and_the_next_poll_tries_again(
    make_dispatcher, reactor, monkeypatch, caplog
):
    dispatcher = make_dispatcher()
    monkeypatch.setattr(session, "Poller", lambda *args: 1 / 0)
    dispatcher.activate()
    reactor.time_flies(0)
    assert "cannot open the database" in caplog.text
    monkeypatch.undo()
    reactor.time_flies(5)
    assert dispatcher.polls[0][""] == {}


def test_what_ends_the_thread_at_the_start_is_no_end_of_the_polls(
    make_dispatcher, reactor, monkeypatch
):
    def end_thread(*args):
        raise KeyboardInterrupt

    dispatcher = make_dispatcher()
    monkeypatch.setattr(session, "Poller", end_thread)
    dispatcher.activate()
    with pytest.raises(KeyboardInterrupt):
        reactor.time_flies(0)
    monkeypatch.undo()
    reactor.time_flies(5)
    assert dispatcher.polls[0][""] == {}


def test_another_process_with_this_uuid_is_told_of(
    dispatcher, start_dispatcher, put, completed, caplog
):
    zc.async_.dispatcher.pop(dispatcher.UUID)
    other = start_dispatcher(uuid=uuid.UUID(bytes=dispatcher.UUID.bytes))
    assert other.polls[0] == {"": None}
    assert [r for r in caplog.records if r.levelno == logging.ERROR]
    completed(put(work.answer))
    assert other.getStatistics()["started"] == 0
    other.deactivate()
    zc.async_.dispatcher.pop(other.UUID)
