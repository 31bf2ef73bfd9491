"""The torture of a FileStorage: one process has it, puts the jobs and runs them.

    python -m tests.torture.alone FOLDER SEED JOBS

puts and runs until the file `stop` is in the folder and all jobs have ended, which it says. It goes
on where its predecessor was. It ends with its standard input, or at a signal.
"""

import contextlib
import datetime
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ZODB
import ZODB.FileStorage

import zc.async_.dispatcher
import zc.async_.subscribers
from benchmarks.children import wait_for_end_of_input
from benchmarks.storages import add_queue
from benchmarks.workers import wait_until
from tests.processes import lines, write_line
from tests.torture import breaking, explaining, logs, places, report, verdict, work
from tests.torture.faults import Fault
from tests.torture.processes import PATIENCE, POLL_INTERVAL, FileProcess, Settings, configure
from tests.torture.putting import NUMBERS, Putter, prepare
from tests.torture.run import LONGEST_DRAIN, PUTTERS, Options, state_of_what_is_left, views
from tests.torture.stalls import StallWatch
from tests.torture.watching import Watcher
from zc.async_.interfaces import DatabaseOpened

#: Its name: that of a worker, whose logs are looked at.
NAME = "worker-1"

#: It does what others would.
LABELS = sorted({label for labels in places.LABELS.values() for label in labels})

SETTINGS = Settings(size=6, grace=0.5, death=600)

#: What can be done to its disk: shortest and longest duration (seconds), and weight.
DISK_BREAKAGES = {"disk full": (0.2, 1.5, 5)}

#: Seconds between two looks at what has not ended.
PAUSE = 0.2


def open_database(folder: Path) -> Any:
    """The database; it is in one process at a time."""
    return ZODB.DB(ZODB.FileStorage.FileStorage(str(folder / "Data.fs")))


class LoneWorker(FileProcess):
    """The process, and its disk."""

    breakages = DISK_BREAKAGES

    def __init__(self, folder: Path, options: Options) -> None:
        super().__init__(NAME, folder)
        self._arguments = [str(folder), str(options.seed), str(options.jobs)]
        self._file = folder / "Data.fs"
        file = folder / f"{NAME}.uuid"
        file.write_text(f"{places.UUIDS[NAME]}\n")
        self._environment = {**os.environ, "ZC_ASYNC_UUID": str(file)}

    def start(self) -> None:
        """Start it, and do not wait."""
        self._start(["-m", "tests.torture.alone", *self._arguments], self._environment)


