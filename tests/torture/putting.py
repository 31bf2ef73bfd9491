"""Clients that put jobs, whatever happens to their connection."""

import collections
import logging
import random
import time
from typing import Any

from BTrees.IOBTree import IOBTree
from persistent.mapping import PersistentMapping

from tests.processes import queue_of
from tests.torture import kinds, work
from tests.torture.explaining import Met, met
from tests.torture.parties import Party

#: Most jobs that wait while more are put, so that all can be done in the end.
MOST_WAITING = 120

#: Most jobs put in one transaction; and in a batch, which are so many of a hundred.
MOST_AT_ONCE = 4
MOST_IN_BATCH = 40
BATCHES = 10

#: Seconds between two looks whether there is room for more, and after an error.
PAUSE = 0.1

#: Numbers of one client are less than this; those of the next one start here.
NUMBERS = 1_000_000


class Putter(Party):
    """Puts jobs until it is told to stop. What it tells is to be read after that."""

    def __init__(self, database: Any, index: int, seed: int, path: str, most: int) -> None:
        super().__init__(database, f"putter {index}")
        self._index = index
        self._random = random.Random(f"{seed} {index}")
        self._path = path
        self._left = most
        self._next = index * NUMBERS
        #: Numbers of the jobs whose commit went well.
        self.acknowledged: set[int] = set()
        #: How often each kind of error was met.
        self.errors: collections.Counter[str] = collections.Counter()
        self.met: list[Met] = []

    def act(self, manager: Any, connection: Any) -> None:
        """Put jobs until told to stop, or until there are enough."""
        while self._left > 0 and not self._ending.is_set():
            if not self._try_to_put(manager, connection):
                self._ending.wait(PAUSE)

    def _try_to_put(self, manager: Any, connection: Any) -> bool:
        try:
            manager.begin()
            if len(queue_of(connection)) >= MOST_WAITING:
                return False
            numbers = self._put(connection)
            manager.commit()
        except Exception as error:
            # Its commit may have succeeded all the same: its numbers are not used again.
            manager.abort()
            self.errors[type(error).__name__] += 1
            self.met.append(met("putter", error, time.time()))
            logging.info("%s: %s", self.name, error, exc_info=True)
            return False
        self.acknowledged |= numbers
        self._left -= len(numbers)
        return True

    def _put(self, connection: Any) -> set[int]:
        root = connection.root()[work.ROOT]
        place = kinds.Place(self._path, root["shared"], self._random)
        numbers = set()
        for _job in range(self._how_many()):
            number = self._next
            self._next += 1
            record = kinds.make(kinds.choose(self._random), place, number)
            queue_of(connection).put(record.job)
            root["records"][self._index][number] = record
            numbers.add(number)
        return numbers

    def _how_many(self) -> int:
        """Many new objects of one transaction are a trial for those who give out their oids."""
        batch = self._random.randrange(100) < BATCHES
        return self._random.randint(1, MOST_IN_BATCH if batch else MOST_AT_ONCE)


def prepare(connection: Any, putters: int) -> None:
    """Make what the clients and the jobs write."""
    root = connection.root()[work.ROOT] = PersistentMapping()
    root["shared"] = work.Entry()
    root["records"] = PersistentMapping({index: IOBTree() for index in range(putters)})
    quotas = queue_of(connection).quotas
    for name, size in kinds.QUOTAS.items():
        quotas.create(name, size)
