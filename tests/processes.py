"""Worker processes on a database that they share, and what their jobs call.

    python -m tests.processes SPEC SIZE FILTER GRACE POLL REACTOR [LABELS]

runs a dispatcher until the standard input ends or a signal comes. SPEC names the database, as for
`benchmarks.storages.open_database`. FILTER is the name of a function
of this module, or "-"; GRACE are the seconds that jobs are given at the end, POLL those between two
polls; REACTOR is "own" or "twisted", which goes by the wall clock; LABELS, joined by commas, are
those of the dispatcher.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import uuid

import persistent
import zope.component
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import deferLater

import zc.async_
import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
from benchmarks.children import child, said, wait_for_end_of_input
from benchmarks.storages import open_database
from zc.async_.dispatcher import reactors
from zc.async_.interfaces import KEY, DatabaseOpened

#: Real seconds that processes are given for what they were asked to do.
PATIENCE = 300

#: How many coroutines a process may have.
COROUTINE_SIZE = 2500


# -- what jobs call


class Entry(persistent.Persistent):
    """Counts, in a record of its own, how often a job took effect."""

    count = 0


def write_line(path, *words):
    """Add a line to a file, in one piece whoever else writes."""
    descriptor = os.open(path, os.O_APPEND | os.O_WRONLY | os.O_CREAT)
    try:
        os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(descriptor)


def lines(path):
    """The lines of a file, as lists of words."""
    if not path.exists():
        return []
    return [line.split() for line in path.read_text().splitlines()]


def count(entry, path, number):
    """Take effect in the database and outside."""
    entry.count += 1
    write_line(path, number)


def hold_place(path):
    """Tell when it begins and when it ends."""
    write_line(path, "start")
    # Long enough for whoever else has a place to begin as well.
    threading.Event().wait(0.02)
    write_line(path, "end")


def part():
    return os.getpid()


def take_a_moment(entry):
    """Take effect in the database after a while; return the process."""
    threading.Event().wait(0.05)
    entry.count += 1
    return os.getpid()


def collect(*parts):
    """The process of the postprocessing, and those of the parts."""
    return os.getpid(), [one.result for one in parts]


def note_process(entry, result):
    """A callback: note who performed it, and how often that happened."""
    entry.count += 1
    entry.process = os.getpid()


def wait_once(path):
    """Wait without end the first time, and not when it is tried again."""
    write_line(path, os.getpid())
    if path.read_text().count("\n") == 1:
        threading.Event().wait(PATIENCE)
    return os.getpid()


def note_and_wait(path, end):
    """Wait until there is a file."""
    write_line(path, os.getpid())
    while not end.exists():
        threading.Event().wait(0.02)
    return os.getpid()


async def begin_and_wait(path, end, entry):
    """Wait, as a coroutine, until there is a file; then take effect, once whoever else does so."""
    write_line(path, os.getpid())
    reactor = zc.async_.local.getReactor()
    while not end.exists():
        await deferLater(reactor, 1, lambda: None)
    return await zc.async_.local.in_worker(take_effect_once, entry)


def take_effect_once(entry):
    if not entry.count:
        entry.count += 1
    return os.getpid()


def is_part(job):
    return job.callable is part


def is_no_part(job):
    return job.callable is not part


# -- processes


@contextlib.contextmanager
def worker(
    server,
    folder,
    name,
    size=3,
    filter="-",
    grace=0,
    poll_interval=5,
    reactor="own",
    clock=(),
    labels=(),
):
    """A worker process of its own identity, once it has polled. Gives the process.

    `clock`: by how many seconds it is fast before a signal and afterwards: see `tests.skewed`.
    """
    log = folder / f"{name}.log"
    environment = {**os.environ, "ZC_ASYNC_UUID": str(folder / f"{name}.uuid")}
    module = ["tests.skewed", *map(str, clock), "tests.processes"] if clock else ["tests.processes"]
    options = [str(size), filter, str(grace), str(poll_interval), reactor, ",".join(labels)]
    arguments = ["-m", *module, server.spec, *options]
    with child(arguments, log, environment) as process:
        assert said(process, log) == "ready"
        process.log = log
        process.uuid = uuid.UUID((folder / f"{name}.uuid").read_text().splitlines()[0])
        yield process


def main(spec, size, filter, grace, poll_interval, reactor, labels=""):
    """Run a dispatcher until the standard input ends."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("zc.async").setLevel(logging.WARNING)
    # Whatever measures the coverage may have put a handler of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    zc.async_.configure.base()
    zope.component.provideHandler(
        zc.async_.subscribers.AgentInstaller(
            "main",
            size=int(size),
            coroutine_size=COROUTINE_SIZE,
            # Jobs name this module as it is imported, not as it is run.
            filter=None if filter == "-" else getattr(sys.modules["tests.processes"], filter),
        )
    )
    with open_database(spec) as database:
        reactor_factory = reactors.Reactor if reactor == "own" else SelectReactor
        zc.async_.subscribers.ThreadedDispatcherInstaller(
            float(poll_interval),
            reactor_factory,
            shutdown_grace_period=float(grace),
            labels=[label for label in labels.split(",") if label],
        )(DatabaseOpened(database))
        dispatcher = zc.async_.dispatcher.get()
        zc.async_.testing.get_poll(dispatcher, 0, PATIENCE)
        print("ready", flush=True)
        wait_for_end_of_input()
        zc.async_.subscribers.stop(dispatcher)


def queue_of(connection):
    """The queue of a database."""
    return connection.root()[KEY][""]


if __name__ == "__main__":
    import tests.processes

    tests.processes.main(*sys.argv[1:])
