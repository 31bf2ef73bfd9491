"""When a poller looks thoroughly at each queue, and what its last look found there."""

import collections
import dataclasses

import zc.async_.clock
from zc.async_.dispatcher import thorough
from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.unserved import Unserved
from zc.async_.dispatcher.visit import Visit
from zc.async_.queue import Needs


@dataclasses.dataclass
class _Last:
    """The last look at a queue."""

    #: When it was (monotonic microseconds); None: the next one is due.
    time: int | None = None
    #: See `PollerState.forlorn`.
    forlorn: set[tuple[JobId, int]] = dataclasses.field(default_factory=set)
    unserved: Unserved = dataclasses.field(default_factory=Unserved)


class Looks:
    """The thorough looks of a poller, by the names of the queues. See `thorough`."""

    def __init__(self) -> None:
        self._last: dict[str, _Last] = collections.defaultdict(_Last)

    def forlorn(self, name: str) -> set[tuple[JobId, int]] | None:
        """What the last look at a queue found, if it is time for the next one; else None."""
        last = self._last[name]
        due = None if last.time is None else last.time + thorough.INTERVAL * 1_000_000
        return last.forlorn if due is None or zc.async_.clock.monotonic() >= due else None

    def is_news(self, name: str, needs: Needs) -> bool:
        """Whether to tell of needs that a look at a queue has found, and that nobody satisfies."""
        return self._last[name].unserved.is_news(needs)

    def note(self, visit: Visit) -> None:
        """Note a visit that ended well; it may have included a look."""
        if visit.is_thorough:
            last = self._last[visit.name]
            last.time, last.forlorn = zc.async_.clock.monotonic(), visit.forlorn
            last.unserved.note(visit.name, visit.unserved)

    def make_due(self) -> None:
        """Have the next visit of each queue look thoroughly."""
        for last in self._last.values():
            last.time = None

    def keep(self, names: list[str]) -> None:
        """Forget all other queues."""
        for name in self._last.keys() - set(names):
            del self._last[name]
