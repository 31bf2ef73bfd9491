"""Worker threads, and the pools that keep them.

A `Pool` has the threads of one agent and their tasks; it belongs to the reactor's thread. A
`Worker` is a thread that performs tasks one by one and keeps its connection.
"""

import collections
import inspect
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import transaction

import zc.async_.clock
import zc.async_.relstorage
from zc.async_ import utils
from zc.async_.dispatcher.connections import close_for_worker, open_for_worker
from zc.async_.dispatcher.fence import Fence
from zc.async_.dispatcher.records import JobInfo
from zc.async_.interfaces import COMPLETED, ReassignedError
from zc.async_.running import tries
from zc.async_.storing import detached
from zc.async_.threadlocal import local
from zc.twist import Failure
from zc.twist.showing import show

#: Identifies a job: its oid and the name of its database.
JobId = tuple[bytes, str]


class Task:
    """A claimed job, for a worker to run."""

    #: What the Deferred of the job fired with; None for a job that has not begun.
    value: Any = None
    fired = False
    #: When it was handed to a thread last, by `time.monotonic`.
    handed = 0.0

    def __init__(
        self, job_id: JobId, token: int, info: JobInfo, is_coroutine: bool = False
    ) -> None:
        self.job_id = job_id
        self.token = token
        #: The report about the job; written by the worker while it has the task.
        self.info = info
        #: Whether it takes a place for coroutines.
        self.is_coroutine = is_coroutine
        #: The Deferred of a coroutine that has begun, to cancel it.
        self.coroutine: Any = None
        #: The present step of the coroutine, for a worker to do; None if there is none. Those that
        #: come after it. Only for the reactor's thread, but a worker that has the task does `step`.
        self.step: Any = None
        self.steps: collections.deque[Any] = collections.deque()
        #: The Deferred or coroutine for which the job waits, or None.
        self.deferred: Any = None
        #: Jobs that were completed by this one without running: (oid, name of the database).
        self.completed: list[JobId] = []
        #: The reports about those jobs.
        self.outcomes: dict[JobId, dict[str, Any]] = {}
        #: Whether this thread gave the job up. If the job has not ended and still has this token,
        #: nobody goes on with it.
        self.lost = False
        #: Whether the code of the job has returned and its changes are being committed. Written by
        #: the worker.
        self.ending = False
        #: Whether the thread that had the task has ended.
        self.thread_ended = False

    @property
    def key(self) -> tuple[JobId, int]:
        """The job and its token."""
        return self.job_id, self.token


