"""A run of the torture: everything is started, broken, mended, left to end, and judged."""

import argparse
import contextlib
import logging
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import transaction

import zc.async_.relstorage
import zc.async_.zeo
from benchmarks.storages import add_queue
from benchmarks.workers import wait_until
from tests.processes import queue_of
from tests.torture import breaking, crew, explaining, logs, places, report, verdict
from tests.torture.crew import Crew
from tests.torture.faults import Fault
from tests.torture.postgres import PostgresServer
from tests.torture.processes import DEATH, PATIENCE, Settings, StorageServer, Worker
from tests.torture.proxy import Proxy
from tests.torture.putting import Putter, prepare
from tests.torture.stalls import StallWatch
from tests.torture.watching import Watcher
from zc.async_ import utils

#: Workers that are killed and suspended.
WORKERS = {
    "worker-1": Settings(3, 0, DEATH, ",".join(places.LABELS["worker-1"])),
    "worker-2": Settings(3, 1, DEATH, ",".join(places.LABELS["worker-2"])),
}

#: Workers that only lose their connections. Nobody takes them for dead, and so nobody else takes
#: care of jobs that they forget.
STEADY_WORKERS = {"worker-3": Settings(3, 0, 600, ",".join(places.LABELS["worker-3"]))}

#: Those of a supervisor.
CREW = crew.NAME

PUTTERS = 2

#: Defaults: jobs and breakages in a second.
JOBS_RATE = 40
KILLS_RATE = 0.8

#: Seconds without any progress after which what has not ended is stuck; longer than all waits that
#: workers and clients of ZEO make. And the longest time that jobs are given to end at all.
NO_PROGRESS = 75.0
LONGEST_DRAIN = 240.0

#: Seconds between two looks at what has not ended.
PAUSE = 0.2


#: What serves the database, by the names of storages. A FileStorage needs nothing: see `alone`.
SERVERS: dict[str, Any] = {"zeo": StorageServer, "relstorage": PostgresServer}
STORAGES = ("zeo", "relstorage", "file")


class Options(NamedTuple):
    """What is wanted."""

    seconds: float
    seed: int
    jobs: int
    kills: int
    without: tuple[str, ...] = ()
    keep: bool = False
    storage: str = "zeo"


def options(arguments: list[str]) -> Options:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="what is broken when (by default at random)")
    parser.add_argument("--jobs", type=int, help="put at most so many (by default 40 a second)")
    parser.add_argument("--kills", type=int, help="break so much (by default four in five seconds)")
    parser.add_argument("--without", default="", help="kinds of breakages to leave out: a,b,c")
    parser.add_argument("--storage", choices=STORAGES, default="zeo")
    parser.add_argument("--keep", action="store_true", help="keep the logs in any case")
    found = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if found.seed is None else found.seed
    jobs = int(found.seconds * JOBS_RATE) if found.jobs is None else found.jobs
    kills = int(found.seconds * KILLS_RATE) if found.kills is None else found.kills
    without = tuple(name.strip() for name in found.without.split(",") if name.strip())
    return Options(found.seconds, seed, jobs, kills, without, found.keep, found.storage)


