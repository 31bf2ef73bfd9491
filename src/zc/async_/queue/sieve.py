"""Drops entries that do not count, when a claim comes across them.

An entry counts while its job still names it. If the job cannot be read, nobody knows whether its
entry counts: it is set aside for a while.
"""

import logging
from typing import Any, NamedTuple

from ZODB.POSException import POSKeyError
from ZODB.utils import oid_repr

from zc.async_ import utils
from zc.async_.interfaces import PENDING
from zc.async_.job import sort_key
from zc.async_.queue.timed import Timed
from zc.twist.showing import show

#: Microseconds for which a job that cannot be read is left alone.
UNREADABLE_DELAY = 60_000_000
#: The same for a job that was put less than `NEW_FOR` microseconds ago.
NEW_DELAY = 1_000_000
NEW_FOR = 10_000_000


class Problem(NamedTuple):
    """Why a job cannot be read."""

    text: str
    #: Whether the record may be part of a commit that is not finished.
    may_come: bool


def problem_of(job: Any) -> Problem | None:
    """Why a job cannot be read; None if it can.

    Raises errors that mean that the storage is out of reach or the transaction has to be retried.
    """
    try:
        job._p_activate()
    except POSKeyError as error:
        return Problem(f"it cannot be loaded ({error})", True)
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception as error:
        # The state of an argument may raise any error: a problem of this job only.
        return Problem(f"it cannot be loaded ({show(error)})", False)
    kind = type(job)
    if hasattr(kind, "entry_key"):
        return None
    return Problem(f"its class {kind.__module__}.{kind.__qualname__} is missing", False)


class Sieve:
    """Separates the entries of `queue` that count from the others, for one claim.

    `now` is the time of the claim (microseconds). Jobs that cannot be read go to `timed`.
    """

    def __init__(self, queue: Any, now: int, timed: Timed) -> None:
        self._queue = queue
        self._now = now
        self._timed = timed
        #: How many entries did not count.
        self.dropped = 0
        #: Whether a job was set aside, and this written.
        self.changed = False

    def lets_pass(self, job: Any, entry_key: int) -> bool:
        """Whether the entry counts. If not, it is dropped, or its job is set aside for a while."""
        problem = problem_of(job)
        if problem is not None:
            self._set_aside(job, entry_key, problem)
            return False
        if self.is_named(job, entry_key):
            return True
        self.dropped += 1
        return False

    def is_named(self, job: Any, entry_key: int) -> bool:
        """Whether a job that can be read still names this entry."""
        return bool(
            job.entry_key == entry_key and job.status == PENDING and job.parent is self._queue
        )

    def _set_aside(self, job: Any, entry_key: int, problem: Problem) -> None:
        """Set a job aside for a while that cannot be read.

        After that, a process that has the code of its class may come across it.
        """
        # Several databases finish a commit one after the other, so the job may still arrive. The
        # clock of the process that put it may differ, or may have been set back.
        is_new = problem.may_come and -NEW_FOR < self._now - entry_key < NEW_FOR
        delay = NEW_DELAY if is_new else UNREADABLE_DELAY
        seconds = delay // 1_000_000
        utils.log.log(
            logging.INFO if is_new else logging.ERROR,
            "a job of queue %r (oid %s) is left alone for %d s: %s. Install the code, or restore "
            "the record",
            self._queue.name,
            oid_repr(job._p_oid),
            seconds,
            problem.text,
        )
        self._timed.set_aside(sort_key(0, self._now + delay, self._now, entry_key, job._p_oid), job)
        self.changed = True

    def write(self) -> None:
        """Write how many entries were dropped."""
        if self.dropped:
            self._queue.stale_entries.change(-self.dropped)
