"""One worker, through the lives of its processes: started, replaced, ended, started again.

Only decides; processes are the business of whoever makes them (`spawning`). Everything happens in
the thread of the reactor.
"""

import enum
import logging
import math
import signal
from collections.abc import Callable
from typing import Any

import zope.interface

from zc.async_.worker import messages
from zc.async_.worker.backoff import Backoff
from zc.async_.worker.settings import Settings

#: Seconds that a process is given to end, after the grace period of its jobs. It hands back what it
#: has, and waits for its database as long as a ZEO client does.
PATIENCE = 60.0

#: Seconds between two looks whether a process of an earlier supervisor has ended.
SLOT_INTERVAL = 0.5

_log = logging.getLogger("zc.async.worker")


class SlotTakenError(Exception):
    """A process that an earlier supervisor has started is still alive. `args`: which one."""


class IWorkerProcess(zope.interface.Interface):
    """A process that runs. What it says goes to the `IListener` with which it was made."""

    pid = zope.interface.Attribute("The number of the process.")

    def drain(seconds: float) -> None:
        """Tell it to end, and to give its jobs so long; math.inf: as long as they take.

        May be called again, with another time from then on.
        """

    def terminate() -> None:
        """Have it end, as `drain`, even if it does not listen because it has not begun yet."""

    def kill() -> None:
        """End it at once."""


class IListener(zope.interface.Interface):
    """Hears of a process, in the thread of the reactor."""

    def said(message: dict[str, Any]) -> None:
        """The process has said something: see `messages`."""

    def ended(status: int) -> None:
        """The process has ended, and has no more to say. `status`: negative for a signal."""


class State(enum.Enum):
    """What a slot is at."""

    OFF = "off"
    STARTING = "starting"
    UP = "up"
    DRAINING = "draining"
    PAUSED = "about to be started again"


