"""The storages that are measured: a FileStorage, one behind a ZEO server, and RelStorage."""

import contextlib
import importlib.metadata
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ZEO
import ZODB
import ZODB.FileStorage

from benchmarks import postgres
from benchmarks.children import child, said
from zc.async_.interfaces import KEY
from zc.async_.queue import Queue, Queues

#: Seconds to wait for the server.
PATIENCE = 90

SERVER = Path(__file__).with_name("zeoserver.py")


@contextlib.contextmanager
def file_database(folder: Path) -> Iterator[Any]:
    """A database in a FileStorage, with a queue."""
    database = ZODB.DB(ZODB.FileStorage.FileStorage(str(folder / "Data.fs")))
    try:
        add_queue(database)
        yield database
    finally:
        database.close()


def add_queue(database: Any) -> None:
    """Give a database a queue named ''."""
    with database.transaction() as connection:
        queues = connection.root()[KEY] = Queues()
        queues[""] = Queue()


class Server:
    """A ZEO server that runs."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    @property
    def spec(self) -> str:
        """See `open_database`."""
        host, port = self.address
        return f"zeo:{host}:{port}"

    @contextlib.contextmanager
    def database(self) -> Iterator[Any]:
        """A database of this server's storage, with the usual settings of a client."""
        database = ZEO.DB(self.address, wait=True, wait_timeout=PATIENCE)
        try:
            yield database
        finally:
            database.close()


@contextlib.contextmanager
def server(folder: Path, bare: bool = False) -> Iterator[Server]:
    """A server of a FileStorage with a queue; a `bare` one cannot import zc.async."""
    with empty_server(folder, bare) as running:
        with running.database() as database:
            add_queue(database)
        yield running


@contextlib.contextmanager
def empty_server(folder: Path, bare: bool = False) -> Iterator[Server]:
    """As `server`, without a queue."""
    address = "127.0.0.1", free_port()
    log = folder / "zeo.log"
    arguments = [str(SERVER), ":".join(map(str, address)), str(folder / "Data.fs")]
    if bare:
        arguments = ["-I", "-S", *arguments, str(_bare_environment(folder))]
    with child(arguments, log) as process:
        _check(process, log, bare)
        yield Server(address)


def _check(process: "subprocess.Popen[str]", log: Path, bare: bool) -> None:
    expected = "knows no zc.async" if bare else "knows zc.async"
    line = said(process, log)
    if line != expected:
        raise RuntimeError(f"the server {line}, but it is to be one that {expected}")


@contextlib.contextmanager
def open_database(spec: str) -> Iterator[Any]:
    """The database of a server, as another process was told of it: by the `spec` of the server."""
    kind, _, rest = spec.partition(":")
    words = rest.split(":")
    if kind == "zeo":
        server: Any = Server((words[0], int(words[1])))
    else:
        server = postgres.Zodb(rest.partition(":")[2], "", words[0] == "history")
    with server.database() as database:
        yield database


@contextlib.contextmanager
def zeo_database(folder: Path) -> Iterator[tuple[Server, Any]]:
    """A server and a database of it for this process."""
    with server(folder) as running, running.database() as database:
        yield running, database


@contextlib.contextmanager
def relstorage_database(folder: Path) -> Iterator[tuple[postgres.Zodb, Any]]:
    """A PostgreSQL server with a ZODB that has a queue, and the database for this process.

    The server writes to the disk as one should that has jobs to keep.
    """
    server = postgres.Postgres(folder / "postgres", free_port())
    server.start()
    try:
        zodb = server.zodb()
        with zodb.database() as database:
            add_queue(database)
            yield zodb, database
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _bare_environment(folder: Path) -> Path:
    """A folder with links to the files of ZEO and of what it needs, and of nothing else."""
    place = folder / "bare"
    for name in _needed_by("ZEO"):
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pth":
                link = place / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.abspath(distribution.locate_file(file)))
    return place


def _needed_by(name: str) -> set[str]:
    """The names of a distribution and of all installed ones that it needs, directly or not."""
    found: set[str] = set()
    wanted = [name]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            needs = importlib.metadata.requires(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed by another system or Python
        found.add(name)
        wanted += [_name(need) for need in needs or () if "extra ==" not in need]
    return found


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return match[0].lower()
