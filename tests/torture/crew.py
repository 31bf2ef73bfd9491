"""Workers as `zc-async worker` keeps them: they are killed, and so is their supervisor.

    python -m tests.torture.crew ARGUMENTS

is `zc-async worker ARGUMENTS`, and ends its workers and itself with its standard input.
"""

import contextlib
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import zope.component

from benchmarks.children import wait_for_end_of_input
from benchmarks.workers import wait_until
from tests.torture import places
from tests.torture.processes import DEATH, POLL_INTERVAL, PingInstaller, Process, be_impatient
from zc.async_ import cli

#: Its name, and that of its logs.
NAME = "workers"

#: Workers of the crew, and jobs of each.
PROCESSES = 2
THREADS = 2

#: Seconds that jobs are given when a worker is to end.
GRACE = 1

#: Seconds that a supervisor takes at most to end its workers: they wait for their database.
PATIENCE = 90

#: What can be done to it: shortest and longest duration (seconds), and weight.
BREAKAGES = {
    "kill supervisor": (0.0, 1.0, 6),
    "suspend supervisor": (0.1, 2 * DEATH, 2),
    "restart supervisor": (0.0, 1.0, 3),
    "reload": (0.0, 0.0, 4),
    "kill one": (0.0, 0.0, 8),
    "suspend one": (0.1, 2 * DEATH, 3),
}


class Crew(Process):
    """A supervisor with its workers."""

    #: How many dispatchers it has.
    dispatchers = PROCESSES

    def __init__(self, folder: Path, uri: str) -> None:
        super().__init__(NAME, folder)
        self._state = folder / NAME
        options = {
            "db": uri,
            "processes": PROCESSES,
            "threads": THREADS,
            "labels": ",".join(places.LABELS[NAME]),
            "setup": f"{__name__}:set_up",
            "state": self._state,
            "grace": GRACE,
            "poll-interval": POLL_INTERVAL,
        }
        self._arguments = [f"--{option}={value}" for option, value in options.items()]
        self._random = random.Random(0)

    def start(self) -> None:
        """Start it, and wait until it hears signals."""
        self._start(["-m", __name__, *self._arguments])
        log = self._folder / f"{NAME}.{self._starts}.log"
        wait_until(lambda: self.ended is not None or b"zc.async.worker: " in log.read_bytes(), 30)

    def terminate(self) -> None:
        """Have it end its workers and itself, as an operator does, and wait until it has.

        TimeoutError, or RuntimeError, if they do not end by themselves.
        """
        self._process.terminate()
        try:
            wait_until(lambda: self.ended is not None, PATIENCE, 0.05)
            if self.ended:
                raise RuntimeError(self.how_it_ended())
        finally:
            self.kill()

    def end(self) -> None:
        """Have it end for good. RuntimeError, also if a worker is left, or TimeoutError."""
        self.terminate()
        self.check_none_is_left()

    def check_none_is_left(self) -> None:
        """RuntimeError if a worker lives on."""
        if left := self._pids():
            raise RuntimeError(f"workers are left: {left}")

    def leave(self) -> None:
        """Leave nothing behind."""
        pids = self._pids()
        super().leave()
        for pid in pids:
            _send(pid, signal.SIGKILL)

    def reload(self) -> None:
        """Have it replace its workers, one by one."""
        self._process.send_signal(signal.SIGHUP)

    def kill_one(self) -> None:
        """End one of its workers at once."""
        _send(self._any_pid(), signal.SIGKILL)

    @contextlib.contextmanager
    def one_suspended(self) -> Any:
        """Have one of its workers do nothing meanwhile."""
        pid = self._any_pid()
        _send(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            _send(pid, signal.SIGCONT)

    def _any_pid(self) -> int | None:
        pids = self._pids()
        return self._random.choice(pids) if pids else None

    def _pids(self) -> list[int]:
        """The processes of workers that are alive, those of an earlier supervisor among them."""
        pids = []
        for file in sorted(self._state.glob("worker-*.lock")):
            with contextlib.suppress(OSError, ValueError):
                pid = int(file.read_text())
                if b"zc.async_.worker.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    pids.append(pid)
        return pids


def _send(pid: int | None, number: int) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


# -- in the processes


def set_up(database: Any) -> None:
    """What each worker calls before it begins."""
    be_impatient()
    zope.component.provideHandler(PingInstaller(DEATH))


def _end_with_input() -> None:
    wait_for_end_of_input()
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Keep the workers."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    return cli.main(["worker", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
