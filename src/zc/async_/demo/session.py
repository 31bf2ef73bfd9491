"""One run of the demo in an instance: begin or go on, have the jobs done, report."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import transaction

import zc.async_.clock
import zc.async_.interfaces
from zc.async_.demo import DemoError, files, jobs, records, report
from zc.async_.demo.alone import Alone
from zc.async_.demo.crewed import Crewed
from zc.async_.demo.folder import LOG, not_an_instance
from zc.async_.demo.log import logging_to
from zc.async_.demo.stopping import Stop, Stopped
from zc.async_.demo.storage import Storage, open_storage, write_error
from zc.async_.interfaces import COMPLETED
from zc.async_.queue import Queue, Queues

#: Seconds between two looks at the progress of the jobs.
LOOK_INTERVAL = 0.1

#: What to do after the demo was stopped, or could not write.
SAME_INSTANCE = "run it again with the same --instance, and it goes on where it was"
NEW_INSTANCE = "name a folder that has more with --instance"


def run(
    folder: str | None,
    instance: str,
    temporary: bool,
    query: str,
    stop: Stop,
    processes: int | None = None,
) -> None:
    """Index and report.

    `folder`: a real path, or None for the instance's own or the standard library. `instance`: its
    folder. `temporary`: whether that is temporary. `processes`: how many do the jobs; None: this
    one. Raises DemoError.
    """
    with logging_to(instance), _open(instance, processes) as session:
        try:
            session.begin(folder, stop)
            session.work(stop)
            session.finish(query)
        except Stopped as stopped:
            hint = "" if temporary else f": {SAME_INSTANCE}"
            raise DemoError(f"{stopped}{hint}", stopped.status) from None
        except Exception:
            # A client of a server sees others than that.
            error = session.place.storage.error
            if error is None:
                raise
            remedy = NEW_INSTANCE if temporary else SAME_INSTANCE
            raise write_error(error, instance, remedy) from None


@contextlib.contextmanager
def _open(instance: str, processes: int | None) -> Iterator["_Session"]:
    storage = open_storage(instance)
    try:
        session = _Session(instance, _place(storage, instance, processes))
    except Exception as problem:
        error = storage.error or problem
        storage.abandon()
        if isinstance(error, OSError):
            raise write_error(error, instance) from None
        raise
    try:
        yield session
    finally:
        # Jobs that cannot be committed never release their connections, and a storage with an error
        # cannot be closed properly. In this case the end of the process closes the rest.
        if storage.error is None:
            session.close()
        else:
            storage.abandon()


def _place(storage: Storage, instance: str, processes: int | None) -> Any:
    """An `IPlace`."""
    if processes is None:
        return Alone(storage)
    return Crewed(storage, instance, processes)


class _Session:
    """The steps of one run. Only for the main thread."""

    def __init__(self, instance: str, place: Any) -> None:
        self.place = place
        self._instance = instance
        self._manager = transaction.TransactionManager()
        self._connection = place.database.open(self._manager)
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
        self._manager.abort()
        self._connection.close()
        self.place.close()

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
        self._commit(self._start_run)
        with self._display, self.place.working():
            self._put(stop)
            self._wait(stop)
        self._commit(self._sum_up)

    def _start_run(self) -> None:
        self.place.register(self._queue)
        for agents in self._queue.dispatchers.values():
            # Left over from a process that was killed. Siblings usually wait until its pings stop;
            # here the lock on the database says that no other process lives. Its jobs go back to
            # the queue, or their retry policies are asked about the interruption.
            if agents.activated:
                agents.deactivate()
        self._demo.run += 1
        self._demo.run_start = zc.async_.clock.microseconds()

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
        if self.place.storage.error is not None:
            raise self.place.storage.error
        self.place.check()
        self._manager.begin()
        self._display.show(self._demo)

    # -- at the end

    def _sum_up(self) -> None:
        demo = self._demo
        done = [job for batch in demo.batches for job in jobs.all_jobs(batch)]
        seconds = sum(demo.totals.times.values()) / 1_000_000
        retries = sum(map(jobs.count_retries, done))
        demo.summary = records.Summary(len(done), retries, seconds, self.place.storage.getSize())

    def finish(self, query: str) -> None:
        """Report. Raises DemoError if jobs failed. Does not write the database."""
        demo = self._demo
        self._display.say(report.summary(demo))
        self._display.say(report.hits(demo, query))
        failed = report.failed_files(demo)
        if failed:
            where = files.display(self._instance)
            raise DemoError(f"jobs of {failed:,} files failed: {LOG} in {where} says why")
