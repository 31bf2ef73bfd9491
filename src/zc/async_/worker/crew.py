"""All workers together: they come up, are replaced one by one, and end.

A worker is replaced because the settings were read again (SIGHUP), or because it has run enough
jobs or has too much memory. At most one is replaced at a time, and the next one only after its
successor has come up. Only decides; everything happens in the thread of the reactor.
"""

import logging
import math
from collections.abc import Callable
from typing import Any

import zope.interface

from zc.async_.worker.settings import Settings
from zc.async_.worker.slot import Slot, State

#: Seconds between two looks whether all are alive.
LOOK_INTERVAL = 1.0

#: Seconds by which a look may be late before it is clear that this process was suspended.
LATE = 2.0

#: Deaths of a worker that has never come up, after which that is no bad luck.
MOST_EARLY_DEATHS = 3

_log = logging.getLogger("zc.async.worker")


class ICrewListener(zope.interface.Interface):
    """Hears what becomes of a crew."""

    def up() -> None:
        """All workers are up, for the first time."""

    def reloaded() -> None:
        """All workers have the newest settings, and are up."""

    def status(text: str) -> None:
        """How the crew is, in a line, has changed."""

    def gave_up(text: str, status: int) -> None:
        """No worker has ever come up, and none will. The crew is about to stop. Called once.

        `status`: that of the process is to be, 2 if the settings are wrong.
        """

    def ended() -> None:
        """All workers have ended, since the crew was stopped."""


