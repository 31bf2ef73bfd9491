"""Workers of a process take turns to commit.

RelStorage has transactions commit one after the other, in the order in which they ask for the lock
of the database. If all workers of a process ask at once, whoever puts a job in another process
comes after all of them, and all are slower than two that alternate. While applications put many
jobs, a gap is left for them after each turn: somebody waits for each of these puts.

A turn is a courtesy, and protects nothing: nobody waits for one longer than `PATIENCE` and the gap
before it, so a transaction that is stuck holds no other one up.
"""

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from zc.async_.relstorage.guarding import guard
from zc.async_.relstorage.storages import of_connection

#: Seconds that a transaction waits at most for the turn of another to end.
PATIENCE = 0.25

#: Seconds between two puts of applications at most, for gaps to be left for them; and for how long
#: gaps are left after the last put.
OFTEN = 0.05

#: The length of a gap: this share of the turn before it, and seconds at most. Half a turn costs
#: those who work a quarter of their commits, while others put all they can.
SHARE, LONGEST = 0.5, 0.05

_lock = threading.Lock()
_turns: "weakref.WeakKeyDictionary[Any, Turns]" = weakref.WeakKeyDictionary()


class Turns:
    """Those of a database in this process. For any thread."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`now`: the time in seconds. `sleep`: waits for some."""
        self._now = now
        self._sleep = sleep
        self._condition = threading.Condition()
        #: The number of whoever has one.
        self._whose: int | None = None
        # When it began, and when the next one may.
        self._begun = self._next = now()
        # When a put was last heard of, and until when gaps are left for others. Written by the
        # thread that hears.
        self._heard = self._gaps_until = now() - OFTEN

    def take(self, who: int) -> None:
        """Wait until nobody has a turn, or long enough, and for the gap; then begin one."""
        with self._condition:
            self._condition.wait_for(lambda: self._whose in (None, who), PATIENCE)
            self._whose = who
            gap = self._next - self._now()
        if gap > 0:
            self._sleep(gap)
        self._begun = self._now()

    def end(self, who: int) -> None:
        """End a turn, if it is that of the caller."""
        with self._condition:
            if self._whose == who:
                self._whose = None
                now = self._now()
                if now < self._gaps_until:
                    self._next = now + min(LONGEST, SHARE * (now - self._begun))
                self._condition.notify()

    def heard_of_put(self) -> None:
        """Leave gaps for applications for a while, if they put often. For the thread that hears.

        A lone put makes no gap: it would have its own job wait.
        """
        now = self._now()
        if now < self._heard + OFTEN:
            self._gaps_until = now + OFTEN
        self._heard = now


def turns_of(database: Any) -> Turns:
    """Those of a database. For any thread."""
    with _lock:
        return _turns.setdefault(database, Turns())


def take_turns(connection: Any) -> None:
    """Have a guarded connection take turns with others of this process that do so, too.

    For the thread that uses it, any number of times. Does nothing to connections of other storages.
    """
    if of_connection(connection) is None or "tpc_finish" in vars(connection):
        return
    # What it replaces is called by what is put in its place here, and not the other way round.
    guard(connection)
    turns = turns_of(connection.db())
    connection.tpc_vote = _Vote(connection, turns)
    connection.tpc_finish = _End(connection, turns, "tpc_finish")
    connection.tpc_abort = _End(connection, turns, "tpc_abort")


def leave_turns(connection: Any) -> None:
    """Have a connection take none any more, before another thread may get it.

    For the thread that uses it. Does nothing to one that takes none.
    """
    for name, ours in list(vars(connection).items()):
        if isinstance(ours, (_Vote, _End)):
            if ours.before is None:
                delattr(connection, name)
            else:
                setattr(connection, name, ours.before)


class _Vote:
    """Replaces the `tpc_vote` of a connection, whatever that was.

    `Notifying` knows a worker by that.
    """

    def __init__(self, connection: Any, turns: Turns) -> None:
        self._turns = turns
        self._connection = weakref.ref(connection)
        self.before = vars(connection).get("tpc_vote")

    def __call__(self, transaction: Any) -> None:
        connection: Any = self._connection()
        self._turns.take(id(connection))
        if self.before is None:
            type(connection).tpc_vote(connection, transaction)
        else:
            self.before(transaction)


class _End:
    """Replaces the `tpc_finish` or `tpc_abort` of a connection."""

    def __init__(self, connection: Any, turns: Turns, name: str) -> None:
        self._turns = turns
        self._connection = weakref.ref(connection)
        self.before = vars(connection).get(name)
        self._name = name

    def __call__(self, transaction: Any) -> None:
        connection: Any = self._connection()
        try:
            if self.before is None:
                getattr(type(connection), self._name)(connection, transaction)
            else:
                self.before(transaction)
        finally:
            self._turns.end(id(connection))
