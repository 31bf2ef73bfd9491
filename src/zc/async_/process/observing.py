"""Tells whether a dispatcher lives, by what this process sees of its pings.

Clocks of machines differ, and people set them. So the date in a ping says nothing; it only counts
that the ping changes. An observer, usually a dispatcher that polls, looks again and again. It takes
a dispatcher for dead if the ping stayed unchanged in several looks for `ping_death_interval` by the
observer's own monotonic clock. An observer that was suspended, or cut off from the database, does
not know what it missed and begins again.

The process keeps these observations in memory, not in the database: one for each
`IDispatcherAgents`, by database and oid. Any thread may look.
"""

import datetime
import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import zc.async_.clock
from zc.async_ import utils

#: The least number of looks that is needed. Two looks both count only if the time between them is
#: at least the interval divided by SPACING.
LOOKS = 3
SPACING = 10

#: After a longer time between two looks, a change may have been missed: the interval divided by
#: GAP, or POLLS times the poll interval, if that is longer.
GAP = 3
POLLS = 3

#: Seconds by which the clock of another machine may differ before a warning is logged.
TOLERANCE = 10


class Sight(NamedTuple):
    """The state of a dispatcher's ping at one look."""

    #: When its ping was stored.
    serial: bytes
    #: The time in the ping; before the first ping, the time of the activation.
    said: datetime.datetime


class Observation:
    """What this process knows of one dispatcher in one queue. Times are monotonic microseconds."""

    #: The newest ping that was seen, and when it was seen first.
    _sight: Sight | None = None
    _since = 0
    #: The last look, the last look that counted, and how many looks counted.
    _last = 0
    _counted = 0
    _looks = 0
    #: Whether the ping was unchanged for too long. This lasts until the ping changes, however
    #: rarely anybody looks.
    _silent = False
    #: The time between two polls of an observer that looks regularly.
    _poll_interval = 0
    #: Whether it was logged that the clocks differ.
    _told = False
    #: The last ping by a dispatcher of this process, and when it was made.
    _own_ping: datetime.datetime | None = None
    _own_time = 0

    def look(self, sight: Sight, interval: int, poll_interval: int) -> int | None:
        """Note the present sight. Returns, once, by how many seconds the clocks differ.

        `interval` is `ping_death_interval`. `poll_interval` is the time between two looks, 0 if it
        is not known. Both are in microseconds.
        """
        now = zc.async_.clock.monotonic()
        self._poll_interval = poll_interval or self._poll_interval
        gap = now - self._last
        known = self._sight
        if known is not None and sight.serial < known.serial:
            # The connection's transaction began earlier than that of the last look: what it sees is
            # out of date.
            return None
        difference = None
        if known is not None and sight != known:
            difference = self._difference(sight.said, gap)
        missed = gap > max(interval // GAP, POLLS * self._poll_interval) and not self._silent
        if sight != known or missed:
            self._sight, self._since, self._looks, self._counted = sight, now, 0, now
            self._silent = False
        elif now - self._counted >= interval // SPACING:
            self._looks, self._counted = self._looks + 1, now
        self._last = now
        return difference

    def is_silent(self, interval: int) -> bool:
        """Whether nothing has changed for longer than `interval` (microseconds)."""
        if self._sight is None:
            return False
        self._silent = self._looks >= LOOKS and self._last - self._since > interval
        return self._silent

    def begin_anew(self) -> None:
        """Forget for how long nothing has changed."""
        self._sight, self._silent = None, False

    def _difference(self, said: datetime.datetime, gap: int) -> int | None:
        """By how many seconds the other clock is fast, judged by a ping made in the last `gap`."""
        now = zc.async_.clock.microseconds()
        moment = zc.async_.clock.to_microseconds(said)
        tolerance = TOLERANCE * 1_000_000
        if self._told or now - gap - tolerance <= moment <= now + tolerance:
            return None
        self._told = True
        return round((moment - now + gap // 2) / 1_000_000)

    # -- the pings of this process

    def pinged(self, said: datetime.datetime) -> None:
        """Note that a dispatcher of this process pings, in a transaction that may still fail."""
        self._own_ping, self._own_time = said, zc.async_.clock.monotonic()

    def since_own_ping(self, said: datetime.datetime | None) -> int | None:
        """Microseconds since this process made the ping in the database; None if it did not."""
        if said is None or said != self._own_ping:
            return None
        return zc.async_.clock.monotonic() - self._own_time


_mutex = threading.Lock()
#: By database, then by oid. `_mutex` guards this and the observations themselves.
_observations: "WeakKeyDictionary[Any, dict[bytes, Observation]]" = WeakKeyDictionary()


def _observation(agents: Any) -> Observation:
    """The observation of a dispatcher. One made before the agents were stored is kept."""
    jar = agents._p_jar
    own = vars(agents).get("_v_observation")
    if jar is None:
        if own is None:
            own = agents._v_observation = Observation()
        return own
    known = _observations.setdefault(jar.db(), {})
    return known.setdefault(agents._p_oid, own or Observation())


def look(agents: Any, poll_interval: float = 0) -> bool:
    """Look at a dispatcher; return whether it has been silent for too long.

    `poll_interval`: seconds between two looks of the caller, if it looks regularly.
    """
    last = agents.last_ping
    said = last.value
    if agents.activated and (said is None or agents.activated > said):
        said = agents.activated
    if said is None:
        return False
    # Reading `value` has loaded the object, so the serial is set.
    sight = Sight(last._p_serial, said)
    interval = zc.async_.clock.interval_microseconds(agents.ping_death_interval)
    with _mutex:
        observation = _observation(agents)
        difference = observation.look(sight, interval, round(poll_interval * 1_000_000))
        silent = observation.is_silent(interval)
    if difference is not None:
        utils.log.warning(
            "the clock of dispatcher %s is about %d s %s that of this process: dates differ by as "
            "much, such as those at which jobs are due. Have the clocks synchronized (NTP)",
            agents.UUID,
            abs(difference),
            "ahead of" if difference > 0 else "behind",
        )
    return silent


def pinged(agents: Any) -> None:
    """Note that a dispatcher of this process pings."""
    with _mutex:
        _observation(agents).pinged(agents.last_ping.value)


def since_own_ping(agents: Any) -> int | None:
    """Microseconds since a dispatcher of this process made the ping in the database.

    None if another process made it, or if this process's ping was not stored.
    """
    with _mutex:
        return _observation(agents).since_own_ping(agents.last_ping.value)


def begin_anew(database: Any) -> None:
    """Make the observers of a database begin again, because it was out of reach."""
    with _mutex:
        for observation in _observations.get(database, {}).values():
            observation.begin_anew()
