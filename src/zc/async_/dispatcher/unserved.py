"""Tells in the log of jobs that need labels that no dispatcher has."""

from zc.async_ import utils
from zc.async_.job import COROUTINE
from zc.async_.queue import Needs


class Unserved:
    """What a poller knows of needs that nobody satisfies, in one queue.

    They are told of at the second look in a row that finds them: a dispatcher that has the labels
    may be starting. They are told once, and again if they were satisfied in between.
    """

    def __init__(self) -> None:
        self._seen: frozenset[Needs] = frozenset()
        self._told: set[Needs] = set()

    def is_news(self, needs: Needs) -> bool:
        """Whether to tell of needs that a look has found."""
        return needs in self._seen and needs not in self._told

    def note(self, name: str, found: dict[Needs, int]) -> None:
        """Note a look at the queue of that name: what it found, with the numbers of jobs."""
        for needs, count in found.items():
            if count and self.is_news(needs):
                self._told.add(needs)
                utils.log.warning(
                    "queue %r: jobs wait (%d) that need the labels %s, and no dispatcher at work "
                    "there has them all. Give them to a dispatcher or an agent (`labels`), or "
                    "change the `needs` of the jobs. This is told once; `queue.unserved()` tells "
                    "it at any time, and so does the command `asyncdb unserved`",
                    name,
                    count,
                    ", ".join(need for need in needs if need != COROUTINE),
                )
        self._seen = frozenset(found)
        self._told &= self._seen
