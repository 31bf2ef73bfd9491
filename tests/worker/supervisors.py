"""Real supervisors with real workers, and what their jobs call."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid

import zc.async_
import zc.async_.dispatcher
from benchmarks.children import ROOT
from tests.processes import write_line

#: Real seconds that a process is given for what it was asked to do.
PATIENCE = 300


class Supervisor:
    """`zc-async worker`, in a process of its own."""

    def __init__(self, folder, arguments, environment=None):
        self.folder = folder
        self.log = folder / f"supervisor-{len(list(folder.glob('supervisor-*')))}.log"
        self.state = folder / "state"
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zc.async_", "worker", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        #: Processes of workers to see to in the end.
        self._seen = set()

    # -- what it says

    def said(self):
        """All that this one and its workers have said."""
        return self.log.read_bytes().decode("utf-8", "replace")

    def wait_until(self, look, what=""):
        """Wait until something is so; return it."""
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            assert time.monotonic() < end, f"{what or look}\n{self.said()}"
            time.sleep(0.02)
        return found

    def wait_for(self, text, count=1):
        """Wait until it has said something so many times."""

        def look():
            assert self.process.poll() is None or self.said().count(text) >= count, self.said()
            return self.said().count(text) >= count

        self.wait_until(look, text)

    def wait_until_up(self):
        """Wait until all workers are up; return this."""
        self.wait_for("all workers are up")
        return self

    # -- its workers

    def pids(self):
        """The process that each worker has, or had last, by number."""
        found = re.findall(r"zc\.async\.worker: worker (\d+) is process (\d+)", self.said())
        self._seen.update(int(pid) for _number, pid in found)
        return {int(number): int(pid) for number, pid in found}

    def starts(self, number):
        """The processes that a worker has had."""
        found = re.findall(rf"zc\.async\.worker: worker {number} is process (\d+)", self.said())
        return [int(pid) for pid in found]

    def uuids(self):
        """The identity of each worker, by number."""
        return {
            int(path.stem.split("-")[1]): uuid.UUID(path.read_text().splitlines()[0])
            for path in self.state.glob("worker-*.uuid")
        }

    def wait_until_alone(self):
        """Wait until no worker is left."""
        pids = self.pids().values()
        self.wait_until(lambda: not any(is_alive(pid) for pid in pids), "workers are left")

    # -- its end

    def send(self, number):
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        """Have it end, and wait until it has; return the exit status."""
        self.send(number)
        return self.ended()

    def ended(self):
        """Wait until it has ended; return the exit status."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.said()) from None

    def close(self):
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self._output.close()
        self.pids()
        for pid in self._seen:
            with contextlib.suppress(ProcessLookupError):
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    """Whether there is a worker of that number, which has not ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"zc.async_.worker.child" in file.read()
    except OSError:
        return False


# -- what jobs call


def note(entry, path, number, seconds=0.0):
    """Take some time, and take effect in the database and outside."""
    write_line(path, "start", number)
    if seconds:
        threading.Event().wait(seconds)
    entry.count += 1
    write_line(path, "end", number)
    return os.getpid()


def burn(seconds):
    """Use a core for some seconds of its time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return os.getpid()


_hoard = []


def hoard(mebibytes):
    """Lose memory."""
    _hoard.append(b"x" * (mebibytes << 20))
    return os.getpid()


def end_process(number):
    """End the process, as a bug in a library does."""
    os.kill(os.getpid(), number)
    threading.Event().wait(PATIENCE)


def by_the_reactor():
    """A Deferred that the installed reactor fires."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    return deferLater(reactor, 0.05, os.getpid)


def threads_that_stay():
    """Leave a thread behind that never ends."""
    threading.Thread(target=threading.Event().wait, args=(3600,)).start()
    return os.getpid()


def is_short(job):
    """A filter."""
    return job.args[-1] == "short"


def choose_unless_told(agent):
    """A chooser that hangs as long as there is a file, which it then makes no use of any more."""
    path = os.environ["HANG_IF"]
    if os.path.exists(path):
        os.unlink(path)
        threading.Event().wait(PATIENCE)
    return agent.queue.claim()


def close_database():
    """Close the database that the dispatcher works for."""
    zc.async_.local.getDispatcher().db.close()


def terminated_fork():
    """Fork a process, and have it end as `multiprocessing` does; return how it ended.

    `multiprocessing` itself has coverage, where that is measured, put a handler of its own into the
    process. It needs locks that other threads of the worker may have when this one forks.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, b".")
        time.sleep(PATIENCE / 2)
        os._exit(1)
    # Python forgets a signal that comes before a forked process has begun.
    os.read(reader, 1)
    os.kill(pid, signal.SIGTERM)
    _pid, status = os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    return os.waitstatus_to_exitcode(status)


def name(*args):
    """The process and the agent."""
    return os.getpid(), zc.async_.local.getAgentName()


# -- what workers are set up by


def write_down(database):
    """Write down that this was called, before the dispatcher began."""
    write_line(
        os.environ["SETUP_LOG"],
        os.getpid(),
        os.environ["ZC_ASYNC_WORKER"],
        type(database).__name__,
        zc.async_.dispatcher.get() is None,
    )


def fail(database):
    """Fail, in two lines."""
    raise ValueError("no such printer\nat all")


def fail_if_told(database):
    """Fail, if there is a file."""
    if os.path.exists(os.environ["FAIL_IF"]):
        raise ValueError("there is that file")


def fail_without_printer(database):
    """Fail as long as there is no file, because another server is out of reach."""
    if not os.path.exists(os.environ["PRINTER"]):
        raise ConnectionRefusedError(111, "Connection refused")


def leave(database):
    """End the program, as some scripts do."""
    sys.exit(3)
