"""A PostgreSQL server for RelStorage, which can be broken in ways of its own."""

import contextlib
import os
import random
import signal
import threading
import urllib.parse
from pathlib import Path
from typing import Any

from benchmarks.postgres import Postgres, Zodb
from benchmarks.storages import free_port
from tests.torture.processes import DATABASE_TIMEOUT, LOCK_TIMEOUT

#: What can be done to the server: shortest and longest duration (seconds), and weight.
BREAKAGES = {
    "kill server": (0.0, 1.0, 4),
    "restart server": (0.0, 1.0, 4),
    "suspend server": (0.2, 1.7 * DATABASE_TIMEOUT, 2),
    "end backends": (0.0, 0.0, 4),
    "lock commits": (0.2, 1.5 * DATABASE_TIMEOUT, 2),
    "lock objects": (0.2, 1.5 * DATABASE_TIMEOUT, 2),
}


class PostgresServer:
    """The server, with one ZODB."""

    name = "server"
    breakages = BREAKAGES
    #: A word of the request that commits.
    commit_word = b"lock_and_choose_tid_and_move"
    #: Whether clients have to be kept from reaching a server that is started again.
    is_to_be_hidden = False

    def __init__(self, folder: Path) -> None:
        self._server = Postgres(folder / "postgres", free_port(), "max_connections=200")
        self.address = "127.0.0.1", self._server.port
        self._name = ""
        self._suspended: list[int] = []
        self._random = random.Random(0)

    def start(self) -> None:
        """Start it, and wait until it can be reached."""
        self._server.start()
        if not self._name:
            self._name = self._server.create()

    def zodb(self, port: int | None = None) -> Zodb:
        """The database, directly or by the port of a proxy."""
        dsn = self._server.dsn(self._name, self.address[1] if port is None else port)
        dsn += f" sslmode='disable' gssencmode='disable' connect_timeout='{DATABASE_TIMEOUT}'"
        return Zodb(dsn, self._name, keep_history=False)

    def spec(self, port: int) -> str:
        """How a worker finds it by a proxy."""
        return self.zodb(port).spec

    def uri(self, port: int) -> str:
        """How `zc-async worker` finds it by a proxy."""
        options = {
            "keep_history": "false",
            "driver": "psycopg2",
            "commit_lock_timeout": LOCK_TIMEOUT,
            "connect_timeout": DATABASE_TIMEOUT,
        }
        query = urllib.parse.urlencode(options)
        return f"postgresql://postgres:@127.0.0.1:{port}/{self._name}?{query}"

    def database(self, port: int | None = None) -> Any:
        """The database for this process."""
        return self.zodb(port).database(commit_lock_timeout=LOCK_TIMEOUT)

    def kill(self) -> None:
        """Have it crash."""
        self._server.crash(self._random.choice([signal.SIGQUIT, signal.SIGKILL]))

    def terminate(self) -> None:
        """Stop it as an operator does who does not wait for its clients."""
        self._server.stop()

    def leave(self) -> None:
        """Have it end."""
        self.resume()
        self._server.stop()

    def suspend(self) -> None:
        """Have all of its processes do nothing."""
        self._suspended = [self._server.pid, *_children(self._server.pid)]
        _signal(self._suspended, signal.SIGSTOP)

    def resume(self) -> None:
        """Have them go on."""
        _signal(self._suspended, signal.SIGCONT)
        self._suspended = []

    def end_backends(self) -> None:
        """End some of the connections, whatever they are doing."""
        with self._server.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND random() < %s",
                (self._name, self._random.uniform(0.2, 1)),
            )

    def lock_commits(self, ending: threading.Event, seconds: float) -> None:
        """Keep the lock that each commit takes last."""
        self._hold([-1], ending, seconds)

    def lock_objects(self, ending: threading.Event, seconds: float) -> None:
        """Keep the locks of objects that were written lately."""
        with self._server.cursor(self._name) as cursor:
            cursor.execute("SELECT zoid FROM object_state ORDER BY tid DESC LIMIT 30")
            numbers = [number for (number,) in cursor.fetchall()]
        self._hold(self._random.sample(numbers, min(5, len(numbers))), ending, seconds)

    def _hold(self, numbers: list[int], ending: threading.Event, seconds: float) -> None:
        with self._server.cursor(self._name) as cursor:
            for number in numbers:
                cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
            ending.wait(seconds)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
