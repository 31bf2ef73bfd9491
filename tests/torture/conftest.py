"""Fixtures for tests of the torture itself."""

import contextlib

import pytest

import zc.async_.configure
import zc.async_.testing
from tests.races.parties import make_queue
from tests.torture import work
from tests.torture.torn import Torn


@pytest.fixture
def torn(db, tmp_path, monkeypatch):
    """A database with a record of each kind, whose jobs have ended well, as `Torn`."""
    monkeypatch.setattr(work, "USUAL", 0)
    monkeypatch.setattr(work, "LONG", 0)
    zc.async_.configure.base()
    zc.async_.testing.set_now(zc.async_.testing.BEGINNING)
    make_queue(db)
    with contextlib.closing(Torn(db, tmp_path / "effects")) as torn:
        torn.put()
        torn.work()
        yield torn
