"""The history of an agent: its completed jobs, for about a week."""

import datetime
from collections.abc import Iterator
from typing import Any

import persistent
import zope.interface
from BTrees.LOBTree import LOBTree

import zc.async_.clock
import zc.async_.interfaces

#: Entries of one segment. Every batch of completed jobs writes the newest segment again.
SEGMENT_SIZE = 16

#: Microseconds by which the key of a segment may be later than its first entry.
KEY_SLACK = 1_000_000

#: Microseconds: a clock that was set back by at most this is not followed, so that the times of a
#: bucket go up. After a larger step there is a new bucket.
LITTLE = 5 * 60 * 1_000_000

#: Microseconds covered by one day's bucket, and the number of buckets kept.
PERIOD = 24 * 60 * 60 * 1_000_000
BUCKETS = 8
#: The most buckets that are kept, even if the clock is set back again and again.
MOST_BUCKETS = 3 * BUCKETS


class HistorySegment(persistent.Persistent):
    """Some successive entries (microseconds, job), the oldest first."""

    def __init__(self) -> None:
        self.entries: tuple[tuple[int, Any], ...] = ()


class HistoryBucket(persistent.Persistent):
    """The jobs of one period."""

    def __init__(self, period: int) -> None:
        self.period = period
        #: Segments by the time of their first entry, or a little later.
        self.segments = LOBTree()
        self.newest: HistorySegment | None = None
        #: How many entries there are in all segments except the newest.
        self.full = 0

    def add(self, time: int, job: Any) -> None:
        """Add a job, in the order of completion."""
        segment = self.newest
        if segment is not None and segment.entries:
            # Jobs of several threads may come a little out of order, and the clock may have been
            # set back a little.
            time = max(time, segment.entries[-1][0])
        if segment is None or len(segment.entries) >= SEGMENT_SIZE:
            key = time
            if segment is not None:
                self.full += len(segment.entries)
                # Keys go up even if many jobs have the same time.
                key = max(time, self.segments.maxKey() + 1)
            self.newest = segment = self.segments[key] = HistorySegment()
        segment.entries += ((time, job),)

    def remove(self, job: Any) -> bool:
        """Remove a job; return whether it was here."""
        for segment in self.segments.values():
            kept = tuple(entry for entry in segment.entries if entry[1] is not job)
            removed = len(segment.entries) - len(kept)
            if removed:
                segment.entries = kept
                if segment is not self.newest:
                    self.full -= removed
                return True
        return False

    def is_ahead(self, time: int) -> bool:
        """Whether the newest entry has a much later time, since the clock was set back."""
        entries = () if self.newest is None else self.newest.entries
        return bool(entries) and entries[-1][0] > time + LITTLE

    def __len__(self) -> int:
        return self.full + (0 if self.newest is None else len(self.newest.entries))

    def newest_first(self, start: int | None) -> Iterator[tuple[int, Any]]:
        """The times and jobs, the last completed job first. Loads as much as is iterated over."""
        most = () if start is None else (start + KEY_SLACK,)
        while True:
            try:
                key = self.segments.maxKey(*most)
            except ValueError:
                # There is none up to that.
                return
            yield from reversed(self.segments[key].entries)
            most = (key - 1,)


@zope.interface.implementer(zc.async_.interfaces.ICompletedCollection)
class Completed(persistent.Persistent):
    """See `zc.async_.interfaces.ICompletedCollection`.

    The dispatcher of the agent writes it, and so do operators who clear it.
    """

    def __init__(self) -> None:
        #: The newest first.
        self._buckets: tuple[HistoryBucket, ...] = ()

    def add(self, job: Any) -> None:
        """Add a job that has completed. Only for dispatchers."""
        now = zc.async_.clock.microseconds()
        self.rotate(now)
        period = now // PERIOD
        newest = self._buckets[0] if self._buckets else None
        if newest is None or newest.period < period or newest.is_ahead(now):
            self._buckets = (HistoryBucket(period), *self._buckets)
        self._buckets[0].add(now, job)

    def remove(self, job: Any) -> None:
        """Remove a job that turns out not to have completed. Only for dispatchers."""
        for bucket in self._buckets:
            if bucket.remove(job):
                return

    def clear(self) -> None:
        """See `zc.async_.interfaces.ICompletedCollection`."""
        self._buckets = ()

    def rotate(self, now: int) -> bool:
        """Drop buckets that are too old; return whether there were any."""
        oldest = now // PERIOD - BUCKETS + 1
        kept = tuple(bucket for bucket in self._buckets if bucket.period >= oldest)
        # After a clock was set back, there may be several buckets of a day, and of future days.
        kept = kept[: MOST_BUCKETS - 1]
        if len(kept) == len(self._buckets):
            return False
        self._buckets = kept
        return True

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets)

    def __bool__(self) -> bool:
        return any(len(bucket) for bucket in self._buckets)

    def __iter__(self) -> Iterator[Any]:
        return self.iter()

    def iter(
        self, start: datetime.datetime | None = None, stop: datetime.datetime | None = None
    ) -> Iterator[Any]:
        """See `zc.async_.interfaces.ICompletedCollection`."""
        first = None if start is None else zc.async_.clock.to_microseconds(start)
        last = None if stop is None else zc.async_.clock.to_microseconds(stop)
        for bucket in self._buckets:
            for time, job in bucket.newest_first(first):
                if last is not None and time <= last:
                    break
                if first is None or time <= first:
                    yield job

    def first(self, start: datetime.datetime | None = None) -> Any:
        """See `zc.async_.interfaces.ICompletedCollection`."""
        for job in self.iter(start):
            return job
        raise ValueError("no job completed at that time or before", start)

    def last(self, stop: datetime.datetime | None = None) -> Any:
        """See `zc.async_.interfaces.ICompletedCollection`."""
        found = None
        for found in self.iter(None, stop):  # noqa: B007  (the last one is wanted)
            pass
        if found is None:
            raise ValueError("no job completed after that time", stop)
        return found
