"""Notices that the machine stands still: then nobody is to blame for what comes late."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from tests.torture.breaking import SERVER, STALL, Outage

#: Seconds between two looks.
INTERVAL = 0.1

#: Seconds that a look takes at most, the interval and a write to the disk with it, on a machine
#: that works. A quarter of `breaking.DEATH`.
LONGEST = 0.5


class StallWatch(threading.Thread):
    """Does what a process does that pings, and notes each time at which that took too long."""

    def __init__(self, folder: Path, outages: list[Outage]) -> None:
        super().__init__(name="watch for stalls", daemon=True)
        self._path = folder / "alive"
        #: What was noted is appended.
        self._outages = outages
        self._ending = threading.Event()

    def run(self) -> None:
        """Look until `stop` is called."""
        with open(self._path, "wb", buffering=0) as file:
            ended = False
            while not ended:
                began = time.time()
                ended = self._ending.wait(INTERVAL)
                _write(file)
                self.note(began, time.time())

    def note(self, began: float, ended: float) -> None:
        """Note a look, by the wall clock, if it took too long."""
        if ended - began > LONGEST:
            # Whoever uses the server felt it.
            self._outages.append(Outage(STALL, SERVER, began, ended))

    def stop(self) -> None:
        """Look no more."""
        self._ending.set()
        self.join()


def _write(file: Any) -> None:
    file.write(b".")
    os.fsync(file.fileno())
