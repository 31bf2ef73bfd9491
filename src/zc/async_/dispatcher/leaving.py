"""How a dispatcher leaves: it gives running jobs their grace, hands back the rest, or abandons it.

See `ending` for what is left to wait for then.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from zc.async_ import utils
from zc.async_.dispatcher import reactors
from zc.async_.dispatcher.plans import Claimed
from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.pools import Pools
from zc.async_.dispatcher.returns import Returns
from zc.async_.dispatcher.schedule import Schedule
from zc.async_.dispatcher.session import Session
from zc.async_.dispatcher.watching import Watch
from zc.async_.process import liveness

#: Seconds for which a stop waits for jobs that are about to end, whatever the grace period: at most
#: as long for their code, and at most as long for their commits.
LAST_MOMENT = 0.25
LAST_COMMIT = 2.0

#: Seconds between two looks at jobs that are about to end.
LOOK_INTERVAL = 0.02


class Leaving:
    """Owns what the end of a dispatcher waits for.

    Only from the reactor's thread, but for `stopped` and `pauses`; and but for `abandon`.
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
        #: Events that workers wait for, and that a stopped reactor would never set. Any thread adds
        #: its own and discards it.
        self.pauses: set[threading.Event] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation."""
        #: Fires when all is handed back; None unless that is waited for. Any thread may look
        #: whether there is one.
        self.stopped: Deferred | None = None
        #: Whether running jobs are being given their grace period.
        self._grace = False
        self._unstarted: list[tuple[JobId, int]] = []

    def begin(self) -> Deferred | None:
        """Leave, at once or when that is possible. The dispatcher is active no more.

        Returns a Deferred that fires when all is handed back, or None if that is so already.
        """
        self._schedule.stop()
        self._watch.end()
        grace_period = self._dispatcher.shutdown_grace_period
        self._grace = grace_period > 0
        if not self._may_leave():
            self.stopped = Deferred()
            if self._grace:
                self._schedule.timers.set("grace", grace_period, self._end_grace)
            return self.stopped
        self._leave()
        return None

    def _may_leave(self) -> bool:
        working = any(pool.busy for pool in self._pools.all())
        return not self._schedule.polling and not (self._grace and working)

    def _end_grace(self) -> None:
        self._grace = False
        self.leave_if_possible()

    def leave_if_possible(self) -> None:
        """Leave, if that was to be and nothing is waited for any more."""
        if self.stopped is not None and self._may_leave():
            self._leave()
            self._tell_stopped()

    def take_late(self, claimed: Iterable[Claimed]) -> None:
        """Take what was claimed by a poll that ended too late, and leave if possible."""
        self._unstarted = [(job.job_id, job.token) for job in claimed]
        self.leave_if_possible()

    def _leave(self) -> None:
        """Hand back what is left, and let the threads go."""
        self._stop_threads()
        self._let_end()
        self._end_pauses()
        self._session.hand_back(self._unstarted)
        utils.log.info("dispatcher %s deactivated", self._dispatcher.UUID)

    def _let_end(self) -> None:
        """Give jobs that are about to end a moment for it.

        A job or callback that has the reactor stopped is about to return just now: if its place
        were taken at once, the next process would run it again, and stop again. Blocks the reactor.
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

    def _tell_stopped(self) -> None:
        stopped, self.stopped = self.stopped, None
        if stopped is not None:
            stopped.callback(None)

    def abandon(self) -> None:
        """Let go of threads, connections and databases. Nothing is written.

        Does nothing after a stop that went well. From the reactor's thread, or from another once
        that has ended.
        """
        self._watch.end()
        self._stop_threads()
        self._end_pauses()
        self._session.close()

    def end_without_database(self) -> None:
        """End, since there is nothing left to poll. The dispatcher is active no more."""
        self.abandon()
        # Whoever opens the database next cleans up at once.
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
