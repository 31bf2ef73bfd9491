"""A worker process that also writes all the time.

    python -m tests.zeo.worker HOST PORT NAME WATCH

runs a dispatcher that does the jobs of NAME until the standard input ends. WATCH is "on", "off", or
"unprepared": connections are watched over, but their transports are those of asyncio.
"""

import contextlib
import logging
import os
import sys
import threading

import transaction
import zope.component

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
import zc.async_.zeo
from benchmarks.children import child, said
from benchmarks.storages import Server
from tests.processes import PATIENCE
from zc.async_.interfaces import DatabaseOpened
from zc.async_.zeo import transports

#: Seconds between two commits of the process, and after a failure.
PAUSE = 0.01


def is_mine(job):
    """Whether a job is for this process, by its last argument."""
    return job.args[-1] == os.environ["ZC_ASYNC_TEST_WORKER"]


@contextlib.contextmanager
def worker(server, folder, name, watch):
    """A worker process once it has polled. Gives the path of its log."""
    log = folder / f"{name}.log"
    environment = {
        **os.environ,
        "ZC_ASYNC_UUID": str(folder / f"{name}.uuid"),
        "ZC_ASYNC_TEST_WORKER": name,
    }
    arguments = ["-m", "tests.zeo.worker", *map(str, server.address), name, watch]
    with child(arguments, log, environment) as process:
        assert said(process, log) == "ready"
        yield log


def main(host, port, name, watch):
    """Run a dispatcher until the standard input ends."""
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("zc.async").setLevel(logging.WARNING)
    if watch == "off":
        zc.async_.zeo.watch = lambda database: None
    elif watch == "unprepared":
        transports.prepare_loop = lambda loop: None
    zc.async_.configure.base()
    zope.component.provideHandler(
        zc.async_.subscribers.AgentInstaller("main", filter=sys.modules["tests.zeo.worker"].is_mine)
    )
    with Server((host, int(port))).database() as database:
        zc.async_.subscribers.ThreadedDispatcherInstaller()(DatabaseOpened(database))
        dispatcher = zc.async_.dispatcher.get()
        zc.async_.testing.get_poll(dispatcher, 0, PATIENCE)
        ending = threading.Event()
        thread = threading.Thread(target=write, args=(database, name, ending), daemon=True)
        thread.start()
        print("ready", flush=True)
        sys.stdin.read()
        ending.set()
        zc.async_.subscribers.stop(dispatcher)
        thread.join(PATIENCE)


def write(database, name, ending):
    """Count in the database, as fast as it goes, whatever happens to it."""
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    while not ending.wait(PAUSE):
        # A connection that is lost shows in many ways. It is others that are tested.
        with contextlib.suppress(Exception):
            manager.begin()
            connection.root()[name].count += 1
            manager.commit()
            continue
        manager.abort()
    manager.abort()
    connection.close()


if __name__ == "__main__":
    import tests.zeo.worker

    tests.zeo.worker.main(*sys.argv[1:])
