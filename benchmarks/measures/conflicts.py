"""ConflictErrors that putting threads meet while two dispatchers take their jobs."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ZODB.POSException import ConflictError

from benchmarks.clients import Client, client
from benchmarks.figures import Figure, at_most
from benchmarks.jobs import nothing
from benchmarks.scale import Scale
from benchmarks.storages import file_database, server
from benchmarks.workers import local_dispatcher, worker_processes

#: Threads that put.
THREADS = 8

#: Seconds for all jobs to end.
PATIENCE = 120


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Counts of conflicts."""
    (folder / "file").mkdir()
    with (
        file_database(folder / "file") as database,
        local_dispatcher(database),
        local_dispatcher(database),
    ):
        yield _count("FileStorage, 2 dispatchers", database, scale)
    for bare in (False, True):
        place = folder / f"zeo-{bare}"
        place.mkdir()
        with (
            server(place, bare) as running,
            running.database() as database,
            worker_processes(running, place, 2),
        ):
            name = "ZEO without zc.async" if bare else "ZEO"
            yield _count(f"{name}, 2 worker processes", database, scale)


def _count(where: str, database: Any, scale: Scale) -> Figure:
    # Eight putters, two dispatchers' worth of workers and an observer in one process.
    database.setPoolSize(40)
    putters = _Putters(database, scale.puts)
    conflicts = putters.run()
    with client(database) as one:
        one.wait_for_history(THREADS * (scale.puts + 1), PATIENCE, 0.1)
    note = f"of {THREADS * scale.puts} puts by {THREADS} threads"
    return Figure(f"conflicts, {where}", conflicts, "errors", required=at_most(0), note=note)


class _Putters:
    """Threads that put jobs at the same time."""

    def __init__(self, database: Any, puts: int) -> None:
        self._database = database
        self._puts = puts
        self._all_have_put = threading.Barrier(THREADS)
        # Appended to by all threads.
        self._conflicts: list[ConflictError] = []
        self._failures: list[BaseException] = []

    def run(self) -> int:
        """Put all jobs; return how many conflicts there were after each thread's first put."""
        threads = [threading.Thread(target=self._guarded, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        return len(self._conflicts)

    def _guarded(self) -> None:
        try:
            self._put_all()
        except BaseException as error:
            self._failures.append(error)
            self._all_have_put.abort()

    def _put_all(self) -> None:
        with contextlib.ExitStack() as stack:
            one = stack.enter_context(client(self._database))
            # The first put through a connection may have to make its lane.
            _put(one, lambda error: None)
            self._all_have_put.wait()
            for _ in range(self._puts):
                _put(one, self._conflicts.append)


def _put(one: Client, met: Callable[[ConflictError], Any]) -> None:
    while True:
        try:
            one.put(nothing)
        except ConflictError as error:
            met(error)
            one.manager.abort()
        else:
            return
