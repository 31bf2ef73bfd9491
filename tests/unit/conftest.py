"""Fixtures of the tests of jobs and queues: connections, the clock, agents."""

import datetime
import uuid

import pytest

import zc.async_.clock
import zc.async_.queue
from tests.unit import calls


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.time = zc.async_.clock.to_microseconds(datetime.datetime(2030, 1, 1, 12))

    def __call__(self):
        return self.time

    @property
    def now(self):
        return zc.async_.clock.to_datetime(self.time)

    def advance(self, **interval):
        """Move on by the arguments of a timedelta; return the new time."""
        self.time += zc.async_.clock.interval_microseconds(datetime.timedelta(**interval))
        return self.now

    def watch(self, look, seconds=61):
        """Move on, and look again and again meanwhile, as an observer does."""
        for _second in range(seconds):
            self.advance(seconds=1)
            look()

    def after(self, **interval):
        """The time in a while."""
        return self.now + datetime.timedelta(**interval)


@pytest.fixture
def clock(monkeypatch):
    """The clock of the package, standing."""
    clock = Clock()
    monkeypatch.setattr(zc.async_.queue.queue, "_last_key", 0)
    zc.async_.clock.replace_source(clock)
    yield clock
    zc.async_.clock.replace_source(None)


@pytest.fixture
def connect(db):
    """Opens connections, as `calls.Client`; they are closed at the end."""
    clients = []

    def connect(database=None):
        client = calls.Client(db if database is None else database)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(clock, connect):
    """A connection to a database that has an empty queue."""
    client = connect()
    calls.make_queue(client)
    return client


@pytest.fixture
def queue(client):
    """The queue of `client`."""
    return client.queue


@pytest.fixture
def other(client, connect):
    """A second connection."""
    return connect()


@pytest.fixture
def elsewhere(other, monkeypatch):
    """A second connection, which functions of tests find as `calls.elsewhere`."""
    monkeypatch.setattr(calls, "elsewhere", other)
    return other


@pytest.fixture
def uuid_1():
    """The UUID of a dispatcher."""
    return uuid.UUID(int=1)


@pytest.fixture
def uuid_2():
    """The UUID of another dispatcher."""
    return uuid.UUID(int=2)


@pytest.fixture
def agent(client, uuid_1):
    """An agent of an active dispatcher, in the connection of `client`."""
    return client.agent(uuid_1)


@pytest.fixture
def happened():
    """What functions of `calls` did."""
    calls.happened.clear()
    yield calls.happened
    calls.happened.clear()


@pytest.fixture
def to_raise():
    """What `calls.raise_next` is to raise."""
    calls.to_raise.clear()
    yield calls.to_raise
    calls.to_raise.clear()


@pytest.fixture
def sleeps(monkeypatch):
    """The seconds that somebody wanted to sleep; nobody does, and nobody tries for ever."""
    seconds = []

    def sleep(duration):
        seconds.append(duration)
        assert len(seconds) < 200, "tried over without end"

    monkeypatch.setattr("time.sleep", sleep)
    return seconds
