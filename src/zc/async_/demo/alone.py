"""This process has the database and does the jobs itself, in threads."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import ZODB
import zope.interface

import zc.async_.dispatcher
from zc.async_.agent import Agent
from zc.async_.demo.place import CACHE_SIZE, GRACE, IPlace
from zc.async_.demo.storage import Storage
from zc.async_.dispatcher import Reactor, Worker
from zc.async_.process import getUUID

#: How many jobs run at the same time. Reading sometimes waits for the disk, the rest waits for the
#: interpreter: six threads took longer than three, with more conflicts.
WORKERS = 3


@zope.interface.implementer(IPlace)
class Alone:
    """See `IPlace`."""

    def __init__(self, storage: Storage) -> None:
        """Open the database, which writes the root if it is new. Raises OSError."""
        self.storage = storage
        self.database = ZODB.DB(storage, cache_size=CACHE_SIZE)
        self._identity = getUUID()

    def register(self, queue: Any) -> None:
        """See `IPlace`."""
        dispatchers = queue.dispatchers
        if self._identity not in dispatchers:
            dispatchers.register(self._identity)
            dispatchers[self._identity]["main"] = Agent(size=WORKERS)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """See `IPlace`."""
        reactor = Reactor()
        dispatcher = zc.async_.dispatcher.Dispatcher(
            self.database, reactor, uuid=self._identity, shutdown_grace_period=GRACE
        )

        def run_reactor() -> None:
            dispatcher.activate()
            reactor.run(installSignalHandlers=False)

        thread = threading.Thread(target=run_reactor, name="zc.async demo", daemon=True)
        thread.start()
        try:
            yield
        finally:
            if self.storage.error is not None:
                # Jobs that still run cannot be committed.
                dispatcher.shutdown_grace_period = 0
            reactor.callFromThread(reactor.stop)
            thread.join()
            zc.async_.dispatcher.pop(self._identity)

    def check(self) -> None:
        """See `IPlace`."""

    def close(self) -> None:
        """See `IPlace`."""
        for thread in threading.enumerate():
            # The only dispatcher of this process has told it to end.
            if isinstance(thread, Worker):
                thread.join()
        self.database.close()
