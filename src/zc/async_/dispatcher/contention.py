"""What a dispatcher does about conflicts with others: it waits, claims less, and pings first."""

import random
import time
from collections.abc import Iterable
from typing import Any

#: Seconds to wait after a conflict, at random up to this: for the first, and at most.
BACKOFF = 0.003
LONGEST_BACKOFF = 0.1

#: Seconds, as `LONGEST_BACKOFF`, for a dispatcher that cannot become active in a queue. Others are
#: not in its way for long then: rather, a handler raises conflicts.
LONGEST_ACTIVATION_BACKOFF = 3.0

#: Conflicts in a row after which fewer jobs are claimed.
PATIENCE = 3

#: Seconds after a conflict during which dispatchers claim from different places.
CONTENTION = 1.0


class Contention:
    """The conflicts of a dispatcher. For the thread that polls."""

    def __init__(self, uuid: Any) -> None:
        """`uuid`: of the dispatcher."""
        self._uuid = uuid
        #: How many there were in a row, by the names of queues (None: when none was reached).
        #: Apart from each other: else those of one queue would have no end, and no waits, as long
        #: as all is well in another one.
        self._counts: dict[str | None, int] = {}
        #: Until when dispatchers claim from different places (monotonic time).
        self.until = 0.0
        #: The names of the queues in which a transaction conflicted, and no ping was tried since.
        self._owing: set[str] = set()

    def note(self, names: Iterable[str] = (), longest: float = LONGEST_BACKOFF) -> float:
        """Note a conflict. Returns how long (seconds) to wait, at most `longest`.

        `names`: of the queues that the transaction was about.
        """
        # A ping went with it, perhaps.
        self._owing.update(names)
        self.until = time.monotonic() + CONTENTION
        # Short: the other dispatcher has just got its jobs, and is busy with them for a while.
        return random.uniform(0, min(longest, BACKOFF * 2 ** min(self._count(names) - 1, 10)))

    def _count(self, names: Iterable[str]) -> int:
        """Count a conflict; return how many there were in a row."""
        counted: list[str | None] = [*names] or [None]
        for name in counted:
            self._counts[name] = self._counts.get(name, 0) + 1
        return max(self._counts[name] for name in counted)

    def note_success(self, name: str) -> None:
        """Note a transaction in a queue that did not conflict."""
        self._counts.pop(name, None)
        self._counts.pop(None, None)

    def owes_ping(self, name: str) -> bool:
        """Whether a ping in that queue, if it is time for one, comes before all else.

        A claim may conflict again and again if other dispatchers are faster. If that kept this one
        from its pings, it would be taken for dead.
        """
        return name in self._owing

    def has_pinged(self, name: str) -> None:
        """Note that it has pinged in that queue, or that it was not time."""
        self._owing.discard(name)

    def keep(self, names: Iterable[str]) -> None:
        """Forget the queues that are none of these."""
        self._owing.intersection_update(names)
        for name in self._counts.keys() - {None, *names}:
            del self._counts[name]

    def most_jobs(self, name: str, wanted: int) -> int:
        """How many jobs to claim in a queue: after several conflicts in a row fewer, down to one.

        Not after the first conflict: dispatchers conflict over the first jobs anyway, and smaller
        claims mean more claims.
        """
        count = self._counts.get(name, 0)
        return max(1, wanted >> max(0, count - PATIENCE)) if wanted else 0

    def share(self, dispatchers: Any) -> int | None:
        """A number that no other active dispatcher has, or None without recent conflicts.

        `dispatchers`: the `IDispatchers` of a queue.
        """
        if time.monotonic() >= self.until:
            return None
        active = sorted(uuid for uuid, agents in dispatchers.items() if agents.activated)
        return active.index(self._uuid) if self._uuid in active else None
