"""Claims: how waiting jobs are handed out.

A `Claim` is the work of one transaction, for one dispatcher or one caller of `Queue.claim`. It
reads what is new in the lanes, merges it with the backlog, hands out jobs in order, and when it is
closed writes everything down at once: cursors, groups, jobs due later, deadlines. Its cost depends
on the number of new entries and of jobs that run, not on how many jobs wait, nor for how many
quotas.
"""

import heapq
import itertools
import logging
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ZODB.POSException import POSKeyError
from ZODB.utils import oid_repr

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import PENDING
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import (
    GroupKey,
    Refusal,
    SortKey,
    deadline_key,
    entry_of,
    entry_of_deadline,
    entry_of_later,
    later_key,
    postponed,
    sort_key,
    time_of,
)
from zc.async_.queue.backlog import Group, Shard, Tree
from zc.async_.queue.candidates import Candidates, Waiting
from zc.async_.queue.contenders import MOVES, Contenders
from zc.async_.queue.lane import readable
from zc.async_.queue.limited import Pile, change_count, index_of, indices, take_over
from zc.async_.queue.places import Places
from zc.twist.showing import show

#: Most entries that one claim reads from the lanes, and most due ones that it takes from those for
#: later. The rest is for the next claim, so that no transaction gets long.
SWEEP_LIMIT = 256

#: Most jobs that the filter of one agent is asked about in one claim.
FILTER_LIMIT = 500

#: Microseconds for which a job that cannot be read is left alone.
UNREADABLE_DELAY = 60_000_000
#: The same for one that was put this short a time ago.
NEW_DELAY = 1_000_000
NEW_FOR = 10_000_000

#: How many jobs of a group are asked for at once, from a storage behind a network.
PREFETCH_STORED = 16

#: Most groups of older versions that one claim takes over.
TAKE_OVER_LIMIT = 1000