class Crew:
    """The slots of a supervisor."""

    def __init__(
        self,
        settings: Settings,
        clock: Any,
        spawn: Callable[[int, Settings, Slot], Any],
        listener: Any,
    ) -> None:
        """Make a crew, which does nothing before `begin`.

        `clock`, `spawn`: see `Slot`. `listener`: an `ICrewListener`.
        """
        self.settings = settings
        #: Raised each time that the settings are read.
        self.generation = 1
        self.slots: list[Slot] = []
        #: Whether a process had to be killed because it did not end.
        self.has_killed = False
        self._clock = clock
        self._spawn = spawn
        self._listener = listener
        self._has_been_up = False
        self._any_was_up = False
        self._reloading = False
        #: Whether all are to end.
        self.stopping = False
        self._status = ""
        #: What was told, and need not be told again.
        self._told: set[str] = set()
        self._looked_at = 0.0
        self._look_call: Any = None

    # -- orders

    def begin(self) -> None:
        """Start all workers."""
        self._looked_at = self._clock.seconds()
        self._look_call = self._clock.callLater(LOOK_INTERVAL, self._look)
        self._grow()
        self.changed()

    def reload(self, settings: Settings) -> None:
        """Replace all workers, one by one, by others with these settings."""
        self.settings = settings
        self.generation += 1
        self._reloading = True
        self._told.clear()
        for slot in self.slots:
            if slot.state is State.DRAINING:
                # It may be waiting for its jobs without limit.
                slot.replace(settings.grace, "the settings were read again")
            slot.forgive()
        # Those that are new show first whether the settings are good.
        self._grow()
        self.changed()

    def _grow(self) -> None:
        for number in range(len(self.slots) + 1, self.settings.processes + 1):
            self.slots.append(Slot(number, self, self._clock, self._spawn))
        for slot in self._wanted():
            # Also one that is in a pause, or is ending and was not wanted any more.
            slot.start()

    def stop(self, seconds: float) -> None:
        """End all workers, and give their jobs so long. May be called again, with another time."""
        self.stopping = True
        for slot in self.slots:
            slot.stop(seconds)
        self.changed()

    def kill(self) -> None:
        """End all workers at once. `stop` was called before."""
        self.has_killed = True
        for slot in self.slots:
            slot.kill()

    # -- of the slots

    def came_up(self) -> None:
        """A worker has come up."""
        self._any_was_up = True
        self._told.clear()

    def killed_one(self) -> None:
        """A worker that was to end had to be killed."""
        self.has_killed = True

    def failed(self, slot: Slot, text: str) -> None:
        """A worker cannot begin, and that does not change by itself."""
        if self._any_was_up:
            self.tell_once(f"worker {slot.number} cannot begin: {text}", text, logging.ERROR)
        else:
            self._give_up(text, 2)

    def died(self, text: str, came_up: bool, deaths: int) -> None:
        """A worker has died; so many times in a row now."""
        if not came_up and not self._any_was_up and deaths >= MOST_EARLY_DEATHS:
            self._give_up(f"{text}, {deaths} times in a row before it was up", 1)

    def _give_up(self, text: str, status: int) -> None:
        if not self.stopping:
            self._listener.gave_up(text, status)
            self.stop(0)

    def tell_once(self, text: str, key: str, level: int = logging.WARNING) -> None:
        """Log a text, unless the same was told of another worker, or before."""
        if key not in self._told:
            self._told.add(key)
            _log.log(level, "%s", text)

    def changed(self) -> None:
        """Something has happened to a slot: go on with what there is to do."""
        if self.stopping:
            if all(slot.state is State.OFF for slot in self.slots):
                self._end()
            return
        self._replace_next()
        self._tell()

    # -- one by one

    def _wanted(self) -> list[Slot]:
        return self.slots[: self.settings.processes]

    def _replace_next(self) -> None:
        old = [slot for slot in self._wanted() if slot.generation < self.generation]
        new = [slot for slot in self._wanted() if slot.generation == self.generation]
        if any(slot.is_replaced for slot in self._wanted()):
            return
        if old:
            # Whether the settings are good is shown by those that have them.
            if all(slot.state is State.UP for slot in new):
                old[0].replace(self.settings.grace, "the settings were read again")
            return
        self._shrink()
        wishing = [slot for slot in new if slot.state is State.UP and slot.wish]
        if wishing:
            # However long its jobs take: this is no reason to interrupt them.
            wishing[0].replace(math.inf, wishing[0].wish)

    def _shrink(self) -> None:
        for slot in self.slots[self.settings.processes :]:
            if slot.state not in (State.OFF, State.DRAINING):
                slot.stop(self.settings.grace)

    def _tell(self) -> None:
        wanted = self._wanted()
        up = [slot for slot in wanted if slot.state is State.UP]
        current = all(slot.generation == self.generation for slot in wanted)
        if len(up) == len(wanted) and current:
            if not self._has_been_up:
                self._has_been_up = True
                self._listener.up()
            if self._reloading:
                self._reloading = False
                self._listener.reloaded()
        status = self.describe()
        if status != self._status:
            self._status = status
            self._listener.status(status)

    def describe(self) -> str:
        """How the workers are, for people."""
        counts: dict[State, int] = {}
        for slot in self.slots:
            counts[slot.state] = counts.get(slot.state, 0) + 1
        parts = [
            f"{counts[state]} {state.value}"
            for state in State
            if state in counts and state is not State.OFF
        ]
        waits = next((slot.waits_for for slot in self.slots if slot.waits_for), "")
        return "workers: " + ", ".join(parts) + (f" ({waits})" if waits else "")

    # -- whether they live

    def silence(self) -> float:
        """For how long (seconds) the most silent of the workers has given no sign of life."""
        return max((slot.silence() for slot in self.slots), default=0.0)

    def _look(self) -> None:
        now = self._clock.seconds()
        late = now - self._looked_at - LOOK_INTERVAL
        self._looked_at = now
        self._look_call = self._clock.callLater(LOOK_INTERVAL, self._look)
        for slot in self.slots:
            if late > LATE:
                # This process was suspended: what the workers said meanwhile is still to be read.
                slot.excuse(late)
            slot.look()

    def _end(self) -> None:
        call, self._look_call = self._look_call, None
        if call is not None:
            call.cancel()
            self._listener.ended()
