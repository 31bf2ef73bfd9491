"""The worker threads of an agent: what decides about them, and the threads themselves."""

import logging
import queue
import threading

import pytest
import transaction
import ZODB.utils

from tests.dispatcher import work
from tests.races import parties
from zc.async_ import local
from zc.async_.dispatcher import pool as pool_module
from zc.async_.dispatcher.pool import Pool, Task, Worker, job_id
from zc.async_.dispatcher.records import JobInfo
from zc.async_.interfaces import ACTIVE, COMPLETED
from zc.async_.job import Job
from zc.async_.testing import Reactor

#: Real seconds that a thread is given.
PATIENCE = 90


def make_info():
    return {"call": None, "completed": None, "reassigned": False, "started": None, "thread": None}


def task(number):
    """A task that is never performed."""
    return Task((ZODB.utils.p64(number), "unnamed"), 1, JobInfo(make_info()))


# -- the pool, without threads


@pytest.fixture
def pool(monkeypatch):
    """A pool whose threads are never started."""
    monkeypatch.setattr(Worker, "start", lambda self: None)
    return Pool(None, "", "main")


def inbox(pool):
    """What the threads of a pool would find."""
    found = []
    while not pool._inbox.empty():
        found.append(pool._inbox.get_nowait())
    return found


def test_a_new_pool_is_idle(pool):
    assert (pool.busy, pool.threads, pool.working, pool.waiting) == (0, (), {}, {})


def test_a_task_gets_a_thread_if_none_is_idle(pool):
    first, second, third = map(task, range(3))
    pool.hand(first)
    pool.hand(second)
    assert len(pool.threads) == 2
    pool.done(first, pool.threads[0])
    pool.hand(third)
    assert len(pool.threads) == 2
    assert inbox(pool) == [first, second, third]
    assert pool.busy == 2


def test_a_task_waits_for_the_next_poll_if_the_system_refuses_a_thread(pool, monkeypatch, caplog):
    first, second = map(task, range(2))

    def refuse(worker):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Worker, "start", refuse)
        pool.hand(first)
        assert (pool.threads, pool.busy) == ((), 1)
        assert "jobs wait for a poll that can start one" in caplog.text
    pool.resize(5)
    assert len(pool.threads) == 1
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "start", refuse)
        pool.hand(second)
    assert "jobs wait for the threads that there are" in caplog.text
    assert len(pool.threads) == 1
    assert inbox(pool) == [first, second]


def test_threads_are_named_for_queue_and_agent(pool):
    pool.hand(task(1))
    assert [thread.name for thread in pool.threads] == ["zc.async /main"]
    assert all(thread.daemon for thread in pool.threads)


def test_a_job_that_waits_for_a_deferred_has_a_place_and_no_thread(pool):
    first, second = task(1), task(2)
    pool.hand(first)
    first.deferred = object()
    pool.done(first, pool.threads[0])
    assert (pool.busy, pool.working) == (1, {})
    assert list(pool.waiting.values()) == [first]
    # So the thread is free for another.
    pool.hand(second)
    assert len(pool.threads) == 1
    assert pool.busy == 2
    # It has both only for as long as that takes.
    pool.hand(first)
    assert pool.waiting == {}
    assert (pool.busy, len(pool.threads)) == (2, 2)


def test_a_thread_that_a_job_ended_is_replaced(pool):
    first = task(1)
    pool.hand(first)
    first.thread_ended = True
    (thread,) = pool.threads
    pool.done(first, thread)
    assert pool.threads == ()
    pool.hand(task(2))
    assert len(pool.threads) == 1
    assert pool.threads != (thread,)


def test_a_smaller_pool_ends_idle_threads_and_no_busy_ones(pool):
    tasks = [task(number) for number in range(4)]
    for one in tasks:
        pool.hand(one)
    inbox(pool)
    pool.resize(1)
    assert inbox(pool) == []
    for one, thread in zip(tasks[:2], pool.threads[:2], strict=True):
        pool.done(one, thread)
    pool.resize(1)
    assert inbox(pool) == [None] * 2
    # They have been told already.
    pool.resize(1)
    assert inbox(pool) == []
    for thread in pool.threads[:2]:
        pool.ended(thread)
    assert len(pool.threads) == 2
    for one, thread in zip(tasks[2:], pool.threads, strict=True):
        pool.done(one, thread)
    pool.resize(0)
    assert inbox(pool) == [None] * 2


def test_a_larger_pool_keeps_idle_threads(pool):
    one = task(1)
    pool.hand(one)
    pool.done(one, pool.threads[0])
    inbox(pool)
    pool.resize(5)
    assert inbox(pool) == []
    assert len(pool.threads) == 1


def test_a_thread_that_is_to_end_takes_no_more_tasks(pool):
    first, second = task(1), task(2)
    pool.hand(first)
    pool.done(first, pool.threads[0])
    pool.resize(0)
    pool.hand(second)
    assert len(pool.threads) == 2
    pool.ended(pool.threads[0])
    assert len(pool.threads) == 1