def main(arguments: list[str]) -> int:
    """Torture, print what came of it, and return the exit code."""
    wanted = options(arguments)
    print(f"{wanted.storage}, seed {wanted.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="zc.async-torture-"))
    # What libraries tell of lost connections.
    logging.basicConfig(filename=folder / "clients.log", level=logging.INFO)
    good = False
    try:
        good = _torture(wanted, folder).run()
    finally:
        if good and not wanted.keep:
            shutil.rmtree(folder)
        else:
            print(f"logs and database are kept in {folder}", flush=True)
    return 0 if good else 1


def _torture(wanted: Options, folder: Path) -> Any:
    if wanted.storage == "file":
        from tests.torture.alone import LoneTorture

        return LoneTorture(wanted, folder)
    return Torture(wanted, folder)


class Torture:
    """See the module."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._effects = folder / "effects"
        self._faults: list[tuple[str, Fault]] = []

    def run(self) -> bool:
        """Do all of it; return whether all went well."""
        with contextlib.ExitStack() as stack:
            self._server = SERVERS[self._options.storage](self._folder)
            stack.callback(self._server.leave)
            self._server.start()
            database = stack.enter_context(self._server.database())
            # By it nothing is put: nobody else would see to that.
            zc.async_.zeo.watch(database)
            zc.async_.relstorage.watch(database)
            add_queue(database)
            with database.transaction() as connection:
                prepare(connection, PUTTERS)
            self._open_network(stack)
            self._start_workers(stack)
            self._wait_for_workers(database)
            clients = stack.enter_context(self._client_database())
            self._break_while_jobs_are_put(database, clients)
            self._end(database)
            return not self._faults

    def _open_network(self, stack: contextlib.ExitStack) -> None:
        self._proxies = {
            name: stack.enter_context(Proxy(self._server.address).running())
            for name in (*WORKERS, *STEADY_WORKERS, CREW, breaking.CLIENTS)
        }

    def _client_database(self) -> Any:
        return self._server.database(self._proxies[breaking.CLIENTS].address[1])

    def _start_workers(self, stack: contextlib.ExitStack) -> None:
        self._workers: dict[str, Any] = {
            name: Worker(
                name, self._folder, self._server.spec(self._proxies[name].address[1]), settings
            )
            for name, settings in {**WORKERS, **STEADY_WORKERS}.items()
        }
        self._workers[CREW] = Crew(self._folder, self._server.uri(self._proxies[CREW].address[1]))
        self._started = time.time()
        for worker in self._workers.values():
            worker.start()
            stack.callback(worker.leave)

    def _wait_for_workers(self, database: Any) -> None:
        def all_active() -> bool:
            agents = queue_of(view()).dispatchers.values()
            return sum(bool(one.activated) for one in agents) == wanted

        wanted = sum(worker.dispatchers for worker in self._workers.values())
        with views(database) as view:
            wait_until(all_active, PATIENCE, PAUSE)

    def _break_while_jobs_are_put(self, database: Any, clients: Any) -> None:
        self._putters = [
            Putter(
                clients, i, self._options.seed, str(self._effects), self._options.jobs // PUTTERS
            )
            for i in range(PUTTERS)
        ]
        self._watcher = Watcher(database)
        self._breaker = breaking.Breaker(self._server, self._workers, self._proxies)
        self._breaker.outages += [
            breaking.Outage(breaking.START, name, self._started, time.time())
            for name in self._workers
        ]
        self._stalls = StallWatch(self._folder, self._breaker.outages)
        planned = breaking.plan(
            self._options.seed,
            self._options.seconds,
            self._options.kills,
            self._targets(),
            self._options.without,
        )
        beginning = time.monotonic()
        for thread in (*self._putters, self._watcher, self._stalls):
            thread.start()
        self._breaker.start(planned, lambda: time.monotonic() - beginning)
        time.sleep(self._options.seconds)
        self._breaker.stop()
        for putter in self._putters:
            putter.stop()

    def _targets(self) -> dict[str, breaking.Kinds]:
        connections = breaking.CONNECTION_BREAKAGES
        return {
            **{name: {**breaking.WORKER_BREAKAGES, **connections} for name in WORKERS},
            **dict.fromkeys(STEADY_WORKERS, connections),
            CREW: {**crew.BREAKAGES, **connections},
            breaking.CLIENTS: connections,
            breaking.SERVER: self._server.breakages,
        }

    # -- the end

    def _end(self, database: Any) -> None:
        began = time.monotonic()
        with views(database) as view:
            drained = self._drain(view)
            self._watcher.stop()
            self._stalls.stop()
            self._end_crew()
            self._judge(view(), drained)
            self._judge_storage(database.storage)
            self._print(view(), time.monotonic() - began, drained)

    def _drain(self, view: Any) -> bool:
        """Wait until all has ended; return whether it has."""
        end = time.monotonic() + LONGEST_DRAIN
        before, since = None, time.monotonic()
        while (now := time.monotonic()) < end and now - since < NO_PROGRESS:
            state = state_of_what_is_left(view)
            if not state:
                return True
            if state != before:
                before, since = state, now
            time.sleep(PAUSE)
        return False

    def _end_crew(self) -> None:
        """All works, so its workers can end in time, and none is left."""
        for name, worker in self._workers.items():
            if worker.ended is not None:
                self._faults.append(("", Fault("broken", worker.how_it_ended())))
            elif name == CREW:
                try:
                    worker.end()
                except (RuntimeError, TimeoutError) as error:
                    self._faults.append(("", Fault("broken", f"{name}: {error}")))

    def _judge_storage(self, storage: Any) -> None:
        self._faults += [("", fault) for fault in verdict.judge_storage(storage, PATIENCE)]

    def _judge(self, connection: Any, drained: bool) -> None:
        # First, as only so many are told in full.
        if not drained:
            self._faults.append(("", Fault("stuck", "NOT ENDED: jobs were left in the end")))
        acknowledged = set().union(*(putter.acknowledged for putter in self._putters))
        self._faults += verdict.judge(connection, self._effects, acknowledged)
        self._faults += [("limited", fault) for fault in self._watcher.faults]
        self._faults += [("", Fault("broken", text)) for text in self._breaker.problems]
        errors = [*self._watcher.met, *logs.logged(self._folder)]
        for putter in self._putters:
            errors += putter.met
        outages = [*self._breaker.outages, *logs.starts(self._folder, CREW)]
        unexplained = explaining.unexplained(errors, outages)
        self._faults += [("", fault) for fault in unexplained]
        if not self._watcher.looks:
            self._faults.append(("", Fault("broken", "nobody could look at the quotas")))

    def _print(self, connection: Any, seconds: float, drained: bool) -> None:
        print(report.table(verdict.counts(connection), self._faults))
        print(report.tally("broken", self._breaker.done))
        errors: Any = sum((putter.errors for putter in self._putters[1:]), self._putters[0].errors)
        print(report.tally("errors of clients", errors))
        print(report.tally("log records", report.log_levels(self._folder)))
        print(f"{self._watcher.looks} looks at the quotas")
        print(f"{'ended' if drained else 'NOT ENDED'} after {seconds:.1f} s more", flush=True)
        if self._faults:
            print(f"\n{report.details(self._folder, self._faults)}\n", flush=True)


def state_of_what_is_left(view: Any) -> set[Any]:
    """Changes when something goes on, and is empty when all has ended.

    What cannot be read changes nothing: the verdict tells of it.
    """
    try:
        connection = view()
        jobs = verdict.unfinished(connection)
        return {(job._p_oid, job.status, job.claim_token) for job in jobs} or set(
            verdict.left_behind(connection)
        )
    except utils.DISCONNECTED_ERRORS as error:
        # The connection to the server that was killed, a moment ago.
        return {str(error)}


@contextlib.contextmanager
def views(database: Any) -> Iterator[Any]:
    """Calls give the connection with a view that is as new as can be."""
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    zc.async_.relstorage.guard(connection)

    def view() -> Any:
        manager.begin()
        return connection

    try:
        yield view
    finally:
        manager.abort()
        connection.close()
