"""Queues: where jobs wait."""

import collections
import contextlib
import datetime
import itertools
import operator
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import persistent
import persistent.interfaces
import zope.component
import zope.interface
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.relstorage
from zc.async_ import utils
from zc.async_.agent import DispatcherAgents, Dispatchers, ledger
from zc.async_.interfaces import ACTIVE, ASSIGNED, NEW, PENDING, Arguments, BadStatusError
from zc.async_.job import (
    COROUTINE,
    as_job,
    as_labels,
    as_quota_names,
    check_quota_names,
    checks,
    mainprogram,
)
from zc.async_.queue import looking, serving
from zc.async_.queue.backlog import Backlog
from zc.async_.queue.claim import Claim
from zc.async_.queue.lane import lease, readable
from zc.async_.queue.lanes import Lanes
from zc.async_.queue.quota import Quota, Quotas
from zc.async_.storing import Located, oids, originals
from zc.twist.showing import show

__all__ = [
    "DispatcherAgents",
    "Dispatchers",
    "Queue",
    "Queues",
    "Quota",
    "Quotas",
    "getDefaultQueue",
]

#: With more entries than this that no longer count, `pull` drops them.
_STALE_LIMIT = 200

_key_lock = threading.Lock()
_last_key = 0


def _new_entry_key() -> int:
    """The time in microseconds, made unique in this process.

    A clock that was set back is followed: keys need only tell the entries of one job apart.
    """
    global _last_key
    now = zc.async_.clock.microseconds()
    with _key_lock:
        _last_key = _last_key + 1 if now <= _last_key < now + 1_000_000 else now
        return _last_key


