"""How a dispatcher leaves: it waits the grace period and hands back its jobs, or abandons them.

`ending` waits for the threads after that.
"""

import math
import threading
import time
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from zc.async_ import utils
from zc.async_.dispatcher import reactors, steps
from zc.async_.dispatcher.plans import Claimed
from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.pools import Pools
from zc.async_.dispatcher.returns import Returns
from zc.async_.dispatcher.schedule import Schedule
from zc.async_.dispatcher.session import Session
from zc.async_.dispatcher.watching import Watch
from zc.async_.process import liveness

#: How many seconds at most a stop waits for jobs that are about to end, besides the grace period:
#: for their code, and for their commits.
LAST_MOMENT = 0.25
LAST_COMMIT = 2.0

#: Seconds between two looks at jobs that are about to end.
LOOK_INTERVAL = 0.02


class Leaving:
    """Owns what the end of a dispatcher waits for.

    Only from the reactor's thread, except `stopped`, `pauses` and `abandon`.
    """

    def __init__(
        self,
        dispatcher: Any,
        pools: Pools,
        returns: Returns,
        session: Session,
        watch: Watch,
        schedule: Schedule,
    ) -> None:
        self._dispatcher = dispatcher
        self._pools = pools
        self._returns = returns
        self._session = session
        self._watch = watch
        self._schedule = schedule
        #: Events for which workers wait, and which a stopped reactor would never set. Any thread
        #: adds its own and discards it.
        self.pauses: set[threading.Event] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation."""
        #: Fires when all is handed back; None unless somebody waits for that. Any thread may look
        #: whether there is one.
        self.stopped: Deferred | None = None
        #: Whether running jobs are being given their grace period.
        self._grace = False
        self._unstarted: list[tuple[JobId, int]] = []

    def begin(self) -> Deferred | None:
        """Leave, at once or when that is possible. The dispatcher is no longer active.

        Returns a Deferred that fires when all is handed back, or None if that is done already.
        """
        self._schedule.stop()
        self._watch.end()
        grace_period = self._dispatcher.shutdown_grace_period
        self._grace = grace_period > 0
        if not self._may_leave():
            self.stopped = Deferred()
            if self._grace:
                self._set_grace(grace_period)
            return self.stopped
        self._leave()
        return None

    def _may_leave(self) -> bool:
        working = any(pool.busy for pool in self._pools.all())
        return not self._schedule.polling and not (self._grace and working)

    def _set_grace(self, seconds: float) -> None:
        if seconds < math.inf:
            self._schedule.timers.set("grace", seconds, self._end_grace)

    def limit_grace(self, seconds: float) -> None:
        """Give the running jobs so long from now, if they are being given their grace period."""
        if self.stopped is None:
            return
        if seconds > 0:
            self._set_grace(seconds)
        else:
            self._schedule.timers.cancel("grace")
            self._end_grace()

    def _end_grace(self) -> None:
        self._grace = False
        self.leave_if_possible()

    def leave_if_possible(self) -> None:
        """Leave, if that was begun and there is nothing left to wait for."""
        if self.stopped is not None and self._may_leave():
            self._leave()
            self._tell_stopped()

    def take_late(self, claimed: Iterable[Claimed]) -> None:
        """Take the claimed jobs of a poll that ended too late, and leave if possible."""
        self._unstarted = [(job.job_id, job.token) for job in claimed]
        self.leave_if_possible()

    def _leave(self) -> None:
        """Hand back the remaining jobs, and let the threads end."""
        self._stop_threads()
        self._let_end()
        self._end_coroutines()
        self._end_pauses()
        self._session.hand_back(self._unstarted)
        utils.log.info("dispatcher %s deactivated", self._dispatcher.UUID)

    def _let_end(self) -> None:
        """Give jobs that are about to end a moment to do so.

        A job or callback that stops the reactor is just about to return. If it were handed back at
        once, the next process would run it again, and stop again. Blocks the reactor.
        """
        start = time.monotonic()
        while True:
            self._returns.take()
            tasks = self._pools.at_work()
            longest = LAST_COMMIT if any(task.ending for task in tasks) else LAST_MOMENT
            left = start + longest - time.monotonic()
            if not tasks or left <= 0:
                return
            self._returns.wait(min(left, LOOK_INTERVAL))

    def _end_coroutines(self) -> None:
        """Cancel those that have begun: their jobs are handed back."""
        for pool in self._pools.all():
            for task in pool.take_left():
                steps.give_up(pool, task)

    def _tell_stopped(self) -> None:
        stopped, self.stopped = self.stopped, None
        if stopped is not None:
            stopped.callback(None)

    def abandon(self) -> None:
        """Release threads, connections and databases. Writes nothing.

        Does nothing after a successful stop. From the reactor's thread, or from another one after
        that has ended.
        """
        self._watch.end()
        self._stop_threads()
        self._end_pauses()
        self._session.close()

    def end_without_database(self) -> None:
        """End, since there is nothing left to poll. The dispatcher is no longer active."""
        self.abandon()
        # So the next process that opens the database can clean up at once.
        liveness.release(self._dispatcher.UUID)
        self._tell_stopped()
        if self._dispatcher.thread is not None:
            # The reactor was made for this dispatcher.
            reactor = self._dispatcher.reactor
            reactor.callFromThread(reactors.stop, reactor)

    def _stop_threads(self) -> None:
        self._schedule.end()
        self._unstarted += self._pools.stop()

    def _end_pauses(self) -> None:
        for pause in list(self.pauses):
            pause.set()
