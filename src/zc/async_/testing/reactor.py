"""A reactor whose time passes when a test says so.

It has no thread: the test's thread makes its calls in `time_flies`, `time_passes` and `wait_for`.
So a test knows what was done and when. Worker threads are real, and so is the time that they take.
"""

import functools
import heapq
import threading
import time
from collections.abc import Callable
from typing import Any

import zope.interface
from twisted.internet.defer import Deferred, DeferredList

import zc.async_.interfaces
from zc.async_.interfaces import COMPLETED
from zc.async_.process import registry
from zc.async_.testing import virtualtime
from zc.async_.testing.looking import look_anew, see_news

#: Virtual seconds that `wait_for` lets pass: the usual interval between two polls.
WAIT = 5

#: Real seconds of each look of `wait_for`.
LOOK = 0.1

#: Real seconds at most for which it waits for threads whose job has done its work.
PATIENCE = 10

#: The reactors that run. Changed by the thread of the test.
running: list["Reactor"] = []


class DelayedCall:
    """A call to be made at a time; see `IReactor.callLater`."""

    def __init__(self, due: int, interval: int, call: Callable[[], Any]) -> None:
        #: When it is due (by `virtualtime.count`), and how long before that it was requested
        #: (microseconds).
        self.due = due
        self.interval = interval
        self._call: Callable[[], Any] | None = call

    def active(self) -> bool:
        """Whether the call is still to be made."""
        return self._call is not None

    def cancel(self) -> None:
        """Do not make the call."""
        self._call = None

    def make(self) -> None:
        """Make the call."""
        call, self._call = self._call, None
        if call is not None:
            call()


