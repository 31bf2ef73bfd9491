"""Looks at the quotas again and again, by what the database says of the jobs."""

import time
from typing import Any

from tests.torture import kinds, work
from tests.torture.explaining import Met, met
from tests.torture.faults import Fault
from tests.torture.parties import Party
from zc.async_.interfaces import ACTIVE, ASSIGNED, COMPLETED

#: Seconds between two looks, and after an error.
PAUSE = 0.05


class Watcher(Party):
    """Counts, in one consistent view after the other, the jobs that hold a place.

    The jobs themselves are counted: what quotas and agents say of them may be wrong.
    """

    def __init__(self, database: Any) -> None:
        super().__init__(database, "watcher")
        #: The greatest number seen of each client.
        self._last: dict[int, int] = {}
        self._open: dict[int, Any] = {}
        #: How often it could look.
        self.looks = 0
        self.faults: list[Fault] = []
        self.met: list[Met] = []

    def act(self, manager: Any, connection: Any) -> None:
        """Look until told to stop."""
        while not self._ending.wait(PAUSE):
            try:
                manager.begin()
                self.look(connection)
                self.looks += 1
            except Exception as error:
                # The server is down, most likely. What else it may be is judged in the end.
                self.met.append(met("watcher", error, time.time()))
                manager.abort()

    def look(self, connection: Any) -> None:
        """Count the jobs that hold places now."""
        self._take_new(connection)
        for name, size in kinds.QUOTAS.items():
            holding = [
                job
                for job in self._open.values()
                if job.quota_names == (name,) and job.status in (ASSIGNED, ACTIVE)
            ]
            if len(holding) > size:
                jobs = ", ".join(f"{job!r} {job.status}" for job in holding)
                self.faults.append(Fault("over quota", f"quota {name!r} holds {jobs}", holding[-1]))
        ended = [number for number, job in self._open.items() if job.status == COMPLETED]
        for number in ended:
            del self._open[number]

    def _take_new(self, connection: Any) -> None:
        for index, records in connection.root()[work.ROOT]["records"].items():
            for number, record in records.items(self._last.get(index, -1) + 1):
                self._last[index] = number
                if record.job.quota_names:
                    self._open[number] = record.job
