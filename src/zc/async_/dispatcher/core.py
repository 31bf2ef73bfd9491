"""The dispatcher: polls, hands jobs to worker threads, and sleeps as long as it may.

It lives in the thread of its reactor, which owns its state. Other threads - workers, committing
threads, the network thread of ZEO - do no more than add to what was given back, and wake it. Each
part of the state has an object that owns it: see `Dispatcher`.
"""

import contextlib
import sys
import threading
import uuid as uuid_module
from collections.abc import Iterable
from typing import Any

import zope.interface
from twisted.internet.defer import Deferred

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.relstorage
import zc.async_.zeo
from zc.async_ import utils
from zc.async_.dispatcher.handing_out import HandingOut
from zc.async_.dispatcher.leaving import Leaving
from zc.async_.dispatcher.plans import Outcome, Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.pool import Pool, Task, Worker
from zc.async_.dispatcher.pools import Pools
from zc.async_.dispatcher.records import Records
from zc.async_.dispatcher.reports import Reports
from zc.async_.dispatcher.returns import Returns
from zc.async_.dispatcher.schedule import Schedule
from zc.async_.dispatcher.session import Session
from zc.async_.dispatcher.watching import Watch
from zc.async_.job import as_labels
from zc.async_.process import registry


@zope.interface.implementer(zc.async_.interfaces.IDispatcher)
class Dispatcher(Reports):
    """See `zc.async_.interfaces.IDispatcher`.

    Has its parts do what they are for, in order. `_pools`: the threads. `_returns`: what they give
    back. `_watch`: which commits to hear of. `_session`: the database. `_schedule`: when to poll.
    `_handing_out`: what becomes of claims. `_leaving`: the end. `_records`: what is remembered.
    """

    #: Set by the reactor's thread; any may read.
    activated: Any = None
    #: Set by who starts the thread, before it begins.
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
        labels: Iterable[Any] = (),
    ) -> None:
        """Make a dispatcher, which does nothing before it is activated.

        `db`: the ZODB.DB that has the queues. `reactor`: see `IReactor`; by default Twisted's
        installed one. `poll_interval`: seconds. `uuid`: by default the `IUUID` utility. `jobs_size`
        and `polls_size`: how many to remember. `shutdown_grace_period`: seconds. `labels`: see
        `IDispatcher`.

        Raises ValueError if this process has a dispatcher of that UUID, and `NotConfiguredError` if
        it has no UUID; TypeError or ValueError for what cannot be labels.
        """
        self.labels = as_labels("labels", labels)
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
        self._pools = Pools(self)
        self._returns = Returns(self, self._records)
        self._watch = Watch(self._wake)
        self._session = Session(self, self._watch.listener)
        self._schedule = Schedule(
            self, self._pools, self._returns, self._session, self._woken, self._start_poll
        )
        self._handing_out = HandingOut(self._records, self._pools)
        self._leaving = Leaving(
            self, self._pools, self._returns, self._session, self._watch, self._schedule
        )
        self._shutdown_trigger: Any = None
        registry.add(self)

    # -- life

    def activate(self, threaded: bool | None = None) -> None:
        """See `zc.async_.interfaces.IDispatcher`.

        From the reactor's thread, or before that runs. Raises ValueError if it is active.
        """
        if self.activated:
            raise ValueError("the dispatcher is activated already")
        for part in (self._pools, self._returns, self._watch, self._session, self._leaving):
            part.begin_anew()
        self._schedule.begin_anew(_is_installed(self.reactor) if threaded is None else threaded)
        self.activated = zc.async_.clock.now()
        self._activated_at = zc.async_.clock.monotonic()
        zc.async_.zeo.watch(self.db)
        zc.async_.relstorage.watch(self.db)
        self._shutdown_trigger = self.reactor.addSystemEventTrigger(
            "before", "shutdown", self.deactivate
        )
        self.reactor.callWhenRunning(self._schedule.poll_periodically)
        utils.log.info("dispatcher %s activated", self.UUID)

    def deactivate(self) -> Deferred | None:
        """See `zc.async_.interfaces.IDispatcher`.

        From the reactor's thread. Returns a Deferred that fires when all is handed back, or None if
        that is so already.
        """
        if not self.activated:
            return self._leaving.stopped
        self.activated = False
        return self._leaving.begin()

    def limit_grace(self, seconds: float) -> None:
        """See `zc.async_.interfaces.IDispatcher`. From the reactor's thread."""
        self._leaving.limit_grace(seconds)

    def stop_on_reactor(self) -> Deferred | None:
        """As `deactivate`, for a reactor that goes on: it is left as if nothing had been there.

        From the reactor's thread.
        """
        trigger, self._shutdown_trigger = self._shutdown_trigger, None
        if trigger is not None:
            with contextlib.suppress(ValueError):
                # Made already, if the reactor has ended or is about to.
                self.reactor.removeSystemEventTrigger(trigger)
        return self.deactivate()

    def abandon(self) -> None:
        """Let go of threads, connections and databases, once the reactor's thread has ended.

        Nothing is written: what a stop did not hand back, a sibling has to clean up. Does nothing
        after a stop that went well.
        """
        self._leaving.abandon()

    def _end_without_database(self) -> None:
        utils.log.error(
            "the database of dispatcher %s was closed, so it ends. Call "
            "zc.async_.configure.stop(), or zc.async_.subscribers.stop(dispatcher), before "
            "db.close(): then it hands back its jobs. A sibling, or the next start, will clean "
            "up after it",
            self.UUID,
        )
        self.activated = False
        self._leaving.end_without_database()

    # -- for those of this package

    @property
    def poller(self) -> Poller | None:
        """What polls; None before the first poll, and once all is handed back. For any thread."""
        return self._session.poller

    @property
    def pauses(self) -> set[threading.Event]:
        """The events that workers wait for. Any thread may discard its own."""
        return self._leaving.pauses

    def pools(self) -> list[Pool]:
        """The pools of all agents and of the system.

        From the reactor's thread, or from another while that makes no pools.
        """
        return self._pools.all()

    # -- in any thread

    def _wake(self) -> None:
        """Have a poll made soon."""
        self._schedule.wake()

    def report(self, pool: Pool, worker: Worker, task: Task) -> None:
        """A worker is done with a task. For any thread."""
        self._returns.add(pool, worker, task)
        if task.step is not None and not task.lost:
            # The coroutine goes on: a poll would have nothing to write.
            self.reactor.callFromThread(self._woken)
        else:
            self._wake()

    def pausing(self, event: threading.Event) -> None:
        """A worker waits for an event that a stopped reactor would never set. For any thread."""
        self._leaving.pauses.add(event)

    def has_left(self) -> bool:
        """Whether it does not go on with its jobs any more. For any thread."""
        ended = self.thread is not None and not self.thread.is_alive()
        return ended or not self.goes_on()

    def goes_on(self) -> bool:
        """Whether it is active, or has something to wait for before it leaves. For any thread."""
        return bool(self.activated or self._leaving.stopped is not None)

    # -- polls, in the reactor's thread

    def _woken(self) -> None:
        self._returns.take()
        self._leaving.leave_if_possible()

    def _start_poll(self) -> None:
        lost, completed = self._returns.take_unwritten()
        held_of = self._pools.held()
        held = frozenset(key for keys in held_of.values() for key in keys)
        plan = Plan(
            self._pools.busy(),
            lost,
            completed,
            held,
            self.poll_interval,
            held_of,
            self._pools.coroutines(),
        )
        if self._schedule.threaded:
            self.reactor.callInThread(self._poll_in_thread, plan)
        else:
            self._take_outcome(plan, self._session.poll(plan))

    def _poll_in_thread(self, plan: Plan) -> None:
        """Poll, in a thread of the reactor."""
        outcome = Outcome(failed=True)
        try:
            outcome = self._session.poll(plan)
        finally:
            # Else a chooser that ends the thread would have ended the polls.
            self.reactor.callFromThread(self._take_outcome, plan, outcome)

    def _take_outcome(self, plan: Plan, outcome: Outcome) -> None:
        self._schedule.poll_ended()
        if outcome.closed:
            self._end_without_database()
        elif not self.activated:
            self._leaving.take_late(outcome.jobs)
        else:
            self._returns.keep_undone(plan, outcome)
            self._handing_out.hand_out(outcome, self._schedule.take_periodic())
            has_news = self._watch.follow(outcome)
            self._schedule.plan_next(outcome, self._watch.is_deaf, has_news)


def _is_installed(reactor: Any) -> bool:
    """Whether a reactor is the one that the rest of a Twisted application runs on."""
    return reactor is sys.modules.get("twisted.internet.reactor")