class Pool:
    """The worker threads of one agent. Only from the reactor's thread, except `threads`."""

    def __init__(self, dispatcher: Any, queue_name: str, agent_name: str) -> None:
        self._dispatcher = dispatcher
        self._inbox: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.queue_name = queue_name
        self.agent_name = agent_name
        #: The threads that have not ended. Replaced, never changed, so that other threads may read.
        self.threads: tuple[Worker, ...] = ()
        #: How many of them have been told to end.
        self._ending = 0
        #: Whether all of them have been told so: then nothing is handed to them any more.
        self.stopped = False
        self._left: list[Task] = []
        #: How many threads the agent wants.
        self._size: float = math.inf
        #: How many of `working` are coroutines.
        self._coroutines_at_work = 0
        #: Tasks handed to threads and not reported back, by job and token: a job may come again
        #: while an old thread still runs it.
        self.working: dict[tuple[JobId, int], Task] = {}
        #: Tasks whose jobs wait for a Deferred.
        self.waiting: dict[tuple[JobId, int], Task] = {}

    @property
    def busy(self) -> int:
        """How many places of the agent are taken."""
        return len(self.working) + len(self.waiting)

    @property
    def coroutines(self) -> int:
        """How many places for coroutines are taken."""
        return self._coroutines_at_work + sum(t.is_coroutine for t in self.waiting.values())

    @property
    def busy_threads(self) -> int:
        """How many places for threads are taken by tasks that were handed to them."""
        return len(self.working) - self._coroutines_at_work

    def handed_since(self, moment: float) -> int:
        """How many of `busy_threads` were handed their tasks after a moment by `time.monotonic`."""
        tasks = self.working.values()
        return sum(task.handed > moment and not task.is_coroutine for task in tasks)

    @property
    def _wanted(self) -> float:
        """How many threads there should be: steps of coroutines wait for one another."""
        return self.busy_threads + min(self._coroutines_at_work, max(1, self._size))

    def tasks(self) -> tuple[dict[tuple[JobId, int], Task], ...]:
        """All tasks, by job and token."""
        return self.working, self.waiting

    def hand(self, task: Task) -> None:
        """Give a task to a thread, a new one if none is idle."""
        self.waiting.pop(task.key, None)
        if task.key not in self.working:
            self._coroutines_at_work += task.is_coroutine
        task.handed = time.monotonic()
        self.working[task.key] = task
        self._inbox.put(task)
        self._start_thread()

    def _start_thread(self) -> None:
        """Start a thread if there are fewer threads than are wanted.

        If the system refuses, another thread of the pool does the task, or one that can be started
        later.
        """
        if len(self.threads) - self._ending >= self._wanted:
            return
        worker = Worker(self._dispatcher, self, self._inbox)
        try:
            worker.start()
        except RuntimeError as error:
            utils.log.error(
                "no thread can be started for agent %r of queue %r (%s): its jobs wait for %s. "
                "Give the process more threads, or the agent a smaller size",
                self.agent_name,
                self.queue_name,
                error,
                "the threads that there are" if self.threads else "a poll that can start one",
            )
            return
        self.threads += (worker,)

    def done(self, task: Task, worker: "Worker") -> None:
        """Note that a thread has reported a task back."""
        self._leave_work(task)
        if task.deferred is not None:
            self.waiting[task.key] = task
        if task.thread_ended:
            self._drop(worker)

    def _leave_work(self, task: Task) -> None:
        if self.working.pop(task.key, None) is not None:
            self._coroutines_at_work -= task.is_coroutine

    def take_step(self, task: Task, step: Any) -> bool:
        """Have a worker do a step of a coroutine, after those before; False if it cannot be."""
        if self.stopped:
            return False
        if task.step is not None:
            task.steps.append(step)
            return True
        if self.waiting.get(task.key) is not task:
            return False
        task.step = step
        self.hand(task)
        return True

    def give_up(self, task: Task) -> None:
        """Wait no more for a Deferred or coroutine."""
        self.waiting.pop(task.key, None)
        if inspect.iscoroutine(task.deferred):
            # It has not begun, or its Deferred would have been fired by its end.
            task.deferred.close()

    def ended(self, worker: "Worker") -> None:
        """Note that a thread that was told to end has ended."""
        self._ending -= 1
        self._drop(worker)

    def _drop(self, worker: "Worker") -> None:
        self.threads = tuple(other for other in self.threads if other is not worker)

    def resize(self, size: int) -> None:
        """End idle threads that the agent no longer needs. Start one that could not be started."""
        self._size = size
        self._start_thread()
        for _thread in range(len(self.threads) - self._ending - max(size, int(self._wanted))):
            self._end_one()

    def _end_one(self) -> None:
        self._ending += 1
        self._inbox.put(None)

    def stop(self) -> list[Task]:
        """Make all threads end after their present task; return the tasks that none has begun.

        Deferreds are no longer waited for.
        """
        self.stopped = True
        self._left += self.waiting.values()
        self.waiting.clear()
        unstarted = []
        while True:
            try:
                task = self._inbox.get_nowait()
            except queue.Empty:
                break
            if task is None:
                self._ending -= 1
                continue
            self._leave_work(task)
            if task.fired or task.deferred is not None:
                self._left.append(task)
            else:
                unstarted.append(task)
        for _thread in range(len(self.threads) - self._ending):
            self._end_one()
        return unstarted

    def take_left(self) -> list[Task]:
        """Take the tasks that `stop` found waiting for a Deferred or coroutine."""
        left, self._left = self._left, []
        return left


