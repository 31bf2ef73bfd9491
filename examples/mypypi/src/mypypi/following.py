"""How the changes of the index are followed: by a chain of jobs, each of which puts the next one.

There is one chain, and it goes on:

- A turn of the chain is a job that reads the list of the index, and a callback that acts on what
  came of it. The callback is performed however the job ended: done, failed, out of time, or given
  up as its process died. It puts the next turn in the transaction in which it does its own work. So
  there always is exactly one next turn, or the present one is not over.
- A restart changes nothing about that: the job is in the database, and so is the time when it is
  due. If it was due while no process ran, it is out of time, and its callback puts the next one.
- Turns have numbers. A callback whose number is not the present one puts nothing: it belongs to a
  chain that was stopped, or to one that somebody has started by force. Two processes that start a
  chain at once change the same record, so one of them meets a conflict, tries again, and finds that
  it is started.
"""

import dataclasses
import datetime
from typing import Any

from persistent import Persistent

import zc.async_.clock
import zc.twist
from mypypi import configuration, index, jobs
from mypypi.errors import explain
from mypypi.jobs import SiteJob
from zc.async_.interfaces import PENDING, IQueue

#: Names that are kept of those that have changed last.
LATEST = 12

#: Seconds between two looks if the index does not answer, at most.
LONGEST_PAUSE = 3600


@dataclasses.dataclass(frozen=True)
class Look:
    """What a look at the list of the index has found."""

    #: How many packages it has.
    total: int
    #: Names of those that have changed last.
    latest: tuple[str, ...]
    #: Names of packages here that have changed.
    changed: tuple[str, ...]
    #: Names of packages here that the index does not have any more.
    missing: tuple[str, ...]


class Follower(Persistent):
    """Follows the index, for the application that it is part of."""

    #: Whether the index is to be followed: unless somebody has stopped it.
    is_wanted = True
    #: The number of the present turn.
    turn = 0
    #: The job of the present turn; None if the index is not followed.
    job: SiteJob | None = None
    #: What the last look that succeeded has found, and when that was.
    look: Look | None = None
    looked: datetime.datetime | None = None
    #: Why the last look failed; empty if it did not.
    error = ""
    failures = 0

    def __init__(self, packages: Any) -> None:
        self.packages = packages

    @property
    def is_going_on(self) -> bool:
        return jobs.is_under_way(self.job)

    def start(self) -> None:
        """Begin to follow the index, unless that is being done."""
        self.is_wanted = True
        if not self.is_going_on:
            self._put_turn(0)

    def stop(self) -> None:
        """Follow the index no longer."""
        self.is_wanted = False
        if self.job is not None and self.job.status == PENDING:
            IQueue(self).remove(self.job)
        # One that runs already finds that its number is over.
        self.turn += 1
        self.job = None

    def hurry(self) -> None:
        """Have the next look be now."""
        if self.job is not None and self.job.status == PENDING:
            self.job.begin_after = zc.async_.clock.now()

    def _put_turn(self, seconds: int) -> None:
        self.turn += 1
        self.job = jobs.put(
            SiteJob(self.look_at_index),
            quota=jobs.INDEX,
            begin_after=datetime.timedelta(seconds=seconds),
            begin_by=jobs.INDEX_PATIENCE,
            # Before the fetches that the last look has caused.
            priority=1,
        )
        self.job.addCallback(SiteJob(self.take_turn, self.turn))

    def look_at_index(self) -> Look:
        """Compare the list of the index with the packages that are here. A job.

        It may be repeated: it asks a question, and changes nothing. So its policy is the usual one,
        and an interrupted look is done again.
        """
        known = dict(self.packages.serials)
        there = index.serials()
        latest = sorted(there, key=there.__getitem__, reverse=True)[:LATEST]
        changed = (name for name in known if there.get(name, 0) > known[name])
        # Those that were never there, whose serial is 0, are waited for.
        missing = (name for name in known if known[name] and name not in there)
        return Look(len(there), tuple(latest), tuple(changed), tuple(missing))

    def take_turn(self, turn: int, result: Any) -> None:
        """Note what a look has found, or why it failed, and put the next turn. A callback.

        What there is to do about it is a job of its own: no mistake in that can break the chain.
        """
        if turn != self.turn:
            return
        interval = configuration.read().interval
        if isinstance(result, zc.twist.Failure):
            self.error = explain(result)
            interval = max(interval, min(interval * 2**self.failures, LONGEST_PAUSE))
            self.failures = min(self.failures + 1, 20)
        else:
            self.error, self.failures = "", 0
            self.look, self.looked = result, zc.async_.clock.now()
            if result.changed or result.missing:
                jobs.put(SiteJob(self.act_on, result))
        self._put_turn(interval)

    def act_on(self, look: Look) -> None:
        """Have what has changed fetched, and what is missing noted. A job.

        If it fails, or a fetch does, the next look finds the same changes: none is lost.
        """
        now = zc.async_.clock.now()
        for name in look.changed:
            package = self.packages[name]
            if package.not_before is None or package.not_before <= now:
                package.refresh()
        for name in look.missing:
            self.packages[name].note_missing()
