"""Dispatchers: in this process, and in processes of their own.

    python -m benchmarks.workers SPEC SIZE

runs a dispatcher until the standard input ends, for the database of a server, whose `spec` SPEC is.
"""

import contextlib
import functools
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zope.component
import zope.component.event  # has events reach their handlers

import zc.async_.agent
import zc.async_.dispatcher
import zc.async_.interfaces
import zc.async_.process.registry
from benchmarks.children import child, said, wait_for_end_of_input
from benchmarks.storages import open_database
from zc.async_.dispatcher.reactors import Reactor
from zc.async_.process import instanceuuid

#: Worker threads of a dispatcher, where a measure does not say otherwise.
SIZE = 10

#: Seconds for the dispatchers to come to rest after their first poll.
SETTLE = 0.3

#: Seconds to wait for a dispatcher to start or stop.
PATIENCE = 90

#: Seconds that a worker process takes its leave in; less than its parent's patience.
STOP_PATIENCE = 5


def wait_until(condition: Callable[[], Any], seconds: float, interval: float = 0.01) -> None:
    """Wait for something. TimeoutError if it does not come to be."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {condition}")
        time.sleep(interval)


@contextlib.contextmanager
def local_dispatcher(
    database: Any, size: int = SIZE, poll_interval: float = 5, settle: bool = True
) -> Iterator[Any]:
    """A dispatcher in a thread of this process, once it has polled."""
    reactor = Reactor()
    with _agents(size):
        dispatcher = zc.async_.dispatcher.Dispatcher(
            database, reactor, poll_interval=poll_interval, uuid=uuid.uuid4()
        )
        thread = threading.Thread(target=_live, args=(dispatcher,), daemon=True)
        thread.start()
        try:
            wait_until(lambda: dispatcher.polls, PATIENCE)
            if settle:
                time.sleep(SETTLE)
            yield dispatcher
        finally:
            reactor.callFromThread(reactor.stop)
            thread.join(PATIENCE)
            zc.async_.process.registry.pop(dispatcher.UUID)


def _live(dispatcher: Any) -> None:
    dispatcher.activate()
    dispatcher.reactor.run(installSignalHandlers=0)


@contextlib.contextmanager
def _agents(size: int) -> Iterator[None]:
    """Have each dispatcher that becomes active get an agent of that size."""
    handler = functools.partial(_add_agent, size)
    required = [zc.async_.interfaces.IDispatcherActivated]
    registry = zope.component.getGlobalSiteManager()
    registry.registerHandler(handler, required)
    try:
        yield
    finally:
        registry.unregisterHandler(handler, required)


def _add_agent(size: int, event: Any) -> None:
    if "main" not in event.object:
        event.object["main"] = zc.async_.agent.Agent(size=size)


@contextlib.contextmanager
def worker_processes(server: Any, folder: Path, count: int, size: int = SIZE) -> Iterator[None]:
    """As many processes with a dispatcher each, once these have polled."""
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(count):
            log = folder / f"worker-{number}.log"
            environment = {**os.environ, "ZC_ASYNC_UUID": str(folder / f"worker-{number}.uuid")}
            arguments = ["-m", "benchmarks.workers", server.spec, str(size)]
            process = stack.enter_context(child(arguments, log, environment))
            started.append((process, log))
        for process, log in started:
            said(process, log)
        time.sleep(SETTLE)
        yield
        for _process, log in started:
            # Warnings and errors of a worker are news.
            sys.stderr.write(log.read_text())


def main(spec: str, size: str) -> None:
    """Run a dispatcher until the standard input ends."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("zc.async").setLevel(logging.WARNING)
    zope.component.provideUtility(instanceuuid.UUID, zc.async_.interfaces.IUUID)
    with (
        open_database(spec) as database,
        local_dispatcher(database, int(size), settle=False),
    ):
        print("ready", flush=True)
        wait_for_end_of_input()
        # If the parent was killed, its server is gone as well, and a dispatcher waits for its
        # database as long as it takes.
        last_resort = threading.Timer(STOP_PATIENCE, os._exit, [1])
        last_resort.daemon = True
        last_resort.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
