"""The jobs of the demo.

Each batch of files has a `parallel` job. Each of its parts reads a file. Its postprocessing merges
the words of all files into the index; it names a quota with one place, so only one merge runs at a
time. A callback of the merge keeps the totals.

The jobs change only the database, in one transaction with their own completion. So interrupted jobs
simply run again, by the default retry policy. It allows nine repetitions: a job fails if the
process is killed ten times while it runs. Then the report says so.
"""

import logging
import os
import stat
from typing import Any

import zc.async_.clock
from zc.async_.demo import search
from zc.async_.demo.files import display
from zc.async_.demo.records import Batch, Demo, Totals
from zc.async_.job import Job, parallel
from zc.twist import Failure

#: The quota of the merges.
QUOTA = "index"

#: The largest file (bytes). A larger one is not text that people wrote, and would fill the memory.
LARGEST = 50_000_000

#: For records beside those of the dispatcher.
_log = logging.getLogger("zc.async.demo")


class Skipped(str):
    """Why a file is not indexed; the result of the job that had to read it."""

    __slots__ = ()


class _NotRegularError(OSError):
    """A pipe, a device or the like: opening it could wait forever."""


def make_job(demo: Demo, batch: Batch) -> Job:
    """The job for a batch, not yet put."""
    reads = [Job(read_file, os.path.join(demo.folder, path), demo.read) for path in batch.paths]
    merge = Job(merge_words, demo.index, batch.first)
    merge.quota_names = (QUOTA,)
    # Merges come before further reading: words that wait for their merge only take space.
    merge.priority = 1
    merge.addCallback(Job(add_to_totals, demo, demo.totals))
    return parallel(*reads, postprocess=merge)


def read_file(path: str, read: Any) -> search.Words | Skipped:
    """Split a file into words, or say why it is skipped, and count it in `read`."""
    read.change(1)
    result = _read_words(path)
    if isinstance(result, Skipped):
        _log.warning("skipped %s: %s", display(path), result)
    return result


def _read_words(path: str) -> search.Words | Skipped:
    try:
        content = _read_bytes(path)
        if len(content) > LARGEST:
            return Skipped("too large")
        if b"\0" in content:
            return Skipped("no text")
        return search.split_words(len(content), content.decode("utf-8"))
    except UnicodeDecodeError:
        return Skipped("no text")
    except FileNotFoundError:
        return Skipped("vanished")
    except OSError:
        return Skipped("unreadable")


def _read_bytes(path: str) -> bytes:
    """The content, up to one byte more than `LARGEST`."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _NotRegularError(path)
    with open(path, "rb") as file:
        return file.read(LARGEST + 1)


def merge_words(index: Any, first: int, *reads: Job) -> Totals:
    """Add the words of a batch to the index; return the figures of the batch.

    `first` is the number of the first file in the index. A file whose job failed is not counted;
    the log has the reason.
    """
    figures = Totals()
    for number, read in enumerate(reads, first):
        result = read.result
        if isinstance(result, search.Words):
            search.add(index, number, result)
            figures.files += 1
            figures.words += result.total
            figures.size += result.size
        elif isinstance(result, Skipped):
            figures.skipped[result] = figures.skipped.get(result, 0) + 1
    return figures


def add_to_totals(demo: Demo, totals: Totals, figures: Totals | Failure) -> None:
    """Add the figures of a batch. As the callback of a merge, this takes effect exactly once."""
    totals.times[demo.run] = max(0, zc.async_.clock.microseconds() - demo.run_start)
    totals._p_changed = True
    if isinstance(figures, Failure):
        return
    totals.files += figures.files
    totals.words += figures.words
    totals.size += figures.size
    for reason, count in figures.skipped.items():
        totals.skipped[reason] = totals.skipped.get(reason, 0) + count


def all_jobs(batch: Batch) -> list[Job]:
    """The jobs of a batch: the parallel job, those that read, and the merge."""
    return [batch.job, *batch.job.args, batch.job.kwargs["postprocess"]]


def count_retries(job: Job) -> int:
    """How many times a job and its callbacks were tried again."""
    counts = job.getRetryPolicy().data.values()
    own = sum(count for count in counts if isinstance(count, int))
    return own + sum(map(count_retries, job.callbacks))
