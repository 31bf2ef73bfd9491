"""The dispatcher: polls, hands jobs to worker threads, and sleeps as long as it may.

It lives in the thread of its reactor. Other threads - workers, committing threads, the network
thread of ZEO - do no more than add to `_reports` and call `_wake`, which merges any number of
wishes to poll into one call in the reactor's thread.
"""

import collections
import contextlib
import sys
import threading
import time
import uuid as uuid_module
from collections.abc import Collection
from typing import Any

import zope.component
import zope.interface
from twisted.internet.defer import Deferred

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.zeo
from zc.async_ import utils
from zc.async_.dispatcher import reactors, wakeup
from zc.async_.dispatcher.plans import SYSTEM, AgentKey, Claimed, Outcome, Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.pool import Pool, Task, Worker
from zc.async_.dispatcher.records import JobInfo, Records, reported
from zc.async_.dispatcher.reports import Reports
from zc.async_.dispatcher.timers import Timers
from zc.async_.process import liveness, registry
from zc.async_.running import awaiting

#: Connections beyond those of workers: the poller's, and some for live annotations.
SPARE_CONNECTIONS = 4

#: Seconds between two polls of a storage that does not say when something was committed.
LOOK_INTERVAL = 0.2

#: Seconds for which a poll waits at most for more workers to become idle, and between two looks.
LONGEST_GATHERING = 0.02

#: Seconds for which a stop waits for jobs that are about to end, whatever the grace period: at most
#: as long for their code, and at most as long for their commits.
LAST_MOMENT = 0.25
LAST_COMMIT = 2.0


