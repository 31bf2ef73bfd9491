"""What the jobs of the torture call.

`Entry`, of `tests.processes`, counts what took effect in the database. The file tells what was
begun, whatever became of the transaction.
"""

import random
import threading

import transaction
from twisted.internet.task import deferLater

import zc.async_
from tests.processes import Entry, write_line
from tests.torture import places
from zc.async_.job import Job

#: Longest that most jobs take, and few (seconds): long enough to be hit by what is broken.
USUAL = 0.02
LONG = 0.4
#: How many of a hundred jobs are long.
LONG_ONES = 4

#: Key of what the torture keeps in the root of the database.
ROOT = "torture"


class DeliberateError(Exception):
    """What jobs raise that are to fail."""


def pause():
    """Take a while, as jobs do."""
    longest = LONG if random.randrange(100) < LONG_ONES else USUAL
    threading.Event().wait(random.uniform(0, longest))


def count(entry, path, number):
    """Take effect in the database and outside."""
    note_place(path, number)
    write_line(path, number)
    entry.count += 1
    pause()


def note_place(path, number):
    """Tell it if the job runs in a worker that lacks what it needs."""
    job, dispatcher = zc.async_.local.getJob(), zc.async_.local.getDispatcher()
    missing = [] if dispatcher is None else places.missing(job, dispatcher)
    if missing:
        write_line(path + places.MISPLACED, number, dispatcher.UUID, *missing)


def count_and_fail(entry, path, number):
    """Do what is to be undone."""
    count(entry, path, number)
    raise DeliberateError(number)


def count_together(entry, shared, path, number):
    """Write a record that other jobs write at the same time."""
    shared.count += 1
    count(entry, path, number)


def count_in_quota(entry, name, path, number):
    """Note how the quota looks to a job that has a place in it."""
    job = zc.async_.local.getJob()
    quota = job.queue.quotas[name]
    entry.places = len(quota)
    entry.has_place = job in quota
    count(entry, path, number)


def count_and_return_job(entry, inner_entry, path, number):
    """Leave the result to another job."""
    entry.inner = inner = Job(count, inner_entry, path, number)
    zc.async_.local.getJob().queue.put(inner)
    count(entry, path, number)
    return inner


def commit_between(first, second, path, number):
    """Take effect in two transactions."""
    count(first, path, number)
    transaction.commit()
    count(second, path, number)


async def wait_between(first, second, path, number):
    """Take effect in two steps, and wait between them without a thread."""
    await zc.async_.local.in_worker(count_unless_done, first, path, number)
    await deferLater(zc.async_.local.getReactor(), random.uniform(0, LONG), int)
    await zc.async_.local.in_worker(count_unless_done, second, path, number)


def count_unless_done(entry, path, number):
    """What was done before its coroutine was interrupted stays done."""
    if not entry.count:
        count(entry, path, number)


def note_end(entry, result):
    """A callback."""
    entry.count += 1
    pause()


def collect(entry, *parts):
    """The postprocessing of serial and parallel jobs."""
    entry.count += 1
    return len(parts)


def new_entries(count):
    """Several entries."""
    return [Entry() for _number in range(count)]