class Claim:
    """Hands out the waiting jobs of a queue; see the module.

    `share`, a number, says that other dispatchers claim at the same time, with other numbers: jobs
    of equal rank that nothing holds back are then taken from other places than theirs.
    """

    def __init__(self, queue: Any, share: int | None = None) -> None:
        self._queue = queue
        self._share = share
        self._backlog = queue.backlog
        self._now = zc.async_.clock.microseconds()
        #: The jobs without quotas, and those of older versions that were not taken over yet.
        self._candidates: dict[GroupKey, Candidates] = {}
        #: The others: whether they are of the system, and who refused them.
        self._limited: dict[tuple[bool, tuple[Refusal, ...]], Contenders] = {}
        self._places = Places(queue.quotas)
        self._dropped = 0
        #: Entries added to those for later.
        self._later = 0
        #: Entries to be deleted: from shards, and from those for later.
        self._deletions: list[tuple[Shard | Pile, SortKey]] = []
        self._due: list[tuple[Tree, bytes]] = []
        self._deadlines: dict[Any, Any] = {}
        #: What was handed out.
        self.taken: list[Any] = []
        #: Whether there is more to do now than one claim does.
        self.more = False
        #: Whether anything was or will be written.
        self.changed = False
        self._look_into_groups()
        self._look_into_limited()
        self._lanes = [lane for lane in readable(queue.lanes) if lane]
        self._prefetch()
        self._fail_overdue()
        self._take_due()
        self._read_lanes()

    # -- reading

    def _look_into_groups(self) -> None:
        taken_over = 0
        for stored_key, group in list(self._backlog.groups.items()):
            key = GroupKey(*stored_key)
            if key.quota_names and taken_over < TAKE_OVER_LIMIT:
                take_over(self._backlog, key, group, self._places)
                taken_over += 1
                self.changed = True
            elif group:
                self._group(key, group)
                self.more = self.more or bool(key.quota_names)

    def _look_into_limited(self) -> None:
        names = list(itertools.islice(self._queue.quotas.reopened_names(), MOVES + 1))
        if len(names) > MOVES:
            self.more = True
            names.pop()
        for (system, refusals), index in indices(self._backlog):
            for name in names:
                index.reopen(name, self._places)
            self._limited[system, refusals] = Contenders(system, refusals, index, self._places)
        if names:
            self._queue.quotas.forget_reopened(names)
            self.changed = True

    def _prefetch(self) -> None:
        """Ask a storage behind a network for what will be looked at, all at once."""
        jar = self._queue._p_jar
        if jar is None:
            return
        jobs = [job for c in self._candidates.values() for job in c.first_stored(PREFETCH_STORED)]
        jobs += self._prefetch_limited(jar)
        for lane in self._lanes:
            jobs += [
                entry[1]
                for entry, _segment, _position in itertools.islice(lane.unread(), SWEEP_LIMIT)
            ]
        _load(jar, jobs)

    def _prefetch_limited(self, jar: Any) -> list[Any]:
        """The same of jobs with quotas, and of these. Returns jobs."""
        if not hasattr(jar.db().storage, "prefetch"):
            # To look up the quotas would cost more than is gained.
            return []
        piles = [p for c in self._limited.values() for p in c.first_heads(PREFETCH_STORED)]
        _load(jar, [pile for pile in piles if pile._p_jar is not None])
        # (Of one job, they have no records.)
        names = {name for pile in piles for name in pile.quota_names}
        quotas = [self._queue.quotas.get(name) for name in names]
        _load(jar, [quota for quota in quotas if quota is not None])
        _load(jar, [quota.members for quota in quotas if quota is not None])
        return [entry[1] for pile in piles for entry in pile.few[:1]]

    def _group(self, key: GroupKey, stored: Group | None) -> Candidates:
        candidates = self._candidates[key] = Candidates(key, stored, self._share)
        return candidates

    def _add(self, key: GroupKey, waiting: Waiting) -> None:
        """Add a job to those that can be handed out, or give one back."""
        if key.quota_names:
            kind = key.system, key.refusals
            contenders = self._limited.get(kind)
            if contenders is None:
                contenders = self._limited[kind] = Contenders(*kind, None, self._places)
            contenders.push(key.quota_names, waiting)
            return
        candidates = self._candidates.get(key)
        if candidates is None:
            candidates = self._group(key, self._backlog.groups.get(tuple(key)))
        candidates.push(waiting)

    def _counts(self, job: Any, entry_key: int) -> bool:
        """Whether the job still names this entry, which is dropped if not."""
        if self._names(job, entry_key):
            return True
        self._dropped += 1
        return False

    def _readable(self, job: Any, entry_key: int) -> bool:
        """Whether the job can be read; if not, it is set aside for a while.

        A process that has the code of its class may come across it then.
        """
        problem = _problem(job)
        if problem is None:
            return True
        # Of several databases, one after the other finishes a commit: it may be on its way.
        # The clock of who put it may be another, or have been set back.
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
        key = sort_key(0, self._now + delay, self._now, entry_key, job._p_oid)
        self._backlog.later[later_key(key)] = job
        self._later += 1
        self.changed = True
        return False

    def _names(self, job: Any, entry_key: int) -> bool:
        return bool(
            job.entry_key == entry_key and job.status == PENDING and job.parent is self._queue
        )

    def _read_lanes(self) -> None:
        lanes = self._lanes
        positions = {}
        merged = heapq.merge(*map(_numbered, enumerate(lanes)))
        for count, (entry_key, number, job, segment, position) in enumerate(merged):
            if count == SWEEP_LIMIT:
                self.more = True
                break
            positions[number] = segment, position
            if self._readable(job, entry_key) and self._counts(job, entry_key):
                self._sort_in(job)
        for number, (segment, position) in positions.items():
            lanes[number].mark_read(segment, position)
            self.changed = True

    def _sort_in(self, job: Any) -> None:
        """Take in a job that was read from a lane, or from those for later."""
        key = job.position_key()
        deadline = job.deadline_moment()
        if deadline is not None:
            if deadline <= self._now:
                self._fail(job)
                return
            self._deadlines[deadline_key(deadline, key)] = job
        if job.is_due(self._now):
            self._add(job.group_key(), (key, job, None))
        else:
            self._backlog.add_later(key, job)
            self._later += 1

    def _take_due(self) -> None:
        """Move jobs whose time has come from those for later to the candidates."""
        due: list[Any] = []
        for key, job, tree in heapq.merge(
            *map(_due_later, self._backlog.later_trees()), key=operator.itemgetter(0)
        ):
            if time_of(key) > self._now:
                break
            if len(due) == SWEEP_LIMIT:
                self.more = True
                break
            due.append((key, job, tree))
        for key, job, tree in due:
            self._due.append((tree, key))
            entry_key = entry_of_later(key)
            if self._readable(job, entry_key) and self._counts(job, entry_key):
                # One that could not be read may be due later, or be too late.
                self._sort_in(job)

    def _fail_overdue(self) -> None:
        """Fail the jobs whose time to begin has passed, whatever holds them back."""
        deadlines = self._backlog.deadlines
        overdue: list[Any] = []
        for key, job in deadlines.items():
            if time_of(key) > self._now:
                break
            if len(overdue) == SWEEP_LIMIT:
                self.more = True
                break
            overdue.append((key, job))
        for key, job in overdue:
            del deadlines[key]
            self.changed = True
            if _problem(job) is not None:
                deadlines[postponed(key, self._now + UNREADABLE_DELAY)] = job
            elif self._names(job, entry_of_deadline(key)):
                # Its entry stays where it is, and is dropped when a claim comes across it.
                self._queue.stale_entries.change(1)
                self._fail(job)

    def _fail(self, job: Any) -> None:
        job.end_unstarted(BeginByPassedError())

    # -- handing out

    def next(
        self,
        filter: Callable[[Any], Any] | None = None,
        refusal: Refusal | None = None,
        system: bool = False,
    ) -> Any:
        """Take the first job that may run and that `filter` accepts, or return None.

        With `refusal`, which stands for the filter, a job that it refuses is remembered as refused
        and not offered to it again. `system`: only jobs of the system, of which nothing else is
        offered otherwise.
        """
        refused: list[tuple[Candidates, Waiting]] = []
        try:
            while True:
                candidates = self._first(system, refusal)
                if candidates is None:
                    return None
                waiting = candidates.pop()
                if not self._still_waits(waiting):
                    continue
                try:
                    accepted = filter is None or _accepts(filter, waiting[1])
                except BaseException:
                    # Whoever asked may go on, and commit.
                    self._add(candidates.key, waiting)
                    raise
                if not accepted:
                    refused.append((candidates, waiting))
                    if refusal is not None and len(refused) >= FILTER_LIMIT:
                        self.more = True
                        return None
                    continue
                if not self._still_waits(waiting):
                    # The filter has done something with it.
                    continue
                return self._take(waiting)
        finally:
            for candidates, waiting in refused:
                self._refuse(candidates, waiting, refusal)

    def _first(self, system: bool, refusal: Refusal | None) -> Candidates | None:
        best, best_key = None, None
        for key, candidates in self._candidates.items():
            if key.system is not system or (refusal is not None and refusal in key.refusals):
                continue
            sort_key = candidates.peek()
            if (
                sort_key is not None
                and (best_key is None or sort_key < best_key)
                and self._places.holder(key.quota_names) is None
            ):
                best, best_key = candidates, sort_key
        for (of_system, refusals), contenders in self._limited.items():
            if of_system is not system or (refusal is not None and refusal in refusals):
                continue
            first = contenders.first()
            if first is not None and (best_key is None or first[0] < best_key):
                best_key, best = first
        return best

    def _still_waits(self, waiting: Waiting) -> bool:
        key, job, stored = waiting
        if self._readable(job, entry_of(key)) and self._counts(job, entry_of(key)):
            return True
        if stored is not None:
            self._deletions.append((stored, key))
        return False

    def _refuse(self, candidates: Candidates, waiting: Waiting, refusal: Refusal | None) -> None:
        if refusal is None:
            self._add(candidates.key, waiting)
        else:
            system, quota_names, refusals = candidates.key
            known = tuple(sorted({refusal, *(r for r in refusals if r[0] != refusal[0])}))
            self._add(GroupKey(system, quota_names, known), waiting)

    def _take(self, waiting: Waiting) -> Any:
        key, job, stored = waiting
        if stored is not None:
            self._deletions.append((stored, key))
        deadline = job.deadline_moment()
        if deadline is not None:
            place = deadline_key(deadline, key)
            if self._deadlines.pop(place, None) is None:
                self._backlog.deadlines.pop(place, None)
        job.note_claimed()
        self._places.take(job)
        self.taken.append(job)
        return job

    # -- for those who look at the queue meanwhile, such as choosers

    def entries(self) -> Iterator[tuple[SortKey, Any]]:
        """What was read and is not written down yet."""
        for candidates in self._all_candidates():
            for key, job, stored in candidates.to_store():
                if stored is None:
                    yield key, job

    def _all_candidates(self) -> Iterator[Candidates]:
        limited = (contenders.groups() for contenders in self._limited.values())
        return itertools.chain(self._candidates.values(), *limited)

    def uncounted(self) -> int:
        """What `Backlog.count`, less the entries that no longer count, lacks at the moment."""
        unwritten = sum(1 for _entry in self.entries())
        gone = len(self._deletions) + len(self._due)
        return self._later + unwritten - gone + self._dropped

    # -- writing

    def close(self) -> None:
        """Write down what became of the entries. Must be called before the transaction commits."""
        in_piles = 0
        for shard, key in self._deletions:
            shard.remove(key)
            in_piles -= isinstance(shard, Pile)
        for tree, key in self._due:
            del tree[key]
        self.changed = self.changed or bool(self._deletions or self._due)
        for candidates in self._all_candidates():
            in_piles += self._store(candidates)
        if in_piles:
            change_count(self._backlog, in_piles)
        self._file()
        self._backlog.deadlines.update(self._deadlines)
        change = self._later - len(self._due)
        if change:
            self._backlog.later_count += change
        if self._dropped:
            self._queue.stale_entries.change(-self._dropped)

    def _store(self, candidates: Candidates) -> int:
        """Write down what was added to a group; return how many entries more there are in piles."""
        new = candidates.to_store()
        if not new:
            return 0
        self.changed = True
        in_piles = 0
        for key, _job, stored in new:
            if stored is not None:
                stored.remove(key)
                in_piles -= isinstance(stored, Pile)
        system, quota_names, refusals = candidates.key
        if not quota_names:
            self._backlog.group(candidates.key).add([(key, job) for key, job, _s in new])
            return in_piles
        pile = self._limited[system, refusals].pile(quota_names)
        for key, job, _stored in new:
            pile.add(key, job)
        return in_piles + len(new)

    def _file(self) -> None:
        for (system, refusals), contenders in self._limited.items():
            if contenders:
                contenders.file(index_of(self._backlog, system, refusals))
            self.changed = self.changed or contenders.changed
            self.more = self.more or contenders.more

    def next_time(self) -> int | None:
        """When the next job falls due or must have begun (microseconds), None if none will.

        To be asked after `close`.
        """
        times = [
            time_of(tree.minKey())
            for tree in (*self._backlog.later_trees(), self._backlog.deadlines)
            if tree
        ]
        return min(times, default=None)