class LoneTorture:
    """A run: see the module, and `tests.torture.run`."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._faults: list[tuple[str, Fault]] = []

    def run(self) -> bool:
        """Do all of it; return whether all went well."""
        with contextlib.closing(open_database(self._folder)) as database:
            add_queue(database)
            with database.transaction() as connection:
                prepare(connection, PUTTERS)
        worker = LoneWorker(self._folder, self._options)
        worker.start()
        try:
            self._break(worker)
            began = time.monotonic()
            drained = self._drain(worker)
        finally:
            worker.leave()
        with contextlib.closing(open_database(self._folder)) as database, views(database) as view:
            self._judge(view(), database.storage, drained)
            self._print(view(), time.monotonic() - began, drained)
        return not self._faults

    def _break(self, worker: LoneWorker) -> None:
        self._breaker = breaking.Breaker(worker, {NAME: worker}, {})
        stalls = StallWatch(self._folder, self._breaker.outages)
        stalls.start()
        planned = breaking.plan(
            self._options.seed,
            self._options.seconds,
            self._options.kills,
            {NAME: breaking.WORKER_BREAKAGES, breaking.SERVER: DISK_BREAKAGES},
            self._options.without,
        )
        beginning = time.monotonic()
        self._breaker.start(planned, lambda: time.monotonic() - beginning)
        time.sleep(self._options.seconds)
        self._breaker.stop()
        stalls.stop()

    def _drain(self, worker: LoneWorker) -> bool:
        (self._folder / "stop").touch()
        with contextlib.suppress(TimeoutError):
            wait_until((self._folder / "ended").exists, LONGEST_DRAIN, PAUSE)
        if worker.ended is not None:
            self._faults.append(("", Fault("broken", worker.how_it_ended())))
        return (self._folder / "ended").exists()

    def _judge(self, connection: Any, storage: Any, drained: bool) -> None:
        if not drained:
            self._faults.append(("", Fault("stuck", "NOT ENDED: jobs were left in the end")))
        acknowledged = {int(number) for (number,) in lines(self._folder / "acknowledged")}
        self._faults += verdict.judge(connection, self._folder / "effects", acknowledged)
        for words in lines(self._folder / "over quota"):
            self._faults.append(("limited", Fault("over quota", " ".join(words))))
        self._faults += [("", Fault("broken", text)) for text in self._breaker.problems]
        errors = logs.logged(self._folder)
        unexplained = explaining.unexplained(errors, self._breaker.outages)
        self._faults += [("", fault) for fault in unexplained]
        self._faults += [("", fault) for fault in verdict.judge_storage(storage, 0)]

    def _print(self, connection: Any, seconds: float, drained: bool) -> None:
        print(report.table(verdict.counts(connection), self._faults))
        print(report.tally("broken", self._breaker.done))
        print(report.tally("log records", report.log_levels(self._folder)))
        print(f"{'ended' if drained else 'NOT ENDED'} after {seconds:.1f} s more", flush=True)
        if self._faults:
            print(f"\n{report.details(self._folder, self._faults)}\n", flush=True)


# -- in the process


class _LonePutter(Putter):
    """One that goes on after its predecessor, and notes what is acknowledged where that stays."""

    def __init__(self, database: Any, index: int, folder: Path, seed: int, most: int) -> None:
        super().__init__(database, index, seed, str(folder / "effects"), most)
        self._folder = folder
        with database.transaction() as connection:
            records = connection.root()[work.ROOT]["records"][index]
            put = len(records)
            last = records.maxKey() if put else index * NUMBERS - 1
        # Not those of its predecessor, which may have begun with it.
        self._next = max(last + 1, index * NUMBERS + put) + 1000
        self._left = most - put

    def act(self, manager: Any, connection: Any) -> None:
        """Put until there are enough, or it is told to stop; and tell of errors in the log."""
        super().act(manager, connection)
        for one in self.met:
            logging.getLogger("putter").error("%s: %s", one.error, one.text)

    def _try_to_put(self, manager: Any, connection: Any) -> bool:
        before = set(self.acknowledged)
        put = super()._try_to_put(manager, connection)
        for number in self.acknowledged - before:
            write_line(self._folder / "acknowledged", number)
        if (self._folder / "stop").exists():
            self._ending.set()
        return put


class _LoneWatcher(Watcher):
    """One that notes what it sees where it stays."""

    def __init__(self, database: Any, folder: Path) -> None:
        super().__init__(database)
        self._file = folder / "over quota"

    def look(self, connection: Any) -> None:
        """Count the jobs that hold places now."""
        super().look(connection)
        for fault in self.faults:
            write_line(self._file, fault.text)
        self.faults.clear()


def _say_when_all_has_ended(database: Any, folder: Path) -> None:
    """Look, when no more is put, until nothing is left."""
    with views(database) as view:
        while not (folder / "stop").exists() or state_of_what_is_left(view):
            time.sleep(PAUSE)
    (folder / "ended").touch()


def main(name: str, seed: str, jobs: str) -> None:
    """Put and run jobs until the standard input ends."""
    folder = Path(name)
    logging.basicConfig(
        level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(threadName)s %(message)s"
    )
    logging.getLogger("zc.async").setLevel(logging.INFO)
    logging.getLogger("zc.async.trace").setLevel(logging.WARNING)
    # Whatever measures the coverage may have put a handler of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    configure(SETTINGS)
    with contextlib.closing(open_database(folder)) as database:
        installer = zc.async_.subscribers.ThreadedDispatcherInstaller(POLL_INTERVAL, labels=LABELS)
        installer(DatabaseOpened(database))
        dispatcher = zc.async_.dispatcher.get()
        dispatcher.shutdown_grace_period = SETTINGS.grace
        seeds = int(seed) + int(datetime.datetime.now(datetime.UTC).timestamp())
        parties: list[Any] = [
            _LonePutter(database, index, folder, seeds, int(jobs) // PUTTERS)
            for index in range(PUTTERS)
        ]
        parties.append(_LoneWatcher(database, folder))
        for party in parties:
            party.start()
        threading.Thread(
            target=_say_when_all_has_ended, args=(database, folder), daemon=True
        ).start()
        wait_for_end_of_input()
        for party in parties:
            party.stop()
        zc.async_.subscribers.stop(dispatcher, PATIENCE)


if __name__ == "__main__":
    import tests.torture.alone

    tests.torture.alone.main(*sys.argv[1:])