@zope.interface.implementer(zc.async_.interfaces.IQueue)
class Queue(Located, persistent.Persistent):
    """See `zc.async_.interfaces.IQueue`.

    This record is written when the queue is made. `zc.async_.queue.lane` and
    `zc.async_.queue.backlog` describe the records to which it refers.
    """

    _v_claim: Claim | None = None
    #: Whether this connection made claims: then its own new jobs may be in the backlog.
    _v_has_claimed = False
    #: What there is where jobs are to run that are claimed now.
    _v_labels: frozenset[str] = frozenset()
    #: Whether only coroutines are claimed now; False: none of them; None: whatever there is.
    _v_coroutines: bool | None = None
    #: What `zc.async_.queue.deadlocks` has found so far.
    _v_looked_for_deadlocks: Any = None

    def __init__(self) -> None:
        #: The lanes of the connections that put jobs.
        self.lanes = Lanes()
        self.backlog = Backlog()
        #: How many entries of lanes and backlog no longer count. Its changes are merged.
        self.stale_entries = Length()
        self.quotas = Quotas()
        self.quotas.parent = self
        self.dispatchers = Dispatchers()
        self.dispatchers.parent = self

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_held")
        lanes = state.get("lanes")
        if isinstance(lanes, OOBTree):
            # Written by an older version.
            state = {**state, "lanes": Lanes(lanes, buckets=0)}
        super().__setstate__(state)

    # -- putting

    def put(
        self,
        item: Any,
        begin_after: datetime.datetime | datetime.timedelta | None = None,
        begin_by: datetime.timedelta | None = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
        priority: int | None = None,
        quota_names: Iterable[str] | None = None,
        needs: Iterable[Any] | None = None,
    ) -> Any:
        """See `zc.async_.interfaces.IQueue`."""
        if self._p_jar is not None:
            utils.check_is_open(self._p_jar.db())
        job = as_job(item)
        self._check_is_new(job)
        labels = None if needs is None else as_labels("needs", needs)
        if quota_names is not None:
            names = as_quota_names(quota_names)
            # Before anything is set: a caller may try a refused put again with other names.
            check_quota_names(self, names)
            job.quota_names = names
        elif job.kept_quota_names:
            check_quota_names(self, job.kept_quota_names)
        if begin_after is not None:
            job.begin_after = begin_after
        if begin_by is not None:
            job.begin_by = begin_by
        if failure_log_level is not None:
            job.failure_log_level = failure_log_level
        if retry_policy_factory is not None:
            job.retry_policy_factory = retry_policy_factory
        if priority is not None:
            job.priority = priority
        if labels is not None:
            job.needs = labels
        if not mainprogram.is_plain(job):
            checks.check_job(job)
            mainprogram.warn_of(job)
        uuid = zope.component.queryUtility(zc.async_.interfaces.IUUID)
        job.note_assigner(None if uuid is None else uuid.bytes)
        self._file(job)
        return job

    def call(
        self,
        callable: Callable[Arguments, Any],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Any:
        """See `zc.async_.interfaces.IQueue`."""
        return self.put(as_job(callable).bind(*args, **kwargs))

    def _check_is_new(self, job: Any) -> None:
        if job.status != NEW:
            raise BadStatusError(f"only a new job can be put into a queue; this is {job.status}")

    def putBack(self, job: Any) -> None:
        """See `zc.async_.interfaces.IQueue`."""
        self.put_back_later(job, zc.async_.clock.microseconds())

    def put_back_later(self, job: Any, moment: int, delay: int | None = None) -> None:
        """Put a claimed job back, to run before others from `moment` (microseconds) on.

        `delay`: see `Conditions.wait_until_moment`.
        """
        self._take_back(job)
        now = zc.async_.clock.microseconds()
        if moment > now or (job.kept_begin_after is not None and job.kept_begin_after > moment):
            job.wait_until_moment(moment, delay)
        job.go_to_front()
        self._file(job, keep_arrival=True)

    def put_later(self, job: Any, when: int, delay: int | None = None) -> None:
        """Put a claimed job back, to wait until `when` (microseconds). For retries.

        `delay`: see `Conditions.wait_until_moment`.
        """
        self._take_back(job)
        job.wait_until_moment(when, delay)
        self._file(job, keep_arrival=True)

    def _take_back(self, job: Any) -> None:
        if job.status not in (NEW, ASSIGNED, ACTIVE):
            raise BadStatusError(f"only a claimed job can be put back; this is {job.status}")
        ledger.forget(job.agent, job)

    def _file(self, job: Any, keep_arrival: bool = False) -> None:
        jar = self._p_jar
        if jar is not None:
            oids.guard(jar)
            if job._p_jar is None:
                # The job belongs to the database of the queue, even if others refer to it.
                jar.add(job)
                oids.check_before_commit(job)
        key = _new_entry_key()
        job.wait_in(self, key, keep_arrival)
        lease(self.lanes, jar).append(key, job, job.place_key(), bool(job.needs))

    def file_again(self, job: Any) -> None:
        """Make a new entry for a waiting job that was edited. The old one no longer counts."""
        self.stale_entries.change(1)
        self._file(job, keep_arrival=True)

    def place_again(self, job: Any) -> None:
        """Change the entry of a job that was put, and then edited, in this transaction."""
        lane = lease(self.lanes, self._p_jar)
        if not lane.place(job.entry_key, job, job.place_key(), bool(job.needs)):
            self.file_again(job)

    def withdraw(self, job: Any) -> None:
        """Note that the job no longer waits, so that its entry no longer counts."""
        self.stale_entries.change(1)

    # -- looking, and taking by hand

    def is_waiting(self, job: Any, entry_key: int) -> bool:
        """Whether an entry counts. False for a job that cannot be read; claims log such jobs."""
        if not hasattr(type(job), "entry_key"):
            return False
        try:
            job._p_activate()
        except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            return False
        return bool(job.entry_key == entry_key and job.status == PENDING and job.parent is self)

    def __len__(self) -> int:
        unread = sum(len(lane) for lane in readable(self.lanes))
        uncounted = 0 if self._v_claim is None else self._v_claim.uncounted()
        return int(unread + self.backlog.count() - self.stale_entries() + uncounted)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Any]:
        return looking.waiting_jobs(self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        return _at(self, index, "jobs wait in this queue")

    def _slice(self, part: slice) -> list[Any]:
        try:
            # Looks only at as many jobs as are needed.
            return list(itertools.islice(self, part.start, part.stop, part.step))
        except ValueError:
            return list(self)[part]

    def __reversed__(self) -> Iterator[Any]:
        return reversed(list(self))

    def __contains__(self, job: object) -> bool:
        return getattr(job, "status", None) == PENDING and getattr(job, "parent", None) is self

    def pull(self, index: int = 0, labels: Iterable[Any] | None = None) -> Any:
        """See `zc.async_.interfaces.IQueue`."""
        owned = None if labels is None else frozenset(as_labels("labels", labels))
        if self.stale_entries() > _STALE_LIMIT and self._v_claim is None:
            with self.claiming():
                pass
        if owned is None:
            job = self[index]
        else:
            fitting = (job for job in self if owned.issuperset(job.needs))
            job = _at(fitting, index, f"waiting jobs need nothing but {show(sorted(owned))}")
        self.remove(job)
        return job

    def remove(self, job: Any) -> None:
        """See `zc.async_.interfaces.IQueue`."""
        if job not in self:
            raise LookupError(f"{show(job)} does not wait in this queue", job)
        self.withdraw(job)
        job.note_removed()

    # -- claiming

    @contextlib.contextmanager
    def claiming(self, share: int | None = None) -> Iterator[Claim]:
        """One claim for all calls of `claim` inside; see `zc.async_.queue.claim`."""
        self._v_has_claimed = True
        claim = self._v_claim = Claim(self, share)
        try:
            yield claim
        finally:
            self._v_claim = None
            claim.close()

    @property
    def kinds_claimed(self) -> tuple[bool, bool]:
        """Whether jobs for threads are handed out now, and coroutines."""
        claim = self._v_claim
        return (True, True) if claim is None else (claim.for_threads, claim.for_coroutines)

    @contextlib.contextmanager
    def claiming_where(
        self, labels: frozenset[str], coroutines: bool | None = None
    ) -> Iterator[None]:
        """Have claims inside, if they do not say otherwise, be for a place with these labels.

        `coroutines`: see `Claim.next`.
        """
        before = self._v_labels, self._v_coroutines
        self._v_labels, self._v_coroutines = labels, coroutines
        try:
            yield
        finally:
            self._v_labels, self._v_coroutines = before

    def claim(
        self,
        filter: Callable[[Any], Any] | None = None,
        default: Any = None,
        labels: Iterable[Any] | None = None,
    ) -> Any:
        """See `zc.async_.interfaces.IQueue`."""
        if labels is None:
            return self.claim_for(filter, default)
        return self.claim_for(filter, default, labels=frozenset(as_labels("labels", labels)))

    def claim_for(
        self, filter: Callable[[Any], Any] | None, default: Any = None, **options: Any
    ) -> Any:
        """Like `claim`, with the other arguments of `Claim.next`."""
        options.setdefault("labels", self._v_labels)
        options.setdefault("coroutines", self._v_coroutines)
        claim = self._v_claim
        if claim is None:
            with self.claiming() as claim:
                job = claim.next(filter, **options)
        else:
            job = claim.next(filter, **options)
        return default if job is None else job

    def unserved(self) -> dict[tuple[str, ...], int]:
        """See `zc.async_.interfaces.IQueue`."""
        at_work = serving.living_labels(self)
        found = serving.unserved(self, at_work)
        numbers: collections.Counter[tuple[str, ...]] = collections.Counter()
        for needs, parts in found:
            numbers[tuple(n for n in needs if n != COROUTINE)] += serving.count(self, parts)
        if not at_work:
            # Nobody reads the lanes, so it may not be known what some of the rest needs.
            numbers[()] += len(self) - sum(numbers.values())
        return {needs: number for needs, number in numbers.items() if number > 0}


def _at(jobs: Iterable[Any], index: Any, which: str) -> Any:
    """The job at a position; IndexError, which says `which` there are too few of."""
    position = operator.index(index)
    if position < 0:
        return list(jobs)[position]
    for job in itertools.islice(jobs, min(position, sys.maxsize), None):
        return job
    raise IndexError(f"fewer than {position + 1} {which}")


@zope.interface.implementer(zc.async_.interfaces.IQueues)
class Queues(PersistentMapping):
    """See `zc.async_.interfaces.IQueues`."""

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_data")
        # Whoever changes something of a queue comes by here first, and dispatchers have to hear it.
        zc.async_.relstorage.guard(self._p_jar)
        super().__setstate__(state)

    def __setitem__(self, name: str, queue: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a queue is a str, not {show(name)}")
        if not zc.async_.interfaces.IQueue.providedBy(queue):
            raise TypeError(
                f"{show(queue)} is no queue: put a zc.async_.queue.Queue, or what implements "
                "zc.async_.interfaces.IQueue"
            )
        if name in self and self[name] is not queue:
            del self[name]
        queue.name = name
        queue.parent = self
        super().__setitem__(name, queue)

    def __delitem__(self, name: str) -> None:
        queue = self[name]
        queue.parent = queue.name = None
        super().__delitem__(name)


@zope.component.adapter(persistent.interfaces.IPersistent)
@zope.interface.implementer(zc.async_.interfaces.IQueue)
def getDefaultQueue(context: Any) -> Any:
    """The queue '' in the database of `context`, a persistent object or a connection."""
    connection = utils.connection_of(context)
    queues = connection.root().get(zc.async_.interfaces.KEY)
    if queues is None or "" not in queues:
        raise LookupError(
            "the database has no default queue: call zc.async_.configure.start(db), include "
            "basic_dispatcher_policy.zcml, or register zc.async_.subscribers.queue_installer"
        )
    return queues[""]
