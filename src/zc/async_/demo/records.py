"""What the database of an instance keeps, apart from queue and jobs."""

from typing import Any

import persistent
from BTrees.Length import Length

from zc.async_.demo import search

#: Key of the `Demo` in the root of the database.
KEY = "zc.async.demo"


class Batch(persistent.Persistent):
    """Some files, whose words are merged together. Written by the main thread."""

    #: The job for it, from when it was put.
    job: Any = None

    def __init__(self, first: int, paths: tuple[str, ...]) -> None:
        #: The number, in the index, of the first of the files.
        self.first = first
        self.paths = paths


class Totals(persistent.Persistent):
    """What has been indexed. Written by the callback of merges alone."""

    files = 0
    words = 0
    #: Of the files, in bytes.
    size = 0

    def __init__(self) -> None:
        #: Of each reason the number of files.
        self.skipped: dict[str, int] = {}
        #: Of each run the time, in microseconds, from its start to its newest merge.
        self.times: dict[int, int] = {}


class Summary(persistent.Persistent):
    """What all runs together did. Written once, in the end."""

    def __init__(self, jobs: int, retries: int, seconds: float, written: int) -> None:
        self.jobs = jobs
        #: How often a job was tried again, because of a conflict or an interruption.
        self.retries = retries
        self.seconds = seconds
        #: The size of the database: it is only ever appended to.
        self.written = written


class Demo(persistent.Persistent):
    """One index in the making. Written by the main thread."""

    #: The number of the present or last run, and when it started (microseconds since 1970).
    run = 0
    run_start = 0
    #: None until all is done.
    summary: Summary | None = None

    def __init__(
        self, folder: str, batches: tuple[tuple[str, ...], ...], unreadable_folders: int
    ) -> None:
        #: The real path of what is indexed.
        self.folder = folder
        self.unreadable_folders = unreadable_folders
        self.index = search.new_index()
        self.totals = Totals()
        #: How many files have been read: a Length, to which many jobs can add at once.
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
        """The path, below the folder, of a file by its number in the index."""
        for batch in self.batches:
            if number < batch.first + len(batch.paths):
                return str(batch.paths[number - batch.first])
        raise LookupError(number)
