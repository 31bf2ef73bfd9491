"""One run of the demo in an instance: begin or go on, have the jobs done, report."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import transaction
import ZODB

import zc.async_.clock
import zc.async_.dispatcher
import zc.async_.interfaces
from zc.async_.agent import Agent
from zc.async_.demo import DemoError, files, jobs, records, report
from zc.async_.demo.folder import LOG, not_an_instance
from zc.async_.demo.log import logging_to
from zc.async_.demo.stopping import Stop, Stopped
from zc.async_.demo.storage import Storage, open_storage, write_error
from zc.async_.dispatcher import Reactor, Worker
from zc.async_.interfaces import COMPLETED
from zc.async_.process import getUUID
from zc.async_.queue import Queue, Queues

#: How many jobs run at the same time. Reading sometimes waits for the disk, the rest waits for the
#: interpreter: six threads took longer than three, with more conflicts.
WORKERS = 3

#: Seconds between two looks at the progress of the jobs.
LOOK_INTERVAL = 0.1

#: How long (seconds) a stop of the demo waits for running jobs. The longest is a merge.
GRACE = 30.0

#: What to do after the demo was stopped, or could not write.
SAME_INSTANCE = "run it again with the same --instance, and it goes on where it was"
NEW_INSTANCE = "name a folder that has more with --instance"

#: Objects in the cache of a connection: most of the index of the standard library, so that a merge
#: does not read again the records that the one before it wrote.
CACHE_SIZE = 20_000


def run(folder: str | None, instance: str, temporary: bool, query: str, stop: Stop) -> None:
    """Index and report.

    `folder`: a real path, or None for the instance's own or the standard library. `instance`: its
    folder. `temporary`: whether that is temporary. Raises DemoError.
    """
    with logging_to(instance), _open(instance) as session:
        try:
            session.begin(folder, stop)
            session.work(stop)
            session.finish(query)
        except Stopped as stopped:
            hint = "" if temporary else f": {SAME_INSTANCE}"
            raise DemoError(f"{stopped}{hint}", stopped.status) from None
        except OSError as error:
            if session.storage.error is None:
                raise
            remedy = NEW_INSTANCE if temporary else SAME_INSTANCE
            raise write_error(error, instance, remedy) from None


@contextlib.contextmanager
def _open(instance: str) -> Iterator["_Session"]:
    storage = open_storage(instance)
    session = _Session(instance, storage)
    try:
        yield session
    finally:
        # Jobs that cannot be committed never release their connections, and a storage with an error
        # cannot be closed properly. In this case the end of the process closes all.
        if storage.error is None:
            session.close()


class _Session:
    """The database of one run, and the steps of the run. Only for the main thread."""

    def __init__(self, instance: str, storage: Storage) -> None:
        self.storage = storage
        self._instance = instance
        try:
            # This writes the root if the database is new.
            self._database = ZODB.DB(storage, cache_size=CACHE_SIZE)
        except OSError as error:
            raise write_error(error, instance) from None
        self._manager = transaction.TransactionManager()
        self._connection = self._database.open(self._manager)
        self._root = self._connection.root()
        self._display = report.Display()

    @property
    def _demo(self) -> records.Demo:
        return self._root[records.KEY]

    @property
    def _queue(self) -> Any:
        return self._root[zc.async_.interfaces.KEY][""]

    def close(self) -> None:
        """Close the database once no worker uses it."""
        for thread in threading.enumerate():
            # The only dispatcher of this process has told it to end.
            if isinstance(thread, Worker):
                thread.join()
        self._manager.abort()
        self._connection.close()
        self._database.close()

    # -- beginning

    def begin(self, folder: str | None, stop: Stop) -> None:
        """Store what has to be done, unless an earlier run has.

        Raises DemoError if the instance is for another folder, or not an instance of the demo.
        """
        if records.KEY in self._root:
            if folder not in (None, self._demo.folder):
                raise DemoError(
                    f"the instance {files.display(self._instance)} is of the folder "
                    f"{files.display(self._demo.folder)}: name another with --instance",
                    2,
                )
            return
        if len(self._root) > 0:
            raise not_an_instance(self._instance)
        excluded = files.INSTALLED_PACKAGES if folder is None else ()
        folder = files.standard_library() if folder is None else folder
        listing = files.list_files(folder, excluded, self._instance, stop.check)
        self._commit(lambda: self._install(folder, listing))

    def _commit(self, change: Callable[[], None]) -> None:
        """Make a change in its own transaction."""
        # Only the lane and its place among the lanes can conflict, which is rare.
        self._manager.run(change, tries=10)

    def _install(self, folder: str, listing: files.Listing) -> None:
        # In one transaction: an instance has all of this or, if it is killed before, nothing.
        queues = self._root[zc.async_.interfaces.KEY] = Queues()
        queue = queues[""] = Queue()
        queue.quotas.create(jobs.QUOTA, size=1)
        batches = tuple(files.split(listing.files))
        self._root[records.KEY] = records.Demo(folder, batches, listing.unreadable_folders)

    # -- working

    def work(self, stop: Stop) -> None:
        """Have all jobs done, and sum up. Does nothing if this is done already.

        Raises `Stopped`, or OSError if the database cannot be written.
        """
        demo = self._demo
        if demo.summary is not None:
            return
        verb = "going on with" if demo.run else "indexing"
        self._display.say(f"{verb} {demo.length:,} files of {files.display(demo.folder)}")
        identity = getUUID()
        self._commit(lambda: self._start_run(identity))
        with self._display, self._dispatcher(identity):
            self._put(stop)
            self._wait(stop)
        self._commit(self._sum_up)

    def _start_run(self, identity: uuid.UUID) -> None:
        dispatchers = self._queue.dispatchers
        if identity not in dispatchers:
            dispatchers.register(identity)
            dispatchers[identity]["main"] = Agent(size=WORKERS)
        for agents in dispatchers.values():
            # Left over from a process that was killed. Siblings usually wait until its pings stop;
            # here the lock on the database says that no other process lives. Its jobs go back to
            # the queue, or their retry policies are asked about the interruption.
            if agents.activated:
                agents.deactivate()
        self._demo.run += 1
        self._demo.run_start = zc.async_.clock.microseconds()

    @contextlib.contextmanager
    def _dispatcher(self, identity: uuid.UUID) -> Iterator[None]:
        """Run a dispatcher inside of the context; at the end, give its jobs time to end."""
        reactor = Reactor()
        dispatcher = zc.async_.dispatcher.Dispatcher(
            self._database, reactor, uuid=identity, shutdown_grace_period=GRACE
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
            zc.async_.dispatcher.pop(identity)

    def _put(self, stop: Stop) -> None:
        """Put the jobs of the batches that no run has put yet."""
        for batch in self._demo.batches:
            self._look(stop)
            if batch.job is None:
                # One transaction puts the job and notes it: no job is put twice, or forgotten.
                self._commit(lambda batch=batch: self._put_batch(batch))  # type: ignore[misc]

    def _put_batch(self, batch: records.Batch) -> None:
        batch.job = self._queue.put(jobs.make_job(self._demo, batch))

    def _wait(self, stop: Stop) -> None:
        """Wait until all jobs and their callbacks have completed."""
        unfinished = list(self._demo.batches)
        while unfinished:
            time.sleep(LOOK_INTERVAL)
            self._look(stop)
            unfinished = [batch for batch in unfinished if batch.job.status != COMPLETED]

    def _look(self, stop: Stop) -> None:
        stop.check()
        if self.storage.error is not None:
            raise self.storage.error
        self._manager.begin()
        self._display.show(self._demo)

    # -- at the end

    def _sum_up(self) -> None:
        demo = self._demo
        done = [job for batch in demo.batches for job in jobs.all_jobs(batch)]
        seconds = sum(demo.totals.times.values()) / 1_000_000
        retries = sum(map(jobs.count_retries, done))
        demo.summary = records.Summary(len(done), retries, seconds, self.storage.getSize())

    def finish(self, query: str) -> None:
        """Report. Raises DemoError if jobs failed. Does not write the database."""
        demo = self._demo
        self._display.say(report.summary(demo))
        self._display.say(report.hits(demo, query))
        failed = report.failed_files(demo)
        if failed:
            where = files.display(self._instance)
            raise DemoError(f"jobs of {failed:,} files failed: {LOG} in {where} says why")
