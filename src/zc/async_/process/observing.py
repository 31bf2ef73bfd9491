"""Whether a dispatcher lives, as this process sees it.

Clocks of machines differ, and are set. So the date in a ping says nothing; what counts is that it
changes. An observer - a dispatcher that polls, for the most part - looks again and again, and takes
a dispatcher for dead whose ping it saw unchanged, look after look, for `ping_death_interval` by its
own monotonic clock. An observer that was suspended, or out of touch with the database, does not
know what it missed, and begins anew.

What was seen is kept by the process, not in the database: for each `IDispatcherAgents`, by database
and oid. Any thread may look.
"""

import datetime
import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import zc.async_.clock
from zc.async_ import utils

#: Looks that are needed at least, and the part of the interval that has to lie between two of them
#: for both to count.
LOOKS = 3
SPACING = 10

#: The longest time between two looks after which nothing was missed: a part of the interval, or
#: that many intervals between polls, if that is longer.
GAP = 3
POLLS = 3

#: Seconds by which the clock of another machine may differ before it is told of.
TOLERANCE = 10


class Sight(NamedTuple):
    """What there is to be seen of a dispatcher."""

    #: When its ping was stored.
    serial: bytes
    #: What the ping says, for an activation that has not pinged yet its time.
    said: datetime.datetime


class Observation:
    """What this process knows of one dispatcher in one queue. Times are monotonic microseconds."""

    #: The newest that was seen, and since when it has been so.
    _sight: Sight | None = None
    _since = 0
    #: The last look, and the last one that counted; how many of these there were.
    _last = 0
    _counted = 0
    _looks = 0
    #: Whether that was for too long. It stays so, however rarely anybody looks, until it changes.
    _silent = False
    #: Between polls of whoever looks regularly.
    _poll_interval = 0
    #: Whether it was told that the clocks differ.
    _told = False
    #: What a dispatcher of this process said last, and when.
    _own_ping: datetime.datetime | None = None
    _own_time = 0

    def look(self, sight: Sight, interval: int, poll_interval: int) -> int | None:
        """Note what is to be seen now. Returns by how many seconds the clocks differ, once.

        `interval`: `ping_death_interval`; `poll_interval`: between two looks, 0 if that is not
        known (both in microseconds).
        """
        now = zc.async_.clock.monotonic()
        self._poll_interval = poll_interval or self._poll_interval
        gap = now - self._last
        known = self._sight
        if known is not None and sight.serial < known.serial:
            # A connection whose transaction began before others: it says nothing of the present.
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
        """By how many seconds a clock is fast, judged by a ping made in the last `gap`."""
        now = zc.async_.clock.microseconds()
        moment = zc.async_.clock.to_microseconds(said)
        tolerance = TOLERANCE * 1_000_000
        if self._told or now - gap - tolerance <= moment <= now + tolerance:
            return None
        self._told = True
        return round((moment - now + gap // 2) / 1_000_000)

    # -- the pings of this process

    def pinged(self, said: datetime.datetime) -> None:
        """Note that a dispatcher of this process pings, in a transaction that may yet fail."""
        self._own_ping, self._own_time = said, zc.async_.clock.monotonic()

    def since_own_ping(self, said: datetime.datetime | None) -> int | None:
        """Microseconds since this process made the ping that is there; None if it did not."""
        if said is None or said != self._own_ping:
            return None
        return zc.async_.clock.monotonic() - self._own_time


_mutex = threading.Lock()
#: By database, and then by oid. Under `_mutex`, as the observations themselves.
_observations: "WeakKeyDictionary[Any, dict[bytes, Observation]]" = WeakKeyDictionary()


def _observation(agents: Any) -> Observation:
    """The observation of a dispatcher. It comes along when the agents are stored."""
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

    `poll_interval`: seconds between two looks of the caller, if he looks regularly.
    """
    last = agents.last_ping
    said = last.value
    if agents.activated and (said is None or agents.activated > said):
        said = agents.activated
    if said is None:
        return False
    # Loaded by now.
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
    """Note that a dispatcher of this process says that it lives."""
    with _mutex:
        _observation(agents).pinged(agents.last_ping.value)


def since_own_ping(agents: Any) -> int | None:
    """Microseconds since a dispatcher of this process made the ping that is there.

    None: somebody else made it, or it was not stored.
    """
    with _mutex:
        return _observation(agents).since_own_ping(agents.last_ping.value)


def begin_anew(database: Any) -> None:
    """Have the observers of a database begin anew, since it was out of reach."""
    with _mutex:
        for observation in _observations.get(database, {}).values():
            observation.begin_anew()
