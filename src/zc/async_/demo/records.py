"""The records in the database of an instance, apart from queue and jobs."""

from typing import Any

import persistent
from BTrees.Length import Length

from zc.async_.demo import search

#: Key of the `Demo` in the root of the database.
KEY = "zc.async.demo"


class Batch(persistent.Persistent):
    """Some files whose words are merged together. Written by the main thread."""

    #: The job for this batch; None until it is put.
    job: Any = None

    def __init__(self, first: int, paths: tuple[str, ...]) -> None:
        #: The number of the first file in the index.
        self.first = first
        self.paths = paths


class Totals(persistent.Persistent):
    """Totals of what has been indexed. Only the callback of merges writes them."""

    files = 0
    words = 0
    #: The bytes of all files.
    size = 0

    def __init__(self) -> None:
        #: The number of skipped files by reason.
        self.skipped: dict[str, int] = {}
        #: The time (microseconds) of each run, from its start to its newest merge.
        self.times: dict[int, int] = {}


class Summary(persistent.Persistent):
    """The work of all runs together. Written once, at the end."""

    def __init__(self, jobs: int, retries: int, seconds: float, written: int) -> None:
        self.jobs = jobs
        #: How many times jobs were tried again, after a conflict or an interruption.
        self.retries = retries
        self.seconds = seconds
        #: The size of the database, which only grows.
        self.written = written


class Demo(persistent.Persistent):
    """An index and its progress. Written by the main thread."""

    #: The number of the present or last run, and when it started (microseconds since 1970).
    run = 0
    run_start = 0
    #: None until all is done.
    summary: Summary | None = None

    def __init__(
        self, folder: str, batches: tuple[tuple[str, ...], ...], unreadable_folders: int
    ) -> None:
        #: The real path of the folder that is indexed.
        self.folder = folder
        self.unreadable_folders = unreadable_folders
        self.index = search.new_index()
        self.totals = Totals()
        #: How many files have been read: a Length, to which many jobs can add without conflicts.
        self.read = Length()
        first = 0
        made = []
        for paths in batches:
            made.append(Batch(first, paths))
            first += len(paths)
        self.batches = tuple(made)
        #: How many files there are.
        self.length = first

    def path(self, number: int) -> str:
        """The path, below the folder, of the file with this number in the index."""
        for batch in self.batches:
            if number < batch.first + len(batch.paths):
                return str(batch.paths[number - batch.first])
        raise LookupError(number)
