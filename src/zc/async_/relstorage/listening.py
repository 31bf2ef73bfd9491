"""Hears what `notifying` tells, with PostgreSQL's LISTEN.

One connection of a process listens for each of its databases, in a thread of its own: it works
with any reactor, and while all of them are busy. It is replaced when it is lost.
"""

import contextlib
import selectors
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from zc.async_ import utils
from zc.async_.relstorage.notifying import CHANNEL, NOTHING, is_of_application, read
from zc.async_.relstorage.storages import of_database
from zc.async_.relstorage.turns import turns_of
from zc.async_.relstorage.watching import is_watched, watch

#: Seconds until another try to listen: at first, and at most. They double.
BACKOFF = (0.5, 60.0)

#: Seconds for a notice of our own to arrive. If it does not, a pooler of connections stands before
#: the server, most likely.
TRIAL = 5.0

#: Called with the oids that changed, None for any, and the storage that changed them, if it is of
#: this process.
Tell = Callable[[Iterable[bytes] | None, Any], None]


class _DeafError(Exception):
    """Notices do not arrive."""


def can_listen(database: Any) -> bool:
    """Whether a database may give notice of changes by NOTIFY. In any thread."""
    storage = of_database(database)
    if storage is None:
        return False
    watch(database)
    # Who reads from a replica hears of a change before it can be seen there.
    return is_watched(storage) and not storage._options.ro_replica_conf


class Listening(threading.Thread):
    """Listens to the notices of one database, for which `can_listen`, until it is stopped."""

    def __init__(self, database: Any, tell: Tell) -> None:
        """`tell`: called in this thread."""
        name = database.database_name
        super().__init__(name=f"zc.async wake-up {name}", daemon=True)
        self._manager = of_database(database)._adapter.connmanager
        self._database_name = name
        self._tell = tell
        self._turns = turns_of(database)
        self._ending = threading.Event()
        self._ended = False
        # Held to write to the end that wakes this thread, and to close it.
        self._lock = threading.Lock()
        self._woken, self._waker = socket.socketpair()
        self._failures = 0
        #: Whether notices are heard now. Set by this thread; any may read.
        self.hears = False

    def stop(self) -> None:
        """Have it end soon. For any thread, any number of times."""
        self._ending.set()
        with self._lock:
            if not self._ended:
                self._waker.send(b".")

    def run(self) -> None:
        """Listen, and begin anew whenever that fails."""
        try:
            while not self._ending.is_set():
                self._try()
        finally:
            with self._lock:
                self._ended = True
                self._woken.close()
                self._waker.close()

    def _try(self) -> None:
        try:
            with self._listening() as connection:
                self._is_heard(True)
                self._failures = 0
                while not self._ending.is_set():
                    self._take(connection)
        except Exception as error:
            # Of psycopg2, RelStorage or the system: polls have to do meanwhile, whatever it is.
            self._is_heard(False)
            if not self._ending.is_set():
                self._wait_after(error)
        finally:
            self._is_heard(False)

    def _is_heard(self, hears: bool) -> None:
        """Note whether notices are heard. Whoever listens has to look: he may have missed some."""
        if hears != self.hears:
            self.hears = hears
            self._tell(None, None)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[Any]:
        """A connection that listens, and is known to hear."""
        connection, cursor = self._open()
        try:
            cursor.execute(f'LISTEN "{CHANNEL}"')
            self._try_out(connection)
            yield connection
        finally:
            self._manager.close(connection, cursor)

    def _open(self) -> tuple[Any, Any]:
        """A connection each statement of which is a transaction, and a cursor."""
        connection, cursor = self._manager.open(application_name="zc.async: wake-up")
        connection.autocommit = True
        return connection, cursor

    def _try_out(self, connection: Any) -> None:
        """Raise `_DeafError` if a notice of another connection does not arrive."""
        word = f"{uuid.uuid4().hex} {NOTHING}"
        other, cursor = self._open()
        try:
            cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, word))
        finally:
            self._manager.close(other, cursor)
        end = time.monotonic() + TRIAL
        while (left := end - time.monotonic()) > 0 and not self._ending.is_set():
            if any(notice == word for notice in self._notices(connection, left)):
                return
        raise _DeafError(
            "notices do not arrive. A pooler that shares connections between clients for a "
            "transaction each, such as PgBouncer in transaction mode, passes none"
        )

    def _take(self, connection: Any) -> None:
        """Wait for notices, and tell of them."""
        for notice in self._notices(connection, None):
            if is_of_application(notice):
                self._turns.heard_of_put()
            self._tell(*read(notice))

    def _notices(self, connection: Any, seconds: float | None) -> list[str]:
        """Wait for notices, or for the end; return the new ones."""
        with selectors.DefaultSelector() as selector:
            for end in (connection, self._woken):
                selector.register(end, selectors.EVENT_READ)
            ready = [key.fileobj for key, _events in selector.select(seconds)]
        if connection not in ready:
            return []
        connection.poll()
        notices = [notice.payload for notice in connection.notifies]
        connection.notifies.clear()
        return notices

    def _wait_after(self, error: Exception) -> None:
        first, longest = BACKOFF
        pause = min(longest, first * 2 ** min(self._failures, 30))
        # A server may be away for days: only powers of two are warnings.
        often = self._failures & (self._failures - 1)
        self._failures += 1
        (utils.log.info if often else utils.log.warning)(
            "database %r: cannot listen to changes, so dispatchers look for them often; next try "
            "in %g s: %s",
            self._database_name,
            pause,
            utils.told(error),
        )
        self._ending.wait(pause)