@zope.interface.implementer(zc.async_.interfaces.IReactor)
class Reactor:
    """See `zc.async_.interfaces.IReactor`, and the module.

    Everything except `callFromThread` is for the test's thread, or for calls that it makes.
    """

    def __init__(self) -> None:
        # Guards and announces `_asked`, the only attribute that other threads touch.
        self._condition = threading.Condition()
        self._asked: list[Callable[[], Any]] = []
        #: Calls requested by calls of this thread; they are made before time goes on.
        self._own: list[Callable[[], Any]] = []
        #: The identity of the thread that makes calls now.
        self._caller: int | None = None
        #: Heap of (due, number, call).
        self._delayed: list[tuple[int, int, DelayedCall]] = []
        self._number = 0
        self._overdue: DelayedCall | None = None
        self._when_running: list[Callable[[], Any]] = []
        self._triggers: dict[tuple[str, str], list[Callable[[], Any]]] = {}
        #: Whether it was started, and has not ended.
        self.running = False
        self._stopping = False

    # -- IReactor

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """See `zc.async_.interfaces.IReactor`."""

        def call() -> None:
            callable(*args, **kwargs)

        if threading.get_ident() == self._caller:
            self._own.append(call)
            return
        with self._condition:
            self._asked.append(call)
            self._condition.notify_all()

    def callInThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """See `zc.async_.interfaces.IReactor`."""
        threading.Thread(
            target=callable, args=args, kwargs=kwargs, name="zc.async call in thread", daemon=True
        ).start()

    def callLater(self, seconds: float, callable: Any, *args: Any, **kwargs: Any) -> DelayedCall:
        """See `zc.async_.interfaces.IReactor`."""
        if seconds < 0:
            raise ValueError(f"a call can be made after at least 0 seconds, not {seconds!r}")
        interval = round(seconds * 1_000_000)
        call = DelayedCall(self._due_after(interval), interval, lambda: callable(*args, **kwargs))
        self._number += 1
        heapq.heappush(self._delayed, (call.due, self._number, call))
        return call

    def _due_after(self, interval: int) -> int:
        """When a call that is requested now is due.

        If time was set forward, a call that is made late and requests itself again keeps its old
        rhythm. Calls that it missed are left out.
        """
        now = virtualtime.count()
        late = self._overdue
        if late is not None and interval > 0 and interval == late.interval:
            return now + interval - (now - late.due) % interval
        return now + interval

    def callWhenRunning(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """See `zc.async_.interfaces.IReactor`.

        "At once" means: the next time the test lets time pass.
        """

        def call() -> None:
            callable(*args, **kwargs)

        if self.running:
            self.callLater(0, call)
        else:
            self._when_running.append(call)

    def addSystemEventTrigger(
        self, phase: str, event: str, callable: Any, *args: Any, **kwargs: Any
    ) -> None:
        """See `zc.async_.interfaces.IReactor`. The only event is 'shutdown'."""
        if event != "shutdown" or phase not in ("before", "during", "after"):
            raise ValueError(
                f"there is no event {phase} {event}, only before, during and after shutdown"
            )
        triggers = self._triggers.setdefault((phase, event), [])
        triggers.append(lambda: callable(*args, **kwargs))

    # -- life

    def start(self) -> None:
        """Begin: pin time and patch `datetime.datetime` (see `setUpDatetime`)."""
        if self.running:
            raise ValueError("the reactor runs already")
        virtualtime.setUpDatetime()
        self.running, self._stopping = True, False
        running.append(self)
        waiting, self._when_running = self._when_running, []
        for call in waiting:
            self.callWhenRunning(call)

    def stop(self) -> None:
        """Shut down properly. Does nothing if the reactor does not run, or is ending.

        If a trigger returns a Deferred, as a dispatcher does during a grace period, the test has to
        let time pass until it fires.
        """
        if not self.running or self._stopping:
            return
        self._stopping = True
        waited_for = [d for d in self._fire("before") if isinstance(d, Deferred)]
        DeferredList(waited_for, consumeErrors=True).addCallback(self._finish)

    def _finish(self, _results: Any) -> None:
        if not self.running:
            # `crash` was called while it waited.
            return
        self._fire("during")
        self.crash()
        self._fire("after")

    def _fire(self, phase: str) -> list[Any]:
        return [trigger() for trigger in self._triggers.pop((phase, "shutdown"), [])]

    def crash(self) -> None:
        """End at once, without triggers and without any further calls."""
        if not self.running:
            return
        self.running = False
        running.remove(self)
        self._delayed.clear()
        self._own.clear()
        self._asked.clear()
        if not running:
            virtualtime.tearDownDatetime()

    # -- time

    def time_flies(self, seconds: float) -> int:
        """Let `seconds` pass, and make the calls that are due meanwhile, each at its time.

        Returns the number of these calls. Calls requested by other threads are not counted. They
        are made before and after, since they have no definite time in between. Raises what a call
        raises. At the end, this thread's connections see what was committed, unless they have
        changes.
        """
        end = virtualtime.count() + round(seconds * 1_000_000)
        self._make_asked()
        count = 0
        while (call := self._next_due(end)) is not None:
            self._make_due(call)
            count += 1
        if self.running:
            virtualtime.let_pass(end - virtualtime.count())
            self._make_asked()
        see_news()
        return count

    def time_passes(self) -> bool:
        """Make the calls that are due now; return whether there were any."""
        any_made = self._make_asked()
        now = virtualtime.count()
        while (call := self._next_due(now)) is not None:
            self._make_due(call)
            any_made = True
        return any_made

    def _make_asked(self) -> bool:
        """Make the calls that threads have requested by now; return whether there were any."""
        with self._condition:
            calls, self._asked = self._asked, []
        for call in calls:
            self._make(call)
        return bool(calls)

    def _make(self, call: Callable[[], Any]) -> None:
        """Make a call, and then those that it requested by `callFromThread`."""
        outermost, self._caller = self._caller, threading.get_ident()
        try:
            if self.running:
                call()
            while self.running and self._own and outermost is None:
                self._own.pop(0)()
        finally:
            self._caller = outermost

    def _next_due(self, end: int) -> DelayedCall | None:
        while self._delayed and self._delayed[0][0] <= end:
            call = heapq.heappop(self._delayed)[2]
            if call.active():
                return call
        return None

    def _make_due(self, call: DelayedCall) -> None:
        now = virtualtime.count()
        if call.due < now:
            self._overdue = call
        else:
            virtualtime.let_pass(call.due - now)
        try:
            self._make(call.make)
        finally:
            self._overdue = None

    # -- waiting

    def wait_for(self, *jobs: Any, attempts: int = 10) -> None:
        """Let five seconds pass, and give worker threads real time to complete `jobs`.

        Looks up to `attempts` times, each time for about a tenth of a real second. Prints TIME OUT
        if the jobs have not completed then. Begins a new transaction: uncommitted changes of the
        present one are lost.
        """
        self.time_flies(WAIT)
        for _attempt in range(attempts):
            if self._look(jobs):
                self._settle()
                for job in jobs:
                    look_anew(job, bool)
                return
        print("TIME OUT")  # noqa: T201  (this is how documents show it)

    def _look(self, jobs: tuple[Any, ...]) -> bool:
        end = time.monotonic() + LOOK
        while True:
            while self.time_passes():
                pass
            if all(look_anew(job, functools.partial(_has_completed, job)) for job in jobs):
                return True
            if not self.wait_until_asked(end - time.monotonic()):
                return False

    def _settle(self) -> None:
        """Give threads that are about to end their work the time to do so."""
        begun = time.monotonic()
        while True:
            while self.time_passes():
                pass
            tasks = self._tasks()
            longest = PATIENCE if any(task.ending for task in tasks) else LOOK
            if not tasks or not self.wait_until_asked(begun + longest - time.monotonic()):
                return

    def _tasks(self) -> list[Any]:
        """What the threads of its dispatchers have to do."""
        return [
            task
            for dispatcher in registry.dispatchers()
            if dispatcher.reactor is self
            for pool in dispatcher.pools()
            for task in pool.working.values()
        ]

    def wait_until_asked(self, seconds: float) -> bool:
        """Wait until a thread requests a call, at most `seconds` (real); return whether one did."""
        with self._condition:
            return self._condition.wait_for(lambda: bool(self._asked), max(0, seconds))


def _has_completed(job: Any) -> bool:
    return bool(job.status == COMPLETED)
