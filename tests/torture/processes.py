"""The server and the workers: processes that can be stopped, killed and started again.

    python -m tests.torture.processes SPEC SIZE GRACE DEATH LABELS

runs a dispatcher until the standard input ends or a signal comes. SPEC names the database, as for
`benchmarks.storages.open_database`.
"""

import contextlib
import datetime
import logging
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import ZEO
import ZEO.Exceptions
import zope.component

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
from benchmarks.children import child, wait_for_end_of_input
from benchmarks.postgres import open_database as open_relstorage
from benchmarks.storages import SERVER, Server, free_port
from benchmarks.workers import wait_until
from tests.torture import places
from zc.async_ import utils
from zc.async_.dispatcher import polling
from zc.async_.interfaces import DatabaseOpened, IDispatcherActivated, IJob, IRetryPolicy
from zc.async_.running.retry import RetryCommonForever, RetryCommonFourTimes

#: Of the dispatchers: short, so that what takes long in production happens often.
POLL_INTERVAL = 0.3
PING_INTERVAL = datetime.timedelta(seconds=0.5)

#: Seconds after its last ping when a worker that is to be killed is taken for dead.
DEATH = 2.0

#: Seconds to wait for a database that is out of reach: the first, step and longest wait.
BACKOFF = (0.2, 0.2, 1.0)

#: Seconds after which a worker takes a server that does not answer for out of reach.
DATABASE_TIMEOUT = 3

#: Seconds that a commit waits for the lock of an object, in PostgreSQL.
LOCK_TIMEOUT = 2

#: Seconds that a process is given to do as it was asked.
PATIENCE = 30