@zope.interface.implementer(IListener)
class Slot:
    """A numbered place for a worker, with an identity of its own."""

    def __init__(
        self,
        number: int,
        crew: Any,
        clock: Any,
        spawn: Callable[[int, Settings, "Slot"], Any],
    ) -> None:
        """Make a slot in which nothing runs.

        `number`: from 1. `crew`: a `Crew`. `clock`: an `IReactorTime`. `spawn`: starts the process
        of a number and settings for a listener, and returns an `IWorkerProcess`; or raises
        `SlotTakenError` or OSError.
        """
        self.number = number
        self.state = State.OFF
        #: That of the settings of the process.
        self.generation = 0
        #: Why the process is to be replaced; "" if it need not be.
        self.wish = ""
        #: Whether another process takes the place of the last one, and is not up yet.
        self.is_replaced = False
        #: What a process that is not up yet waits for.
        self.waits_for = ""
        self._crew = crew
        self._clock = clock
        self._spawn = spawn
        self._process: Any = None
        self._settings: Settings | None = None
        self._backoff = Backoff()
        #: The start after a pause, and the end of the patience with a process.
        self._timer: Any = None
        #: Whether there is to be a process.
        self._wanted = False
        #: Whether the end of the process was ordered.
        self._ordered = False
        #: Why the process cannot begin, and whether that may change by itself.
        self._failure: tuple[str, bool] | None = None
        #: When it came up, and when it last was known to be alive.
        self._up_since: float | None = None
        self._alive_at = 0.0
        self._killed = False
        self._told_taken = False

    # -- what the crew wants

    def start(self) -> None:
        """Start a process, with the newest settings; at once, if there was to be a pause."""
        self._wanted = True
        if self._process is not None or self._crew.stopping:
            return
        self._cancel_timer()
        self._settings = self._crew.settings
        self.generation = self._crew.generation
        self.wish = self.waits_for = ""
        self._ordered, self._killed, self._failure = False, False, None
        self.state = State.STARTING
        try:
            self._process = self._spawn(self.number, self._crew.settings, self)
        except SlotTakenError as error:
            self._wait_for_earlier(error)
        except OSError as error:
            self._died(f"cannot be started: {error.strerror or error}")
        else:
            self._told_taken = False
            _log.info("worker %d is process %d", self.number, self._pid)

    def replace(self, seconds: float, why: str) -> None:
        """Have the process end when its jobs have, or after so long, and start another."""
        if self._process is None:
            self.start()
            return
        _log.info("worker %d is replaced: %s", self.number, why)
        self.is_replaced = True
        self._end(seconds)

    def stop(self, seconds: float) -> None:
        """Have the process end when its jobs have, or after so long, and start no other."""
        self._wanted = False
        if self._process is None:
            self._cancel_timer()
            self.state = State.OFF
        else:
            self._end(seconds)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def forgive(self) -> None:
        """Forget how often it died, since the settings are new."""
        self._backoff.forget()

    def _end(self, seconds: float) -> None:
        self._ordered = True
        self.wish = ""
        if self.state is State.STARTING:
            self._process.terminate()
        else:
            self._process.drain(seconds)
        self.state = State.DRAINING
        self._cancel_timer()
        if seconds < math.inf:
            self._timer = self._clock.callLater(seconds + PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._timer = None
        self._crew.killed_one()
        self._kill("has not ended")

    def _kill(self, why: str) -> None:
        if not self._killed:
            self._killed = True
            _log.error("worker %d (process %d) %s: it is killed", self.number, self._pid, why)
            self._process.kill()

    @property
    def _pid(self) -> int:
        return int(self._process.pid)

    # -- whether it lives

    def silence(self) -> float:
        """For how long (seconds) a process that works has given no sign of life."""
        if self.state not in (State.UP, State.DRAINING) or self._up_since is None:
            return 0.0
        return max(0.0, float(self._clock.seconds() - self._alive_at))

    def excuse(self, seconds: float) -> None:
        """Do not count some time in which nobody listened."""
        self._alive_at += seconds

    def look(self) -> None:
        """Kill the process if it has been silent for too long."""
        limit = 0.0 if self._settings is None else self._settings.hang_timeout
        if self.state is State.DRAINING and self._timer is not None:
            # It has been given a time, and nothing ends it before that.
            return
        if limit and self.silence() > limit:
            self._kill(f"has given no sign of life for {self.silence():.0f} s")

    # -- what the process says

    def said(self, message: dict[str, Any]) -> None:
        """See `IListener`."""
        say = message["say"]
        if say == messages.ALIVE:
            self._is_alive(message)
        elif say == messages.READY:
            self._is_ready()
        elif say == messages.LEAVING and self.state is State.UP:
            # Somebody has told the process itself to end.
            self.state = State.DRAINING
            self.is_replaced = True
        elif say == messages.WAITING:
            self.waits_for = message["text"]
            self._crew.tell_once(f"worker {self.number} waits: {self.waits_for}", self.waits_for)
        elif say == messages.FAILED:
            self._failure = message["text"], message["again"]
        self._crew.changed()

    def _is_ready(self) -> None:
        self._alive_at = self._up_since = self._clock.seconds()
        self.waits_for = ""
        # Else it was told to end in the last moment.
        if self.state is State.STARTING:
            self.state = State.UP
            self.is_replaced = False
            _log.info("worker %d is up", self.number)
            self._crew.came_up()

    def _is_alive(self, message: dict[str, Any]) -> None:
        self._alive_at = self._clock.seconds() - message["silence"]
        settings, memory = self._settings, message["memory"]
        if settings is None or self.state is not State.UP:
            return
        if settings.max_jobs is not None and message["jobs"] >= settings.max_jobs:
            self.wish = f"it has run {message['jobs']} jobs"
        elif not message["jobs"]:
            # Else one that has too much memory from the start would be replaced for ever.
            return
        elif settings.max_memory is not None and memory and memory > settings.max_memory:
            self.wish = f"it has {memory // (1 << 20)} MiB of memory"

    def ended(self, status: int) -> None:
        """See `IListener`."""
        process, self._process = self._process, None
        self._cancel_timer()
        if not self._wanted:
            _log.info("worker %d has ended", self.number)
            self.state = State.OFF
        elif self._ordered:
            self.start()
        elif self._failure is not None:
            self._failed(*self._failure)
        else:
            level = logging.ERROR if status else logging.WARNING
            self._died(f"(process {process.pid}) {_how(status)}", level)
        self._up_since = None
        self._crew.changed()

    def _failed(self, text: str, again: bool) -> None:
        self.waits_for = text
        self._wait(self._backoff.died(0))
        if again:
            self._crew.tell_once(f"worker {self.number} cannot begin yet: {text}", text)
        else:
            self._crew.failed(self, text)

    def _wait_for_earlier(self, error: SlotTakenError) -> None:
        if not self._told_taken:
            self._told_taken = True
            _log.warning(
                "worker %d waits for the one%s of an earlier supervisor, which has not ended yet",
                self.number,
                error,
            )
        self.waits_for = f"worker {self.number} of an earlier supervisor"
        self._wait(SLOT_INTERVAL)

    def _died(self, what: str, level: int = logging.ERROR) -> None:
        came_up = self._up_since is not None
        lived = 0.0 if self._up_since is None else self._clock.seconds() - self._up_since
        seconds = self._backoff.died(lived)
        _log.log(level, "worker %d %s; it is started again in %g s", self.number, what, seconds)
        self._wait(seconds)
        self._crew.died(f"worker {self.number} {what}", came_up, self._backoff.deaths)

    def _wait(self, seconds: float) -> None:
        self.state = State.PAUSED
        self._timer = self._clock.callLater(seconds, self._start_again)

    def _start_again(self) -> None:
        self._timer = None
        self.start()
        self._crew.changed()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _how(status: int) -> str:
    if status >= 0:
        return f"has ended by itself, with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
