"""A database in a file with an empty queue, the parties that use it, and a clock."""

import logging

import pytest

import zc.async_.clock
from tests import storages
from tests.races import parties


@pytest.fixture(autouse=True)
def forget():
    """Nothing is left for the next test."""
    yield
    parties.done.clear()
    parties.to_raise.clear()
    parties.set_hook(None)


class Clock:
    """The time of the system, and what was let pass in addition."""

    passed = 0

    def __call__(self):
        return zc.async_.clock._system_microseconds() + self.passed

    def advance(self, seconds):
        """Let time pass; none that a real clock would notice."""
        self.passed += round(seconds * 1_000_000)


@pytest.fixture
def clock():
    """The clock of the package."""
    clock = Clock()
    zc.async_.clock.replace_source(clock)
    yield clock
    zc.async_.clock.replace_source(None)


@pytest.fixture(params=storages.KINDS)
def database(request, tmp_path):
    """A database with an empty queue."""
    with storages.opened(request.param, request, tmp_path) as database:
        parties.make_queue(database)
        yield database


@pytest.fixture
def client(database):
    client = parties.Client(database)
    yield client
    client.close()


@pytest.fixture
def other(database):
    """A second client, to act in the middle of what others do."""
    other = parties.Client(database)
    yield other
    other.close()


@pytest.fixture
def make_dispatcher(database):
    """Makes dispatchers; they are closed in the end."""
    dispatchers = []

    def make_dispatcher(**options):
        dispatchers.append(parties.Dispatcher(database, **options))
        return dispatchers[-1]

    yield make_dispatcher
    for dispatcher in dispatchers:
        dispatcher.close()


@pytest.fixture
def dispatcher(make_dispatcher):
    return make_dispatcher()


@pytest.fixture
def sibling(make_dispatcher):
    return make_dispatcher()


@pytest.fixture
def told(caplog):
    """Our messages of ERROR and above since this was last called."""

    def told():
        records = [record for record in caplog.records if record.name == "zc.async.events"]
        messages = [record.getMessage() for record in records if record.levelno >= logging.ERROR]
        caplog.clear()
        return messages

    return told