class Process:
    """A process that is started again and again, each time with a log of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._starts = 0
        self._stack = contextlib.ExitStack()
        self._process: Any = None

    def _start(self, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        self._starts += 1
        log = self._folder / f"{self.name}.{self._starts}.log"
        self._process = self._stack.enter_context(child(arguments, log, environment))

    @property
    def ended(self) -> int | None:
        """The exit code if it ended, else None."""
        code: int | None = self._process.poll()
        return code

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        return int(self._process.pid)

    def how_it_ended(self) -> str:
        """Tell of an end that nobody asked for, with the last lines of the log."""
        log = (self._folder / f"{self.name}.{self._starts}.log").read_text(errors="replace")
        return f"{self.name} ended by itself with {self.ended}:\n" + "\n".join(
            log.splitlines()[-30:]
        )

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._stack.close()

    def suspend(self) -> None:
        """Have it do nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end, and wait until it has. TimeoutError if it does not."""
        self._process.terminate()
        try:
            wait_until(lambda: self.ended is not None, PATIENCE, 0.05)
        finally:
            self.kill()

    def leave(self) -> None:
        """Have it end with its standard input."""
        self._stack.close()


class FileProcess(Process):
    """One that keeps its data in a file, whose disk can be full."""

    _file: Path

    def fill_disk(self) -> None:
        """Have the operating system refuse whatever would make the file longer.

        What is there can be written anew, as on a real disk. The process must not write between the
        look at the size and the limit: FileStorage closes for good if its last step is refused.
        """
        process = self._process
        process.send_signal(signal.SIGSTOP)
        # Somebody else may have killed it: its successor has no limit.
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            # Only now it does nothing. The state is left for whoever waits for the process.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            self._limit(process, self._file.stat().st_size)
        process.send_signal(signal.SIGCONT)

    def clear_disk(self) -> None:
        """Let the file grow again."""
        with contextlib.suppress(ProcessLookupError):
            self._limit(self._process, resource.RLIM_INFINITY)

    def _limit(self, process: Any, size: int) -> None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


#: What can be done to a ZEO server: shortest and longest duration (seconds), and weight.
ZEO_BREAKAGES = {
    "kill server": (0.0, 1.0, 5),
    "restart server": (0.0, 1.0, 5),
    "suspend server": (0.2, 1.7 * DATABASE_TIMEOUT, 2),
    "disk full": (0.2, 1.5, 2),
}


class StorageServer(FileProcess):
    """The ZEO server."""

    breakages = ZEO_BREAKAGES
    #: A word of the request that commits.
    commit_word = b"tpc_finish"
    #: Whether clients have to be kept from reaching a server that is started again: one that is
    #: accepted and let down again waits for ten seconds.
    is_to_be_hidden = True

    def __init__(self, folder: Path) -> None:
        super().__init__("server", folder)
        self.address = "127.0.0.1", free_port()
        self._file = folder / "Data.fs"

    def spec(self, port: int) -> str:
        """How a worker finds it by a proxy."""
        return Server(("127.0.0.1", port)).spec

    def uri(self, port: int) -> str:
        """How `zc-async worker` finds it by a proxy."""
        return f"zeo://127.0.0.1:{port}?wait_timeout={DATABASE_TIMEOUT}"

    def database(self, port: int | None = None) -> Any:
        """The database for this process, by a proxy if its port is given."""
        return Server(self.address if port is None else ("127.0.0.1", port)).database()

    def start(self) -> None:
        """Start it, and wait until it can be reached."""
        self._start([str(SERVER), ":".join(map(str, self.address)), str(self._file)])
        wait_until(self._answers, PATIENCE)

    def _answers(self) -> bool:
        try:
            socket.create_connection(self.address).close()
        except OSError:
            return False
        return True


class Settings(NamedTuple):
    """Of a worker."""

    #: Places of its agent.
    size: int
    #: Seconds that its jobs are given when it is asked to end.
    grace: float
    #: Seconds after its last ping when it is taken for dead.
    death: float
    #: Of its dispatcher, joined by commas.
    labels: str = ""


class Worker(Process):
    """A process with a dispatcher; it keeps its UUID when it is started again."""

    #: How many dispatchers it has.
    dispatchers = 1

    def __init__(self, name: str, folder: Path, spec: str, settings: Settings) -> None:
        super().__init__(name, folder)
        self._arguments = [spec, *map(str, settings)]
        file = folder / f"{name}.uuid"
        file.write_text(f"{places.UUIDS[name]}\n")
        self._environment = {**os.environ, "ZC_ASYNC_UUID": str(file)}

    def start(self) -> None:
        """Start it, and do not wait."""
        self._start(["-m", "tests.torture.processes", *self._arguments], self._environment)


# -- in the process of a worker


class PingInstaller:
    """Has a dispatcher ping often, and siblings notice that it is dead."""

    def __init__(self, death: float) -> None:
        zope.component.adapter(IDispatcherActivated)(self)
        self._death = datetime.timedelta(seconds=death)

    def __call__(self, event: Any) -> None:
        """Set the intervals, in the transaction of the activation."""
        event.object.ping_interval = PING_INTERVAL
        event.object.ping_death_interval = self._death


def _impatient(policy: type) -> Any:
    """A retry policy that waits less long for a database that is out of reach."""

    def soon(rules: Any) -> Any:
        return tuple(
            (*rule[:3], *BACKOFF) if rule[1] == "zeo_disconnected" else rule for rule in rules
        )

    return type(
        f"Impatient{policy.__name__}",
        (policy,),
        {
            "__module__": "tests.torture.processes",
            "internal_exceptions": soon(policy.internal_exceptions),
            "transaction_exceptions": soon(policy.transaction_exceptions),
        },
    )


ImpatientRetryCommonFourTimes = _impatient(RetryCommonFourTimes)
ImpatientRetryCommonForever = _impatient(RetryCommonForever)


def configure(settings: Settings) -> None:
    """Register what a worker needs, which waits less long than in production."""
    zc.async_.configure.base()
    zope.component.provideHandler(zc.async_.subscribers.AgentInstaller("main", size=settings.size))
    zope.component.provideHandler(PingInstaller(settings.death))
    be_impatient()


def be_impatient() -> None:
    """Have this process wait less long for a database that is out of reach."""
    for name, policy in (
        ("", ImpatientRetryCommonFourTimes),
        ("callback", ImpatientRetryCommonForever),
    ):
        zope.component.provideAdapter(policy, (IJob,), IRetryPolicy, name)
    utils.DISCONNECTED_BACKOFF = BACKOFF
    polling.DISCONNECTED_BACKOFF = BACKOFF


def _open_database(spec: str) -> Any:
    """The database, as soon as it can be reached."""
    kind, history_or_host, rest = spec.split(":", 2)
    while True:
        try:
            if kind == "zeo":
                address = history_or_host, int(rest)
                return ZEO.DB(address, wait=True, wait_timeout=DATABASE_TIMEOUT)
            return open_relstorage(rest, commit_lock_timeout=LOCK_TIMEOUT)
        except (ZEO.Exceptions.ClientDisconnected, TypeError) as error:
            # TypeError: of asyncio, see `zc.async_.zeo.transports`. No database is watched before
            # it is open.
            logging.warning("no database yet: %s", error)
        except Exception as error:
            if kind == "zeo":
                raise
            # Of psycopg2, or what RelStorage makes of it.
            logging.warning("no database yet: %s", error)
            time.sleep(BACKOFF[0])


def main(spec: str, size: str, grace: str, death: str, labels: str) -> None:
    """Run a dispatcher until the standard input ends."""
    settings = Settings(int(size), float(grace), float(death), labels)
    logging.basicConfig(
        level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(threadName)s %(message)s"
    )
    logging.getLogger("zc.async").setLevel(logging.INFO)
    logging.getLogger("zc.async.trace").setLevel(logging.WARNING)
    # Whatever measures the coverage may have put a handler of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    configure(settings)
    with contextlib.closing(_open_database(spec)) as database:
        installer = zc.async_.subscribers.ThreadedDispatcherInstaller(
            POLL_INTERVAL, labels=filter(None, settings.labels.split(","))
        )
        installer(DatabaseOpened(database))
        dispatcher = zc.async_.dispatcher.get()
        dispatcher.shutdown_grace_period = settings.grace
        wait_for_end_of_input()
        zc.async_.subscribers.stop(dispatcher)


if __name__ == "__main__":
    import tests.torture.processes

    tests.torture.processes.main(*sys.argv[1:])
