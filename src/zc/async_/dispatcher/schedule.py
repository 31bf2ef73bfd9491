"""Decides when a dispatcher polls.

It polls at regular intervals, when a job is due, and when something wakes it: a worker that has
ended its job, or a commit that concerns it. There is never more than one poll at a time.
"""

import time
from collections.abc import Callable
from typing import Any

import zc.async_.clock
from zc.async_.dispatcher.plans import Outcome
from zc.async_.dispatcher.pools import Pools
from zc.async_.dispatcher.returns import Returns
from zc.async_.dispatcher.session import Session
from zc.async_.dispatcher.timers import Timers

#: Seconds between two polls of a storage that gives no notice of commits.
LOOK_INTERVAL = 0.2

#: How long a poll waits at most for more workers to become idle: in durations of a claim, and in
#: seconds.
WAIT_FOR_CLAIMS = 2
LONGEST_GATHERING = 0.02

#: It does not wait for workers that have been busy for longer than that (seconds).
BUSY_FOR_LONG = 0.1


class Schedule:
    """Owns the timers, and whether a poll is under way or wanted.

    Only from the reactor's thread, except `wake`, which merges any number of requests to poll into
    one call in the reactor's thread.
    """

    def __init__(
        self,
        dispatcher: Any,
        pools: Pools,
        returns: Returns,
        session: Session,
        woken: Callable[[], None],
        begin: Callable[[], None],
    ) -> None:
        """`woken`: called before a poll that `wake` has caused.

        `begin`: makes a poll, or has one made, and makes sure that `poll_ended` is called after it.
        """
        self._dispatcher = dispatcher
        self._pools = pools
        self._returns = returns
        self._session = session
        self._on_waking = woken
        self._begin = begin
        self.begin_anew(threaded=False)

    def begin_anew(self, threaded: bool) -> None:
        """Forget what belongs to an earlier activation.

        `threaded`: whether polls are made in other threads, because the reactor must not block.
        """
        # Set by any thread; cleared by the reactor's thread before it looks for work.
        self._awake = False
        #: Whether polls are made in threads other than the reactor's.
        self.threaded = threaded
        #: Whether a poll is under way.
        self.polling = False
        #: Whether another poll is wanted after the present one.
        self.wanted = False
        self._periodic = True
        #: The timers of this activation. Other code that sets one has to use another name.
        self.timers = Timers(self._dispatcher.reactor)

    def wake(self) -> None:
        """Cause a poll soon. For any thread."""
        if not self._awake:
            self._awake = True
            self._dispatcher.reactor.callFromThread(self._woken)

    def _woken(self) -> None:
        self._awake = False
        self._on_waking()
        self.poll()

    def poll_periodically(self) -> None:
        """Poll now, and again and again as long as the dispatcher is active."""
        self._periodic = True
        if self._dispatcher.activated:
            self.timers.set("poll", self._dispatcher.poll_interval, self.poll_periodically)
        self.poll()

    def take_periodic(self) -> bool:
        """Whether a regular poll was due since the last call of this."""
        periodic, self._periodic = self._periodic, False
        return periodic

    def poll(self) -> None:
        """Poll, or make sure that there is another poll after the present one."""
        if not self._dispatcher.activated:
            return
        if self.polling:
            self.wanted = True
            return
        self.polling = True
        self.wanted = False
        awaited = self._awaited() if self._session.last_duration else 0
        if awaited:
            # More jobs may end about now, and one claim for several workers costs hardly more than
            # one for a single worker.
            longest = min(WAIT_FOR_CLAIMS * self._session.last_duration, LONGEST_GATHERING)
            if self.threaded:
                self.timers.set("gather", longest, self._begin_poll)
                return
            # Blocks the reactor, which belongs to the dispatcher and has nothing else to do.
            self._returns.wait(longest, awaited)
        self._begin_poll()

    def _awaited(self) -> int:
        """How many tasks have to be given back until nearly all workers are idle that soon may be.

        0 if most workers are so already.
        """
        recently = time.monotonic() - BUSY_FOR_LONG
        busy = sum(pool.handed_since(recently) for pool in self._pools.all())
        places = self._pools.places
        return busy - places // 10 if 5 * (busy - len(self._returns)) > places else 0

    def _begin_poll(self) -> None:
        try:
            self._returns.take()
            self._begin()
        except BaseException:
            # The reactor logs the error and goes on. Polls must go on too, and so must the end of
            # the dispatcher, which would wait for this poll forever.
            self.polling = False
            raise

    def poll_ended(self) -> None:
        """Note that the poll that was under way has ended."""
        self.polling = False

    def plan_next(self, outcome: Outcome, is_deaf: bool, is_wanted: bool) -> None:
        """Set the timers for the next poll.

        `outcome`: of the last poll. `is_deaf`: whether commits may go unnoticed. `is_wanted`:
        whether another poll is wanted at once.
        """
        self.wanted = self.wanted or is_wanted
        if outcome.again is not None and outcome.again > 0:
            self.timers.set("again", outcome.again, self.poll)
        elif outcome.again is not None or self.wanted:
            self.wake()
        interval = self._dispatcher.poll_interval
        if is_deaf:
            self.timers.set("look", min(interval, LOOK_INTERVAL), self.poll)
        if outcome.next_time is not None:
            seconds = (outcome.next_time - zc.async_.clock.microseconds()) / 1_000_000
            if seconds < interval:
                self.timers.set("due", max(0, seconds), self.poll)

    def stop(self) -> None:
        """Begin no more polls. One that is under way goes on."""
        if self.timers.is_set("gather"):
            # The poll that waits for more idle workers has not begun.
            self.polling = False
        self.timers.cancel_all()

    def end(self) -> None:
        """Cancel all timers, and let their thread end. Also for a thread that abandons."""
        self.timers.cancel_all()
        self.timers.stop()
