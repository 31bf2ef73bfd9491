"""Keeps track of the objects that concern a dispatcher, to hear of their changes."""

from collections.abc import Callable
from typing import Any

from zc.async_.dispatcher import wakeup
from zc.async_.dispatcher.plans import Outcome


class Watch:
    """Owns the listener, and what it listens to. Only from the reactor's thread.

    The listener itself is called in committing threads and in the network thread, where it calls
    `wake`.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.listener = wakeup.Listener(wake)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation."""
        self._watched: dict[Any, frozenset[bytes]] = {}
        #: The databases that have queues.
        self._homes: tuple[Any, ...] = ()

    @property
    def is_deaf(self) -> bool:
        """Whether a database gives no notice of commits, or gives none just now."""
        return not all(map(wakeup.hears, self._homes))

    def follow(self, outcome: Outcome) -> bool:
        """Listen to the objects that a poll found to matter.

        Returns whether some of them are new. Then changes between the poll and now were not heard.
        """
        watched = dict(outcome.watched)
        for database, oids in outcome.roots.items():
            watched[database] = watched.get(database, frozenset()) | oids
        if watched == self._watched or outcome.failed:
            return False
        # Another database may have another object with the same oid: at worst a needless poll.
        concerns: frozenset[bytes] = frozenset().union(*watched.values())
        is_news = not concerns <= self.listener.oids or not watched.keys() <= self._watched.keys()
        self.listener.oids = concerns
        for database in watched:
            wakeup.listen(database, self.listener)
        # Roots do not count here: a poll will find a new queue.
        self._homes = tuple(outcome.watched)
        self._watched = watched
        return is_news

    def end(self) -> None:
        """Listen no more. Also for the thread that abandons a dispatcher."""
        for database in self._watched:
            wakeup.forget(database, self.listener)