def _load(jar: Any, records: list[Any]) -> None:
    """Ask the storage for those of the records that are not in memory."""
    missing = [record._p_oid for record in records if record._p_changed is None]
    if len(missing) > 1:
        jar.prefetch(missing)


def _due_later(tree: Tree) -> Iterator[tuple[bytes, Any, Tree]]:
    return ((key, job, tree) for key, job in tree.items())


def _numbered(numbered_lane: tuple[int, Any]) -> Iterator[tuple[int, int, Any, Any, int]]:
    number, lane = numbered_lane
    for entry, segment, position in lane.unread():
        yield entry[0], number, entry[1], segment, position


class _Problem(NamedTuple):
    text: str
    #: Whether the record may be part of a commit that is not finished.
    may_come: bool


def _problem(job: Any) -> _Problem | None:
    """Why a job cannot be read; None if it can."""
    try:
        job._p_activate()
    except POSKeyError as error:
        return _Problem(f"it cannot be loaded ({error})", True)
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception as error:
        # Whatever the state of an argument raises: this job's problem, and nobody else's.
        return _Problem(f"it cannot be loaded ({show(error)})", False)
    kind = type(job)
    if hasattr(kind, "entry_key"):
        return None
    return _Problem(f"its class {kind.__module__}.{kind.__qualname__} is missing", False)


def _accepts(filter: Callable[[Any], Any], job: Any) -> bool:
    try:
        return bool(filter(job))
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS + (POSKeyError,):
        # Says nothing about the job.
        raise
    except Exception:
        utils.log.error(
            "filter %r raised for %r, which is taken as a no: change the filter of the agent",
            filter,
            job,
            exc_info=True,
        )
        return False
