"""Which objects concern a dispatcher, so that it hears when somebody changes them."""

from collections.abc import Callable
from typing import Any

from zc.async_.dispatcher import wakeup
from zc.async_.dispatcher.plans import Outcome


class Watch:
    """Owns the listener, and what it listens to. Only from the reactor's thread.

    The listener itself is called in committing threads and that of the network. `wake`: what it
    calls there.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.listener = wakeup.Listener(wake)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation."""
        self._watched: dict[Any, frozenset[bytes]] = {}
        #: Whether a database does not say when something was committed.
        self.is_deaf = False

    def follow(self, outcome: Outcome) -> bool:
        """Listen to what a poll found to be of concern.

        Returns whether something of that is new, so that what was committed between the poll and
        now was not heard.
        """
        watched = dict(outcome.watched)
        for database, oids in outcome.roots.items():
            watched[database] = watched.get(database, frozenset()) | oids
        if watched == self._watched or outcome.failed:
            return False
        # An oid may be another object's in another database: at worst that is a needless poll.
        concerns: frozenset[bytes] = frozenset().union(*watched.values())
        is_news = not concerns <= self.listener.oids or not watched.keys() <= self._watched.keys()
        self.listener.oids = concerns
        heard = {database: wakeup.listen(database, self.listener) for database in watched}
        # Of a new queue, a poll will tell.
        self.is_deaf = not all(heard[database] for database in outcome.watched)
        self._watched = watched
        return is_news

    def end(self) -> None:
        """Listen no more. Also for the thread that abandons a dispatcher."""
        for database in self._watched:
            wakeup.forget(database, self.listener)
