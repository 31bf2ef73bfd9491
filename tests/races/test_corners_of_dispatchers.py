"""Dispatchers with threads in unusual places, and what they remember.

Each of these went wrong once.
"""

import threading
import uuid

import pytest
import ZODB
from ZODB.FileStorage import FileStorage

import zc.async_.testing
import zc.async_.threadlocal
from tests.races import parties
from tests.races.parties import nothing
from zc.async_ import local
from zc.async_.agent import Agent, history
from zc.async_.agent.history import SEGMENT_SIZE, Completed
from zc.async_.clock import to_datetime
from zc.async_.dispatcher import Dispatcher
from zc.async_.dispatcher.pool import Pool, Task, Worker
from zc.async_.dispatcher.records import MOST_ACTIVE, Records
from zc.async_.interfaces import COMPLETED

#: Real seconds that threads are given.
PATIENCE = 90

#: Holds `ask_in_vain` back while it is clear.
gate = threading.Event()


class UnopenedDB(ZODB.DB):
    """Has no connections for workers as long as there are `errors`."""

    errors: tuple = ()

    def open(self, *args, **kwargs):
        if self.errors and threading.current_thread().name == "zc.async /main":
            error, *self.errors = self.errors
            raise error
        return super().open(*args, **kwargs)


@pytest.fixture
def database(tmp_path):
    database = UnopenedDB(FileStorage(str(tmp_path / "Data.fs")))
    parties.make_queue(database)
    yield database
    database.close()


@pytest.fixture
def dispatcher(database, client, reactor):
    """A dispatcher on the virtual reactor, with an agent of size 1."""
    dispatcher = Dispatcher(database, reactor, uuid=uuid.uuid4(), shutdown_grace_period=100)
    client.manager.begin()
    client.queue.dispatchers.register(dispatcher.UUID)
    client.queue.dispatchers[dispatcher.UUID]["main"] = Agent(size=1)
    client.manager.commit()
    dispatcher.activate()
    yield dispatcher
    gate.set()
    zc.async_.testing.tear_down_dispatcher(dispatcher)


# -- workers


async def return_seven():
    return 7


async def return_unawaited():
    return return_seven()


def test_a_worker_is_given_back_by_a_coroutine_of_a_coroutine(client, dispatcher, reactor):
    job, behind = client.queue.put(return_unawaited), client.queue.put(nothing)
    client.manager.commit()
    reactor.wait_for(job, behind)
    assert (job.status, job.result, behind.status) == (COMPLETED, 7, COMPLETED)
    assert dispatcher.queues[""]["main"].busy == 0


def test_a_worker_that_gets_no_connection_for_a_while_performs_its_task_then(
    client, database, dispatcher, reactor, monkeypatch
):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    database.errors = (OSError("too many open files"), ValueError("something else"))
    jobs = [client.queue.put(nothing) for _number in range(2)]
    client.manager.commit()
    reactor.wait_for(*jobs)
    assert [job.status for job in jobs] == [COMPLETED] * 2
    assert not database.errors
    # In pieces, so that it ends when the database is closed.
    assert sum(seconds for seconds in waits if seconds >= 1) == 5 + 10
    assert dispatcher.queues[""]["main"].busy == 0


def ask_in_vain():
    """Ask, while the dispatcher stops, for an annotation that never comes."""
    gate.wait(PATIENCE)
    return local.getLiveAnnotation("answer", default="none", timeout=60, poll=50)


def test_who_waits_for_an_annotation_does_not_spin_during_a_grace_period(
    client, dispatcher, reactor, monkeypatch
):
    looks = []
    look_up = zc.async_.threadlocal._look_up

    def count(*args):
        looks.append(args)
        # Somebody who spins would never end, since time stands.
        if len(looks) > 10:
            raise AssertionError("does not wait between its looks")
        return look_up(*args)

    monkeypatch.setattr(zc.async_.threadlocal, "_look_up", count)
    gate.clear()
    job = client.queue.put(ask_in_vain)
    client.manager.commit()
    reactor.time_flies(0)
    stopped = dispatcher.deactivate()
    gate.set()
    for seconds in (50, 10):
        assert reactor.wait_until_asked(PATIENCE)
        reactor.time_flies(seconds)
    while not stopped.called:
        assert reactor.wait_until_asked(PATIENCE)
        reactor.time_passes()
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, "none")
    assert len(looks) == 3


# -- tasks of one job


@pytest.fixture
def pool(monkeypatch):
    """A pool whose threads are never started."""
    monkeypatch.setattr(Worker, "start", lambda self: None)
    return Pool(None, "", "main")


@pytest.mark.parametrize("deferred", [None, object()])
def test_a_job_that_is_claimed_again_does_not_hide_its_old_run(pool, deferred):
    old, new = (Task((b"job", "unnamed"), token, {}) for token in (1, 2))
    pool.hand(old)
    pool.hand(new)
    assert (pool.busy, len(pool.threads)) == (2, 2)
    old.deferred = deferred
    pool.done(old, pool.threads[0])
    assert list(pool.working.values()) == [new]
    assert list(pool.waiting.values()) == ([] if deferred is None else [old])
    pool.done(new, pool.threads[1])
    assert pool.working == {}


# -- what is remembered


def test_what_is_told_of_jobs_does_not_grow_though_many_never_end():
    """They waited for others, say, that another process ran."""
    records = Records(polls_size=400, jobs_size=200)
    for number in range(5000):
        completed = None if number < MOST_ACTIVE or number % 2 else "now"
        records.new_job((number, ""), {"completed": completed, "reassigned": False})
    assert len(records._jobs) <= 2 * 200 + MOST_ACTIVE
    assert records.job(4999, "")["completed"] is None
    with pytest.raises(KeyError):
        records.job(0, "")


class Stopwatch:
    """A clock that stands until it is set."""

    time = 10_000 * history.PERIOD + history.PERIOD // 2

    def __call__(self):
        return self.time


@pytest.fixture
def stopwatch(clock):
    """The clock of the package, in place of the usual one of these tests."""
    stopwatch = Stopwatch()
    zc.async_.clock.replace_source(stopwatch)
    return stopwatch


SECOND = 1_000_000


@pytest.mark.parametrize("jump", [0, -1, -600 * SECOND, -2 * history.PERIOD])
def test_segments_of_the_history_stay_short_though_the_clock_stands_or_is_set_back(stopwatch, jump):
    completed = Completed()
    first = stopwatch.time
    completed.add(-1)
    stopwatch.time += jump
    for number in range(500):
        completed.add(number)
    # When the clock has come up again, all is as usual.
    stopwatch.time = first + SECOND
    for number in range(500, 600):
        completed.add(number)
        stopwatch.time += 1

    newest_first = [*range(599, -1, -1), -1]
    assert list(completed) == newest_first
    assert len(completed) == len(newest_first)
    assert (completed.first(), completed.last()) == (599, -1)
    segments = [s for bucket in completed._buckets for s in bucket.segments.values()]
    assert max(len(segment.entries) for segment in segments) <= SEGMENT_SIZE
    at_first, later = to_datetime(first), to_datetime(first + SECOND + 50)
    assert list(completed.iter(at_first)) == newest_first[100:]
    assert list(completed.iter(later)) == newest_first[49:]
    assert list(completed.iter(None, at_first)) == newest_first[:100]
    assert list(completed.iter(later, at_first)) == newest_first[49:100]
    assert (completed.first(at_first), completed.last(at_first)) == (499, 500)
    assert (completed.first(later), completed.last(later)) == (550, 551)