class Worker(threading.Thread):
    """A thread that performs tasks."""

    #: The present task, for reports.
    task: Task | None = None

    def __init__(
        self, dispatcher: Any, pool: Pool, inbox: "queue.SimpleQueue[Task | None]"
    ) -> None:
        super().__init__(
            name=f"zc.async {pool.queue_name}/{pool.agent_name.lstrip(chr(0))}", daemon=True
        )
        self.dispatcher = dispatcher
        self.pool = pool
        self._inbox = inbox
        self._fence = Fence()

    def run(self) -> None:
        """Perform tasks until None comes or a job ends the thread."""
        utils.tracelog.info("thread %r (%d) starts", self.name, threading.get_ident())
        try:
            self._work()
        finally:
            utils.tracelog.info("thread %r (%d) ends", self.name, threading.get_ident())

    def _work(self) -> None:
        local.dispatcher = self.dispatcher
        local.agent_name = self.pool.agent_name
        local.fence = self._fence
        transaction.manager.registerSynch(self._fence)
        opening = f"{self.name}: opening a connection"
        db = self.dispatcher.db
        utils.work_on(db)
        connection = utils.never_fail(lambda: open_for_worker(db), opening, transaction.manager)
        try:
            while (task := self._inbox.get()) is not None:
                self.task = task
                try:
                    self._perform(connection, task)
                finally:
                    self.task = None
                    self.dispatcher.report(self.pool, self, task)
                if task.thread_ended:
                    return
            self.dispatcher.reactor.callFromThread(self.pool.ended, self)
        finally:
            if not utils.is_closed(db):
                transaction.abort()
                close_for_worker(connection)

    def _perform(self, connection: Any, task: Task) -> None:
        info = task.info
        info["thread"] = threading.get_ident()
        if info["started"] is None:
            info.begin()
        local.completed, local.task, task.ending = [], task, False
        try:
            job = utils.try_until_reachable(lambda: self._load(connection, task), "loading a job")
            self._fence.enclose(job, task.token)
            if task.step is not None:
                self._do_step(job, task)
            elif task.fired:
                # Whatever happens now, nobody must wait for the old Deferred again.
                task.fired, task.deferred = False, None
                attach = None if task.coroutine is None else _attaching(connection)
                task.deferred = tries.finish_deferred(job, task.token, task.value, attach)
            else:
                info["call"] = show(job)
                task.deferred = tries.run_claimed(job, task.token)
            utils.try_until_reachable(lambda: _note_outcomes(job, task), "looking at a result")
        except ReassignedError as error:
            # If the job still has this token, then nobody goes on with it: see `Task.lost`.
            task.lost = info["reassigned"] = True
            utils.log.error("gave up a job: %s", error)
        except utils.DatabaseClosedError as error:
            task.lost = task.thread_ended = True
            utils.log.error("%s was interrupted: %s", info["call"], error)
        except utils.EXPLOSIVE_ERRORS as error:
            task.lost = task.thread_ended = True
            utils.log.error("%s ended its thread with %r", info["call"], error)
        except Exception as error:
            task.lost = True
            if utils.is_closed(self.dispatcher.db):
                task.thread_ended = True
                utils.log.error("%s was interrupted: its database was closed", info["call"])
            else:
                utils.log.critical(
                    "%s could not be brought to an end", info["call"], exc_info=error
                )
        finally:
            self._end_perform(connection, task)

    def _do_step(self, job: Any, task: Task) -> None:
        if not task.step.is_wanted:
            return
        try:
            task.step.do(job, task.token)
        except utils.EXPLOSIVE_ERRORS as error:
            task.step.fail(error)
            raise
        except BaseException as error:
            # The coroutine gets it, though the job may be somebody else's by now: then it will hear
            # that again when it wants to store something.
            task.step.fail(error)

    def _end_perform(self, connection: Any, task: Task) -> None:
        self._fence.open()
        local.task = None
        if utils.is_closed(self.dispatcher.db):
            return
        # Without duplicates: a try that had a conflict has listed them too.
        task.completed = list(dict.fromkeys(job_id(job) for job in local.completed or ()))
        if self._fence.in_transaction:
            transaction.abort()
        zc.async_.relstorage.rest(connection)
        if task.lost:
            # Load all objects again: the cache may have a broken one, as after an oid given twice.
            connection.cacheMinimize()

    def _load(self, connection: Any, task: Task) -> Any:
        transaction.begin()
        oid, database_name = task.job_id
        job = connection.get_connection(database_name).get(oid)
        job._p_activate()
        return job


def _attaching(connection: Any) -> Callable[[Any], Any]:
    """Makes a value that a coroutine has returned one for the thread of a connection."""
    return lambda value: detached.attach(value, connection)


def _note_outcomes(job: Any, task: Task) -> None:
    """Report what has become of the job of a task, and of those that it completed."""
    if job.status == COMPLETED:
        task.info.end(_outcome(job))
    task.outcomes = {job_id(other): _outcome(other) for other in local.completed or ()}


def _outcome(job: Any) -> dict[str, Any]:
    """The report about a job whose result is known."""
    return {
        "completed": zc.async_.clock.naive_now(),
        "result": utils.custom_repr(job.result),
        "failed": isinstance(job.result, Failure),
    }


def job_id(job: Any) -> JobId:
    """Identifies a job across connections."""
    return job._p_oid, job._p_jar.db().database_name