def test_a_stopped_pool_gives_back_what_no_thread_has_begun(pool):
    tasks = [task(number) for number in range(3)]
    for one in tasks:
        pool.hand(one)
    assert pool._inbox.get_nowait() is tasks[0]
    assert pool.stop() == tasks[1:]
    assert inbox(pool) == [None] * 3
    assert list(pool.working.values()) == tasks[:1]


def test_a_stopped_pool_does_not_tell_threads_twice_to_end(pool):
    tasks = [task(number) for number in range(3)]
    for one in tasks:
        pool.hand(one)
    inbox(pool)
    for one, thread in zip(tasks, pool.threads, strict=True):
        pool.done(one, thread)
    pool.resize(1)
    assert pool.stop() == []
    assert inbox(pool) == [None] * 3
    assert pool.stop() == []
    assert inbox(pool) == []


def test_a_job_whose_deferred_fired_has_begun(pool):
    """So it is not handed back as unstarted: what it did before would be done twice, unasked."""
    one = task(1)
    one.fired = True
    pool.hand(one)
    assert pool.stop() == []
    assert pool.busy == 0


def test_a_stopped_pool_waits_for_no_deferred(pool):
    """What fires after the stop is for nobody; a dispatcher that starts again has all places."""
    one = task(1)
    pool.hand(one)
    one.deferred = object()
    pool.done(one, pool.threads[0])
    pool.stop()
    assert pool.busy == 0


# -- the threads


class Owner:
    """What threads ask of their dispatcher."""

    def __init__(self, database):
        self.db = database
        self.UUID = None
        self.reactor = Reactor()
        self.reports = queue.Queue()

    def report(self, pool, worker, task):
        self.reports.put((pool, worker, task))

    def ended(self):
        """Have the pool hear of threads that ended."""
        self.reactor.running = True
        self.reactor.time_passes()
        self.reactor.running = False


@pytest.fixture
def owner(database):
    return Owner(database)


@pytest.fixture
def threads(owner):
    """A pool with real threads, which end in the end."""
    pool = Pool(owner, "", "main")
    yield pool
    work.gate.set()
    pool.stop()
    for thread in pool.threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def dispatcher(database):
    """Claims jobs."""
    dispatcher = parties.Dispatcher(database)
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def run(dispatcher, put, threads, owner):
    """Puts a job, has it claimed and performed by a thread, and returns job and task."""

    def run(item, **options):
        job = put(item, **options)
        (claimed,) = dispatcher.claim()
        task = Task(claimed.job_id, claimed.token, JobInfo(make_info()))
        perform(threads, owner, task)
        job._p_jar.transaction_manager.begin()
        return job, task

    return run


def perform(threads, owner, task):
    """Have a thread perform a task."""
    threads.hand(task)
    pool, worker, reported = owner.reports.get(timeout=PATIENCE)
    assert (pool, reported) == (threads, task)
    threads.done(task, worker)


def test_a_thread_runs_a_job_and_tells_of_it(run, threads):
    job, task = run(work.thread_id)
    assert job.status == COMPLETED
    assert job.result == threads.threads[0].ident
    assert task.info["thread"] == job.result
    assert task.info["call"] == repr(job)
    assert task.info["result"] == str(job.result)
    assert task.info["failed"] is False
    assert task.info["started"] <= task.info["completed"]
    assert (task.lost, task.thread_ended, task.deferred) == (False, False, None)


def test_a_failure_is_told(run):
    job, task = run(work.fail)
    assert task.info["failed"] is True
    assert task.info["result"] == repr(job.result)
    assert not task.lost


def test_a_thread_runs_one_task_after_the_other_on_one_connection(run, threads, database):
    before = len(database.connectionDebugInfo())
    results = {run(work.thread_id)[0].result for _ in range(5)}
    assert results == {threads.threads[0].ident}
    assert len(database.connectionDebugInfo()) <= before + 1


def test_a_thread_tells_the_job_where_it_is(run, owner):
    job, _task = run(work.surroundings)
    assert job.result == ("main", None, True)
    assert local.dispatcher is None


def test_the_task_at_hand_is_shown_while_it_is(run, threads, dispatcher, put, owner):
    run(work.answer)
    (thread,) = threads.threads
    assert thread.task is None
    put(work.wait)
    (claimed,) = dispatcher.claim()
    task = Task(claimed.job_id, claimed.token, JobInfo(make_info()))
    threads.hand(task)
    while thread.task is None:
        threading.Event().wait(0.001)
    assert thread.task is task
    work.gate.set()
    owner.reports.get(timeout=PATIENCE)
    assert thread.task is None


