"""Workers of a process take turns to commit.

RelStorage has transactions commit one after the other, in the order in which they ask for the lock
of the database. If all workers of a process ask at once, whoever puts a job in another process
comes after all of them, and all are slower than two that alternate.

A turn is a courtesy, and protects nothing: nobody waits for one longer than `PATIENCE`, so a
transaction that is stuck holds no other one up.
"""

import threading
import weakref
from typing import Any

from zc.async_.relstorage.guarding import guard
from zc.async_.relstorage.storages import of_connection

#: Seconds that a transaction waits for its turn at most.
PATIENCE = 0.25

_lock = threading.Lock()
_turns: "weakref.WeakKeyDictionary[Any, Turns]" = weakref.WeakKeyDictionary()


class Turns:
    """Those of a database in this process. For any thread."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        #: The number of whoever has one.
        self._whose: int | None = None

    def take(self, who: int) -> None:
        """Wait until nobody has a turn, or long enough, and begin one."""
        with self._condition:
            self._condition.wait_for(lambda: self._whose in (None, who), PATIENCE)
            self._whose = who

    def end(self, who: int) -> None:
        """End a turn, if it is that of the caller."""
        with self._condition:
            if self._whose == who:
                self._whose = None
                self._condition.notify()


def take_turns(connection: Any) -> None:
    """Have a guarded connection take turns with others of this process that do so, too.

    For the thread that uses it, any number of times. Does nothing to connections of other storages.
    """
    if of_connection(connection) is None or "tpc_finish" in vars(connection):
        return
    # What it replaces is called by what is put in its place here, and not the other way round.
    guard(connection)
    with _lock:
        turns = _turns.setdefault(connection.db(), Turns())
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
    """Replaces the `tpc_vote` of a connection, whatever that was."""

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