@zope.interface.implementer(zc.async_.interfaces.IDispatcher)
class Dispatcher(Reports):
    """See `zc.async_.interfaces.IDispatcher`."""

    activated: Any = None
    thread: threading.Thread | None = None

    def __init__(
        self,
        db: Any,
        reactor: Any = None,
        poll_interval: float = 5,
        uuid: Any = None,
        jobs_size: int = 200,
        polls_size: int = 400,
        shutdown_grace_period: float = 0,
    ) -> None:
        """Make a dispatcher, which does nothing before it is activated.

        `db`: the ZODB.DB that has the queues. `reactor`: see `IReactor`; by default Twisted's
        installed one. `poll_interval`: seconds. `uuid`: by default the `IUUID` utility. `jobs_size`
        and `polls_size`: how many to remember. `shutdown_grace_period`: seconds.

        Raises ValueError if this process has a dispatcher of that UUID, and `NotConfiguredError` if
        it has no UUID.
        """
        if reactor is None:
            import twisted.internet.reactor as reactor
        if uuid is None:
            uuid = registry.own_uuid()
        self.db = db
        self.reactor = reactor
        self.poll_interval = poll_interval
        self.UUID = uuid_module.UUID(bytes=uuid.bytes)
        self.shutdown_grace_period = shutdown_grace_period
        self._records = Records(polls_size, jobs_size)
        #: Made by the reactor's thread. Other threads read.
        self.queues: dict[str, dict[str, Pool]] = {}
        self._system_pools: dict[str, Pool] = {}
        # Any thread appends; the reactor's takes.
        self._reports: collections.deque[tuple[Pool, Worker, Task]] = collections.deque()
        #: Set when there is a new report.
        self._reported = threading.Event()
        self.pauses: set[threading.Event] = set()
        self._listener = wakeup.Listener(self._wake)
        self._shutdown_trigger: Any = None
        self._reset()
        registry.add(self)

    def _reset(self) -> None:
        """What belongs to one activation. From the reactor's thread, or before it runs."""
        # Set by any thread; cleared by the reactor's before it looks at what there is.
        self._awake = False
        self.poller: Poller | None = None
        self._polling = False
        self._poll_wanted = False
        self._periodic = True
        self._timers = Timers(self.reactor)
        self._watched: dict[Any, frozenset[bytes]] = {}
        self._deaf = False
        self._places = 0
        self._lost: set[Any] = set()
        self._completed: dict[AgentKey, list[Any]] = {}
        self._stopped: Deferred | None = None
        self._grace = False
        self._unstarted: list[Any] = []

    # -- life

    def activate(self, threaded: bool | None = None) -> None:
        """See `zc.async_.interfaces.IDispatcher`."""
        if self.activated:
            raise ValueError("the dispatcher is activated already")
        self._reset()
        self._threaded = _is_installed(self.reactor) if threaded is None else threaded
        self.activated = zc.async_.clock.now()
        self._activated_at = zc.async_.clock.monotonic()
        zc.async_.zeo.watch(self.db)
        self._shutdown_trigger = self.reactor.addSystemEventTrigger(
            "before", "shutdown", self.deactivate
        )
        self.reactor.callWhenRunning(self._poll_periodically)
        utils.log.info("dispatcher %s activated", self.UUID)

    def deactivate(self) -> Deferred | None:
        """See `zc.async_.interfaces.IDispatcher`.

        From the reactor's thread. Returns a Deferred that fires when all is handed back, or None if
        that is so already.
        """
        if not self.activated:
            return self._stopped
        self.activated = False
        if self._timers.is_set("gather"):
            # This poll has not begun.
            self._polling = False
        self._timers.cancel_all()
        self._listen_no_more()
        self._grace = self.shutdown_grace_period > 0
        if not self._may_leave():
            self._stopped = Deferred()
            if self._grace:
                self._timers.set("grace", self.shutdown_grace_period, self._end_grace)
            return self._stopped
        self._leave()
        return None

    def stop_on_reactor(self) -> Deferred | None:
        """As `deactivate`, for a reactor that goes on: it is left as if nothing had been there."""
        trigger, self._shutdown_trigger = self._shutdown_trigger, None
        if trigger is not None:
            with contextlib.suppress(ValueError):
                # Made already, if the reactor has ended or is about to.
                self.reactor.removeSystemEventTrigger(trigger)
        return self.deactivate()

    def _may_leave(self) -> bool:
        working = any(pool.busy for pool in self.pools())
        return not self._polling and not (self._grace and working)

    def _end_grace(self) -> None:
        self._grace = False
        self._leave_if_possible()

    def _leave_if_possible(self) -> None:
        if self._stopped is not None and self._may_leave():
            self._leave()
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def _leave(self) -> None:
        """Hand back what is left, and let the threads go."""
        self._stop_threads()
        self._let_end()
        self._end_pauses()
        if self.poller is not None:
            self.poller.deactivate(self._unstarted)
            self.poller.close()
            self.poller = None
        utils.log.info("dispatcher %s deactivated", self.UUID)

    def _let_end(self) -> None:
        """Give jobs that are about to end a moment for it.

        A job or callback that has the reactor stopped is about to return just now: if its place
        were taken at once, the next process would run it again, and stop again. Blocks the reactor.
        """
        start = time.monotonic()
        while True:
            self._take_reports()
            tasks = [task for pool in self.pools() for task in pool.working.values()]
            longest = LAST_COMMIT if any(task.ending for task in tasks) else LAST_MOMENT
            left = start + longest - time.monotonic()
            if not tasks or left <= 0:
                return
            self._reported.wait(min(left, LONGEST_GATHERING))
            self._reported.clear()

    def abandon(self) -> None:
        """Let go of threads, connections and databases, once the reactor's thread has ended.

        Nothing is written: what a stop did not hand back, a sibling has to clean up. Does nothing
        after a stop that went well.
        """
        self._listen_no_more()
        self._stop_threads()
        self._end_pauses()
        if self.poller is not None:
            self.poller.close()
            self.poller = None

    def _stop_threads(self) -> None:
        self._timers.cancel_all()
        self._timers.stop()
        for pool in self.pools():
            self._unstarted += [(task.job_id, task.token) for task in pool.stop()]

    def _end_pauses(self) -> None:
        for pause in list(self.pauses):
            pause.set()

    def _listen_no_more(self) -> None:
        for database in self._watched:
            wakeup.forget(database, self._listener)

    def _end_without_database(self) -> None:
        """End, since there is nothing left to poll: its database was closed."""
        self.activated = False
        self.abandon()
        # Whoever opens the database next cleans up at once.
        liveness.release(self.UUID)
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)
        if self.thread is not None:
            # The reactor was made for this dispatcher.
            self.reactor.callFromThread(reactors.stop, self.reactor)

    def pools(self) -> list[Pool]:
        named = [pool for pools in self.queues.values() for pool in pools.values()]
        return named + list(self._system_pools.values())

    # -- being woken, in any thread

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self.reactor.callFromThread(self._woken)

    def report(self, pool: Pool, worker: Worker, task: Task) -> None:
        """A worker is done with a task."""
        self._reports.append((pool, worker, task))
        self._reported.set()
        self._wake()

    def pausing(self, event: threading.Event) -> None:
        """A worker waits for an event that a stopped reactor would never set."""
        self.pauses.add(event)

    def has_left(self) -> bool:
        """Whether it does not go on with its jobs any more. For any thread."""
        ended = self.thread is not None and not self.thread.is_alive()
        return ended or not (self.activated or self._stopped is not None)

    # -- in the reactor's thread

    def _woken(self) -> None:
        self._awake = False
        self._take_reports()
        self._leave_if_possible()
        self._poll()

    def _take_reports(self) -> None:
        while self._reports:
            pool, worker, task = self._reports.popleft()
            pool.done(task, worker)
            self._take_report(pool, task)

    def _take_report(self, pool: Pool, task: Task) -> None:
        if task.lost:
            self._lost.add((task.job_id, task.token))
        if task.completed:
            key = pool.queue_name, pool.agent_name
            self._completed.setdefault(key, []).extend(task.completed)
        for other, outcome in task.outcomes.items():
            self._records.job_ended(reported(other), outcome)
        if task.deferred is not None:
            self._await(pool, task)

    def _await(self, pool: Pool, task: Task) -> None:
        """Have the result of a Deferred or coroutine committed by a worker when it is there."""

        def fired(value: Any) -> None:
            task.value = awaiting.to_result(value)
            task.fired = True
            self.reactor.callFromThread(self._resume, pool, task)

        waited_for = task.deferred
        if not isinstance(waited_for, Deferred):
            waited_for = Deferred.fromCoroutine(waited_for)
        waited_for.addBoth(fired)

    def _resume(self, pool: Pool, task: Task) -> None:
        if self.activated or self._stopped is not None:
            pool.hand(task)

    def _poll_periodically(self) -> None:
        self._periodic = True
        if self.activated:
            self._timers.set("poll", self.poll_interval, self._poll_periodically)
        self._poll()

    def _poll(self) -> None:
        """Poll, or see that there is another poll after the present one."""
        if not self.activated:
            return
        if self._polling:
            self._poll_wanted = True
            return
        self._polling = True
        self._poll_wanted = False
        longest = self.poller.last_duration if self.poller is not None else 0
        if longest and not self._mostly_idle():
            # Jobs that end about now: one claim for several workers costs hardly more than one for
            # each. Waiting as long as a claim takes never costs more than twice what it can save.
            if self._threaded:
                self._timers.set("gather", min(longest, LONGEST_GATHERING), self._begin_poll)
                return
            self._gather(min(longest, LONGEST_GATHERING))
        self._begin_poll()

    def _gather(self, longest: float) -> None:
        """Wait until most of the workers are idle, but not for long.

        Blocks the reactor, which is our own and has nothing better to do.
        """
        end = time.monotonic() + longest
        while not self._mostly_idle() and (left := end - time.monotonic()) > 0:
            self._reported.wait(left)
            self._reported.clear()

    def _mostly_idle(self) -> bool:
        busy = sum(len(pool.working) for pool in self.pools()) - len(self._reports)
        return 5 * busy <= self._places

    def _begin_poll(self) -> None:
        try:
            self._take_reports()
            self._start_poll()
        except BaseException:
            # The reactor logs it and goes on. So must the polls, and the end of the dispatcher,
            # which would wait for this one for ever.
            self._polling = False
            raise

    def _start_poll(self) -> None:
        lost, self._lost = self._lost, set()
        completed, self._completed = self._completed, {}
        busy = {(pool.queue_name, pool.agent_name): pool.busy for pool in self.pools()}
        held_of = self._held_of()
        held = frozenset(key for keys in held_of.values() for key in keys)
        plan = Plan(busy, lost, completed, held, self.poll_interval, held_of)
        if self._threaded:
            self.reactor.callInThread(self._poll_in_thread, plan)
        else:
            self._take_outcome(plan, self._make_poll(plan))

    def _held_of(self) -> dict[str, list[Any]]:
        """The jobs that threads have, wait for or have just begun, by the name of the queue."""
        held: dict[str, list[Any]] = {}
        for pool in self.pools():
            for tasks in pool.tasks():
                held.setdefault(pool.queue_name, []).extend(tasks)
        return held

    def _make_poll(self, plan: Plan) -> Outcome:
        try:
            if self.poller is None:
                self.poller = Poller(self.db, self.UUID, self._listener)
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception:
            if utils.is_closed(self.db):
                return Outcome(failed=True, closed=True)
            utils.log.critical("cannot open the database", exc_info=True)
            return Outcome(failed=True)
        return self.poller.poll(plan)

    def _poll_in_thread(self, plan: Plan) -> None:
        outcome = Outcome(failed=True)
        try:
            outcome = self._make_poll(plan)
        finally:
            # Else a chooser that ends the thread would have ended the polls.
            self.reactor.callFromThread(self._take_outcome, plan, outcome)

    def _take_outcome(self, plan: Plan, outcome: Outcome) -> None:
        self._polling = False
        if outcome.closed:
            utils.log.error(
                "the database of dispatcher %s was closed, so it ends. Call "
                "zc.async_.configure.stop(), or zc.async_.subscribers.stop(dispatcher), before "
                "db.close(): then it hands back its jobs. A sibling, or the next start, will clean "
                "up after it",
                self.UUID,
            )
            self._end_without_database()
            return
        if not self.activated:
            self._unstarted = [(claimed.job_id, claimed.token) for claimed in outcome.jobs]
            self._leave_if_possible()
            return
        self._keep_undone(plan, outcome)
        self._tell_reassigned(outcome)
        self._record(outcome)
        self._resize(outcome)
        for claimed in outcome.jobs:
            self._start(claimed)
        if not outcome.failed:
            utils.tracelog.debug("poll %d: %r", self._current.key, self._current)
        self._watch(outcome)
        self._plan_next(outcome)

    def _keep_undone(self, plan: Plan, outcome: Outcome) -> None:
        """Keep for the next poll what this one could not write down."""
        if outcome.failed or outcome.info.keys() - outcome.done:
            self._lost |= plan.lost
        for key, ids in plan.completed.items():
            is_there = outcome.failed or key[0] in outcome.info
            if is_there and key[0] not in outcome.done:
                self._completed.setdefault(key, []).extend(ids)

    def _tell_reassigned(self, outcome: Outcome) -> None:
        """Tell of jobs that others took, whose threads may be at them for a long time still."""
        for pool in self.pools() if outcome.reassigned else ():
            for tasks in pool.tasks():
                for key in outcome.reassigned & tasks.keys():
                    tasks[key].info["reassigned"] = True

    def _record(self, outcome: Outcome) -> None:
        if self._periodic or not self._records.polls:
            self._periodic = False
            poll = self._records.new_poll()
        else:
            poll = self._records.polls[0]
        for queue_name, agents in outcome.info.items():
            if agents is None:
                poll[queue_name] = None
                continue
            known = poll.get(queue_name) or {}
            if queue_name in outcome.quiet:
                # Polls share it. What happened since this poll began stays there.
                poll[queue_name] = known or agents
                continue
            for agent_name, info in agents.items():
                info["active jobs"] = [reported(job) for job in info["active jobs"]]
                if agent_name in known:
                    info["new jobs"] = list(known[agent_name]["new jobs"])
                    info["error"] = info["error"] or known[agent_name]["error"]
            # What this poll could not look at stays as it was.
            poll[queue_name] = {**known, **agents}
        if not outcome.failed:
            for queue_name in poll.keys() - outcome.info.keys():
                if not any(info["new jobs"] for info in (poll[queue_name] or {}).values()):
                    # It was removed. Statistics want to know of its jobs.
                    del poll[queue_name]
        self._current = poll

    def _resize(self, outcome: Outcome) -> None:
        for (queue_name, agent_name), size in outcome.sizes.items():
            if queue_name not in outcome.quiet:
                self._pool((queue_name, agent_name)).resize(size)
        for queue_name, pools in self.queues.items():
            if queue_name in outcome.info and queue_name not in outcome.quiet:
                for agent_name, pool in pools.items():
                    if (queue_name, agent_name) not in outcome.sizes:
                        pool.resize(0)
        if not outcome.failed:
            self._let_go_of_removed(outcome.info)
        self._places = sum(outcome.sizes.values()) or self._places
        connections = self._places + SPARE_CONNECTIONS
        if self.db.getPoolSize() < connections:
            for database in self.db.databases.values():
                database.setPoolSize(max(connections, database.getPoolSize()))

    def _let_go_of_removed(self, names: Collection[str]) -> None:
        """End the threads for queues that are not there any more, when they have ended their jobs.

        `names`: of those that are.
        """
        for name in (self.queues.keys() | self._system_pools.keys()) - set(names):
            pools = [*self.queues.get(name, {}).values()]
            if name in self._system_pools:
                pools.append(self._system_pools[name])
            for pool in pools:
                pool.resize(0)
            if not any(pool.busy for pool in pools):
                # Replaced, since other threads may be reading it.
                self.queues = {other: p for other, p in self.queues.items() if other != name}
                self._system_pools.pop(name, None)

    def _pool(self, key: AgentKey) -> Pool:
        queue_name, agent_name = key
        if agent_name == SYSTEM:
            pools, name = self._system_pools, queue_name
        else:
            pools, name = self.queues.setdefault(queue_name, {}), agent_name
        if name not in pools:
            pools[name] = Pool(self, queue_name, agent_name)
        return pools[name]

    def _start(self, claimed: Claimed) -> None:
        queue_name, agent_name = claimed.agent
        key = reported(claimed.job_id)
        info = JobInfo(
            {
                "agent": agent_name,
                "call": None,
                "completed": None,
                "failed": False,
                "poll id": self._current.key,
                "queue": queue_name,
                "quota names": claimed.quota_names,
                "reassigned": False,
                "result": None,
                "started": None,
                "thread": None,
            }
        )
        if agent_name != SYSTEM:
            self._records.new_job(key, info)
            self._current[queue_name][agent_name]["new jobs"].append(key)
        self._pool(claimed.agent).hand(Task(claimed.job_id, claimed.token, info))

    def _watch(self, outcome: Outcome) -> None:
        watched = dict(outcome.watched)
        for database, oids in outcome.roots.items():
            watched[database] = watched.get(database, frozenset()) | oids
        if watched == self._watched or outcome.failed:
            return
        # An oid may be another object's in another database: at worst that is a needless poll.
        concerns: frozenset[bytes] = frozenset().union(*watched.values())
        is_news = not concerns <= self._listener.oids or not watched.keys() <= self._watched.keys()
        self._listener.oids = concerns
        heard = {database: wakeup.listen(database, self._listener) for database in watched}
        # Of a new queue, a poll will tell.
        self._deaf = not all(heard[database] for database in outcome.watched)
        self._watched = watched
        if is_news:
            # What was committed between the poll and now was not heard.
            self._poll_wanted = True

    def _plan_next(self, outcome: Outcome) -> None:
        if outcome.again is not None and outcome.again > 0:
            self._timers.set("again", outcome.again, self._poll)
        elif outcome.again is not None or self._poll_wanted:
            self._wake()
        if self._deaf:
            self._timers.set("look", min(self.poll_interval, LOOK_INTERVAL), self._poll)
        if outcome.next_time is not None:
            seconds = (outcome.next_time - zc.async_.clock.microseconds()) / 1_000_000
            if seconds < self.poll_interval:
                self._timers.set("due", max(0, seconds), self._poll)


def _is_installed(reactor: Any) -> bool:
    """Whether a reactor is the one that the rest of a Twisted application runs on."""
    return reactor is sys.modules.get("twisted.internet.reactor")