def test_a_job_with_another_token_is_given_up(dispatcher, put, threads, owner, client, caplog):
    job = put(client.root["counter"].increase)
    (claimed,) = dispatcher.claim()
    task = Task(claimed.job_id, claimed.token - 1, JobInfo(make_info()))
    perform(threads, owner, task)
    assert task.lost
    assert task.info["reassigned"]
    assert "gave up a job" in caplog.text
    client.manager.begin()
    assert (job.status, client.root["counter"].count) == (ACTIVE, 0)


def test_a_job_that_is_reassigned_meanwhile_cannot_commit_by_itself(run, client):
    def reassign():
        client.manager.begin()
        (job,) = client.queue.dispatchers.values()[0]["main"]
        job.claim_token += 1
        client.manager.commit()

    client.manager.begin()
    work.hooks.append(reassign)
    job, task = run(client.root["counter"].increase_and_commit)
    assert (job.status, client.root["counter"].count) == (ACTIVE, 0)
    assert work.happened == ["increase"]
    assert task.lost


def test_a_job_that_leaves_ends_its_thread_and_is_lost(run, threads, owner, caplog):
    job, task = run(work.leave)
    assert task.lost
    assert task.thread_ended
    assert threads.threads == ()
    assert job.status == ACTIVE
    assert "ended its thread with SystemExit()" in caplog.text
    _job, again = run(work.answer)
    assert not again.lost


def test_a_job_that_cannot_be_loaded_is_lost_and_logged(threads, owner, caplog):
    one = Task((ZODB.utils.p64(999), "unnamed"), 1, JobInfo(make_info()))
    perform(threads, owner, one)
    assert one.lost
    assert not one.thread_ended
    (record,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert "could not be brought to an end" in record.getMessage()
    assert len(threads.threads) == 1


def test_what_a_job_left_uncommitted_is_gone_before_the_next(run, dispatcher, put, client):
    run(work.answer)
    first, _task = run(client.root["counter"].increase)
    assert first.result == 1
    assert client.root["counter"].count == 1


def test_between_jobs_a_thread_has_no_transaction(run, threads, monkeypatch):
    run(work.answer)
    seen = []
    perform_ = Worker._perform

    def look(self, connection, task):
        seen.append((transaction.manager.manager._txn, self._fence.in_transaction))
        perform_(self, connection, task)

    monkeypatch.setattr(pool_module.Worker, "_perform", look)
    run(work.fail)
    assert seen == [(None, False)]


def test_jobs_that_a_job_completes_are_told_once_each(run, dispatcher, put, threads, owner, client):
    """The outer job has the result of the inner one, though another task had it."""
    outer, first = run(work.return_job)
    assert outer.status == ACTIVE
    assert first.info["completed"] is None
    (claimed,) = dispatcher.claim()
    second = Task(claimed.job_id, claimed.token, JobInfo(make_info()))
    perform(threads, owner, second)
    assert second.completed == [job_id(outer)]
    assert second.outcomes[job_id(outer)]["result"] == "42"
    client.manager.begin()
    assert outer.result == 42


def test_a_completion_that_met_a_conflict_is_told_once(
    run, dispatcher, put, threads, owner, client
):
    outer, _task = run(return_job_that_waits)
    (claimed,) = dispatcher.claim()
    inner = Task(claimed.job_id, claimed.token, JobInfo(make_info()))
    work.hooks.append(lambda: edit(client, outer))
    perform(threads, owner, inner)
    client.manager.begin()
    assert outer.result == 42
    assert inner.completed == [job_id(outer)]


def edit(client, job):
    """Change a job meanwhile."""
    client.manager.begin()
    client.same(job).failure_log_level = 10
    client.manager.commit()


class Waiting(Job):
    """Lets another party act while it takes over the result of the other job."""

    def receiveResult(self, result):
        super().receiveResult(result)
        work.call_hook()


def return_job_that_waits():
    """Wait for another job, as a `Waiting` one."""
    local.getJob().__class__ = Waiting
    return local.getQueue().put(Job(work.answer))


def test_a_job_with_a_deferred_is_performed_in_two_parts(run, threads, owner, client):
    job, task = run(work.defer)
    assert task.deferred is work.deferreds[0]
    assert job.status == ACTIVE
    assert task.info["completed"] is None
    started = task.info["started"]
    task.value, task.fired = 42, True
    perform(threads, owner, task)
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, 42)
    assert task.deferred is None
    assert task.info["result"] == "42"
    assert task.info["started"] == started


def test_a_thread_that_is_told_to_end_says_so_and_closes_its_connection(run, threads, owner):
    run(work.answer)
    (thread,) = threads.threads
    before = open_connections(owner.db)
    threads.stop()
    thread.join(PATIENCE)
    owner.ended()
    assert threads.threads == ()
    assert open_connections(owner.db) == before - 1


def open_connections(database):
    return sum(1 for info in database.connectionDebugInfo() if info["opened"])
