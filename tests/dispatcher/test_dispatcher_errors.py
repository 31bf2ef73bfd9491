"""What the dispatcher does about errors of its own."""

import uuid

import pytest
from twisted.internet.selectreactor import SelectReactor

import zc.async_.dispatcher


def test_a_poll_that_cannot_begin_is_not_the_last(db, monkeypatch):
    dispatcher = zc.async_.dispatcher.Dispatcher(db, SelectReactor(), uuid=uuid.uuid4())
    dispatcher.activated = True
    polls = []
    monkeypatch.setattr(dispatcher._returns, "take", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dispatcher._schedule.poll()
    monkeypatch.setattr(dispatcher._returns, "take", lambda: None)
    monkeypatch.setattr(dispatcher._schedule, "_begin", lambda: polls.append(True))
    dispatcher._schedule.poll()
    assert polls == [True]
