"""Claims: how waiting jobs are handed out.

A `Claim` is the work of one transaction, for one dispatcher or one caller of `Queue.claim`. It
reads the new entries of the lanes, merges them with the backlog and hands out jobs in order. When
it is closed, it writes everything at once: cursors, groups, jobs due later, deadlines. Its cost
depends on the number of new entries and of running jobs, not on the number of waiting jobs or of
quotas for which they wait.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ZODB.POSException import POSKeyError

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import (
    COROUTINE,
    Refusal,
    SortKey,
    entry_of,
    entry_of_deadline,
    entry_of_later,
)
from zc.async_.queue.candidates import Candidates, Waiting
from zc.async_.queue.needing import discard, note_needs
from zc.async_.queue.places import Places
from zc.async_.queue.prefetch import prefetch
from zc.async_.queue.ready import Ready
from zc.async_.queue.sieve import UNREADABLE_DELAY, Sieve, problem_of
from zc.async_.queue.timed import Timed
from zc.async_.queue.unread import Unread

#: The most entries that one claim reads from the lanes, and the most due jobs that it takes from
#: those for later. The rest is left to the next claim, so that no transaction gets long.
SWEEP_LIMIT = 256

#: The most jobs for which one claim asks the filter of an agent.
FILTER_LIMIT = 500


class Claim:
    """Hands out the waiting jobs of a queue; see the module.

    `share`, a number, says that other dispatchers claim at the same time with other numbers. Then
    it takes jobs of equal rank that nothing holds back from other places than they do.
    """

    def __init__(self, queue: Any, share: int | None = None) -> None:
        self._queue = queue
        self._now = zc.async_.clock.microseconds()
        self._places = Places(queue.quotas)
        self._timed = Timed(queue.backlog, self._now, SWEEP_LIMIT)
        self._sieve = Sieve(queue, self._now, self._timed)
        #: The jobs that were handed out.
        self.taken: list[Any] = []
        #: Whether jobs for threads are handed out, and coroutines. May be changed between two.
        self.for_threads = self.for_coroutines = True
        #: Whether a filter has to be asked about more than `FILTER_LIMIT` jobs.
        self._more_to_filter = False
        self._ready = Ready(queue, self._places, share)
        self._unread = Unread(queue.lanes, SWEEP_LIMIT)
        prefetch(queue, self._ready, self._unread)
        self._fail_overdue()
        self._take_due()
        self._read_lanes()

    @property
    def more(self) -> bool:
        """Whether there is more to do now than one claim does."""
        return self._more_to_filter or self._ready.more or self._timed.more or self._unread.more

    @property
    def changed(self) -> bool:
        """Whether anything was written. For use after `close`."""
        return (
            self._ready.changed
            or self._timed.changed
            or self._unread.changed
            or self._sieve.changed
        )

    # -- reading

    def _fail_overdue(self) -> None:
        """Fail the jobs whose time to begin has passed, whatever holds them back."""
        for key, job in self._timed.take_overdue():
            if problem_of(job) is not None:
                self._timed.postpone_deadline(key, job, UNREADABLE_DELAY)
            elif self._sieve.is_named(job, entry_of_deadline(key)):
                if not discard(self._queue.backlog, job, self._places):
                    # Its entry stays in its place. The next claim that comes across it drops it.
                    self._queue.stale_entries.change(1)
                self._fail(job)

    def _take_due(self) -> None:
        """Move jobs that are due now from those for later to those that can be handed out."""
        for key, job in self._timed.take_due():
            if self._sieve.lets_pass(job, entry_of_later(key)):
                # A job that could not be read before may be due later, or too late.
                self._sort_in(job)

    def _read_lanes(self) -> None:
        for entry_key, job in self._unread.read():
            if self._sieve.lets_pass(job, entry_key):
                self._sort_in(job)

    def _sort_in(self, job: Any) -> None:
        """Add a job that was read from a lane or from those for later."""
        key = job.position_key()
        deadline = job.deadline_moment()
        if deadline is not None:
            if deadline <= self._now:
                self._fail(job)
                return
            self._timed.add_deadline(deadline, key, job)
        if job.is_due(self._now):
            self._ready.add(job.group_key(), (key, job, None))
        else:
            self._timed.add(key, job)
            if job.needs:
                note_needs(self._queue.backlog)

    def _fail(self, job: Any) -> None:
        job.end_unstarted(BeginByPassedError())

    # -- handing out

    def next(
        self,
        filter: Callable[[Any], Any] | None = None,
        refusal: Refusal | None = None,
        system: bool = False,
        labels: frozenset[str] = frozenset(),
        coroutines: bool | None = None,
    ) -> Any:
        """Take the first job that may run and that `filter` accepts, or return None.

        `refusal` identifies the filter: a job that it refuses is remembered as refused, and not
        offered to it again. `system`: only jobs of the system; they are not offered otherwise.
        `labels`: what there is where the job is to run; jobs that need others are not offered.
        `coroutines`: True for only those, False for none of them.
        """
        for_threads = system or (coroutines is not True and self.for_threads)
        if coroutines is not False and self.for_coroutines:
            labels |= {COROUTINE}
        elif not for_threads:
            return None
        refused: list[tuple[Candidates, Waiting]] = []
        try:
            while True:
                candidates = self._ready.first(system, refusal, labels, not for_threads)
                if candidates is None:
                    return None
                waiting = candidates.pop()
                if not self._still_waits(waiting):
                    continue
                try:
                    accepted = filter is None or _accepts(filter, waiting[1])
                except BaseException:
                    # The caller may go on after the error, and commit.
                    self._ready.add(candidates.key, waiting)
                    raise
                if not accepted:
                    refused.append((candidates, waiting))
                    if refusal is not None and len(refused) >= FILTER_LIMIT:
                        self._more_to_filter = True
                        return None
                    continue
                if filter is not None and not self._still_waits(waiting):
                    # The filter has done something with it.
                    continue
                return self._take(waiting)
        finally:
            for candidates, waiting in refused:
                self._refuse(candidates, waiting, refusal)

    def _still_waits(self, waiting: Waiting) -> bool:
        key, job, _stored = waiting
        if self._sieve.lets_pass(job, entry_of(key)):
            return True
        self._ready.delete(waiting)
        return False

    def _refuse(self, candidates: Candidates, waiting: Waiting, refusal: Refusal | None) -> None:
        if refusal is None:
            self._ready.add(candidates.key, waiting)
        else:
            others = {known for known in candidates.key.refusals if known[0] != refusal[0]}
            refusals = tuple(sorted({refusal, *others}))
            self._ready.add(candidates.key._replace(refusals=refusals), waiting)

    def _take(self, waiting: Waiting) -> Any:
        key, job, _stored = waiting
        self._ready.delete(waiting)
        deadline = job.deadline_moment()
        if deadline is not None:
            self._timed.drop_deadline(deadline, key)
        job.note_claimed()
        self._places.take(job)
        self.taken.append(job)
        return job

    # -- for code that looks at the queue during the claim, such as choosers

    def entries(self) -> Iterator[tuple[SortKey, Any]]:
        """The entries that were read and are not written to the backlog yet."""
        return self._ready.entries()

    def uncounted(self) -> int:
        """By how much `Backlog.count`, less the stale entries, is too low at the moment."""
        return self._ready.uncounted() + self._timed.uncounted() + self._sieve.dropped

    # -- writing

    def close(self) -> None:
        """Write the changes to the entries. Must be called before the transaction commits."""
        self._ready.write_deletions()
        self._timed.write_deletions()
        self._ready.write()
        self._timed.write()
        self._sieve.write()

    def next_time(self) -> int | None:
        """When the next job is due or must have begun (microseconds); None if there is none.

        For use after `close`.
        """
        return self._timed.next_time()


def _accepts(filter: Callable[[Any], Any], job: Any) -> bool:
    try:
        return bool(filter(job))
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS + (POSKeyError,):
        # The error says nothing about the job.
        raise
    except Exception:
        utils.log.error(
            "filter %r raised for %r, which is taken as a no: change the filter of the agent",
            filter,
            job,
            exc_info=True,
        )
        return False
