"""The new entries in the lanes of a queue, as one claim reads them."""

import heapq
import itertools
from collections.abc import Iterator
from typing import Any

from zc.async_.queue.lane import readable
from zc.async_.queue.lanes import Lanes


class Unread:
    """The entries of the lanes that no claim has read; at most `limit` are read now."""

    def __init__(self, lanes: Lanes, limit: int) -> None:
        self._lanes = [lane for lane in readable(lanes) if lane]
        self._limit = limit
        #: Whether there are more entries than one claim reads.
        self.more = False
        #: Whether a cursor was written.
        self.changed = False

    def first_jobs(self) -> list[Any]:
        """The jobs of each lane's first entries, as many as may be read. It loads none of them."""
        return [
            entry[1]
            for lane in self._lanes
            for entry, _segment, _position in itertools.islice(lane.unread(), self._limit)
        ]

    def read(self) -> Iterator[tuple[int, Any]]:
        """The keys of the entries, in order, with their jobs.

        At the end of the iteration, the cursors move behind these entries.
        """
        positions = {}
        merged = heapq.merge(*map(_numbered, enumerate(self._lanes)))
        for count, (entry_key, number, job, segment, position) in enumerate(merged):
            if count == self._limit:
                self.more = True
                break
            positions[number] = segment, position
            yield entry_key, job
        for number, (segment, position) in positions.items():
            self._lanes[number].mark_read(segment, position)
            self.changed = True


def _numbered(numbered_lane: tuple[int, Any]) -> Iterator[tuple[int, int, Any, Any, int]]:
    number, lane = numbered_lane
    for entry, segment, position in lane.unread():
        yield entry[0], number, entry[1], segment, position
