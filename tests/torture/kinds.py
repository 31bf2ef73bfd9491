"""The kinds of jobs: how each is made, and what must have come of it in the end."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import persistent
import transaction.interfaces
import ZEO.Exceptions
from relstorage.adapters.interfaces import UnableToAcquireLockError

import zc.async_.clock
from tests.processes import Entry
from tests.torture import places, work
from tests.torture.faults import Fault
from zc.async_ import utils
from zc.async_.interfaces import COMPLETED, NEW, AbortedError
from zc.async_.job import Job, NeverRetry, parallel, serial
from zc.async_.job.proxies import CallbackProxy
from zc.twist import Failure

#: Sizes of the quotas, by name.
QUOTAS = {"one": 1, "two": 2}

#: Parts of a serial or parallel job.
PARTS = 3

#: A commit that the storage refuses for another reason than a conflict is not tried again by
#: default, so a job may fail if the disk is full. That is how a client of ZEO hears of it.
#: The last one is RelStorage's: locks that somebody keeps are asked for five times, in no time.
REFUSALS = (OSError, ZEO.Exceptions.ServerException, UnableToAcquireLockError)


class Place(NamedTuple):
    """What jobs are made for."""

    #: The file that jobs write to.
    path: str
    #: A counter that jobs have in common.
    shared: Entry
    #: Chooses among variants.
    random: Any


class Evidence(NamedTuple):
    """What is known beside the database."""

    #: How often each job has begun, by number.
    begun: dict[int, int]


class Record(persistent.Persistent):
    """A job that was put, and the entries that tell of it."""

    def __init__(self, kind: str, number: int, job: Job, *entries: Entry) -> None:
        self.kind = kind
        self.number = number
        self.job = job
        self.entries = entries

    def jobs(self) -> Iterator[Job]:
        """The job and those that belong to it."""
        yield from family(self.job)
        for entry in self.entries:
            if getattr(entry, "inner", None) is not None:
                yield from family(entry.inner)


class WrongObjectError(Exception):
    """Where there should be a job, there is something else."""


def _check_job(job: Any, where: str) -> None:
    if not isinstance(job, Job):
        raise WrongObjectError(f"{where} is {utils.custom_repr(job)}, which is no job")


def family(job: Job) -> Iterator[Job]:
    """A job, its parts, and the callbacks that are performed, of all.

    WrongObjectError if there is something else, whatever loading it raises if it is not there.
    """
    _check_job(job, "a job")
    yield job
    for part in (*job.stored_args, *job.stored_kwargs.values()):
        # Those of a job that failed to start them stay as they were.
        if isinstance(part, Job) and not (failed(job) and part.status == NEW):
            yield from family(part)
    yield from callbacks(job)


def callbacks(job: Job) -> Iterator[Job]:
    """The callbacks of a job that are performed, and theirs. (Their arguments lead back to it.)"""
    for callback in job.callbacks:
        chosen = callback.job if isinstance(callback, CallbackProxy) else callback
        if chosen is not None:
            _check_job(chosen, f"a callback of {job!r}")
            yield chosen
            yield from callbacks(chosen)


Faults = Iterator[Fault]


class Kind(NamedTuple):
    """How jobs of a kind are made and judged."""

    make: Callable[[Place, int], tuple[Any, ...]]
    judge: Callable[[Record, Evidence], Faults]
    #: How many of them there are, compared with others.
    weight: int = 1


# -- what is common


def failed(job: Job) -> bool:
    """Whether the result is a failure."""
    return isinstance(job.result, Failure)


def once(job: Job, entry: Entry) -> Faults:
    """Either the job failed and did nothing, or it took effect once."""
    yield from exactly(0 if failed(job) else 1, entry, job)


def exactly(count: int, entry: Entry, job: Job) -> Faults:
    """The entry says how often it was."""
    if entry.count != count:
        problem = "lost" if entry.count < count else "doubled"
        yield Fault(problem, f"took effect {entry.count} times, not {count}", job)


def may_fail_with(job: Job, *errors: type[BaseException]) -> Faults:
    """No other failure than these is in order."""
    if failed(job) and not job.result.check(*errors):
        yield Fault("failed", f"failed with {job.result.getErrorMessage()!r}", job)


# -- the kinds


def make_plain(place: Place, number: int) -> tuple[Any, ...]:
    entry = Entry()
    return Job(work.count, entry, place.path, number), entry


def make_delayed(place: Place, number: int) -> tuple[Any, ...]:
    job, entry = make_plain(place, number)
    delay = datetime.timedelta(seconds=place.random.uniform(0.05, 3))
    job.begin_after = zc.async_.clock.now() + delay
    return job, entry


def judge_plain(record: Record, evidence: Evidence) -> Faults:
    (entry,) = record.entries
    yield from may_fail_with(record.job, *REFUSALS)
    yield from once(record.job, entry)
    if entry.count > evidence.begun.get(record.number, 0):
        yield Fault("doubled", "took effect more often than it was begun", record.job)


def make_never_again(place: Place, number: int) -> tuple[Any, ...]:
    job, entry = make_plain(place, number)
    job.retry_policy_factory = NeverRetry
    return job, entry


def judge_never_again(record: Record, evidence: Evidence) -> Faults:
    (entry,) = record.entries
    job = record.job
    begun = evidence.begun.get(record.number, 0)
    if begun > 1:
        yield Fault("doubled", f"began {begun} times in spite of NeverRetry", job)
    if not (failed(job) and utils.is_of_used_oid(job.result.value)):
        yield from may_fail_with(
            job,
            *REFUSALS,
            AbortedError,
            ZEO.Exceptions.ClientDisconnected,
            transaction.interfaces.TransientError,
        )
    yield from once(job, entry)


def make_raising(place: Place, number: int) -> tuple[Any, ...]:
    entry, success, failure, after = work.new_entries(4)
    job = Job(work.count_and_fail, entry, place.path, number)
    job.failure_log_level = 5
    _follow(job, success, failure, after)
    return job, entry, success, failure, after


def make_followed(place: Place, number: int) -> tuple[Any, ...]:
    entry, success, failure, after = work.new_entries(4)
    job = Job(work.count, entry, place.path, number)
    _follow(job, success, failure, after)
    return job, entry, success, failure, after


def _follow(job: Job, success: Entry, failure: Entry, after: Entry) -> None:
    proxy = job.addCallbacks(Job(work.note_end, success), Job(work.note_end, failure))
    proxy.addCallback(Job(work.note_end, after))


def judge_followed(record: Record, evidence: Evidence) -> Faults:
    job = record.job
    entry, success, failure, after = record.entries
    yield from may_fail_with(job, *REFUSALS)
    yield from once(job, entry)
    yield from _judge_callbacks(job, success, failure, after)


def judge_raising(record: Record, evidence: Evidence) -> Faults:
    job = record.job
    entry, success, failure, after = record.entries
    if not failed(job):
        yield Fault("lost", "did not fail, as it is to", job)
    yield from may_fail_with(job, *REFUSALS, work.DeliberateError)
    yield from exactly(0, entry, job)
    yield from _judge_callbacks(job, success, failure, after)


def _judge_callbacks(job: Job, success: Entry, failure: Entry, after: Entry) -> Faults:
    yield from exactly(0 if failed(job) else 1, success, job)
    yield from exactly(1 if failed(job) else 0, failure, job)
    yield from exactly(1, after, job)


def make_serial(place: Place, number: int) -> tuple[Any, ...]:
    return _make_composed(serial, place, number)


def make_parallel(place: Place, number: int) -> tuple[Any, ...]:
    return _make_composed(parallel, place, number)


def _make_composed(compose: Any, place: Place, number: int) -> tuple[Any, ...]:
    last, *entries = work.new_entries(1 + PARTS)
    parts = [Job(work.count, entry, place.path, number) for entry in entries]
    for part in parts:
        part.needs = places.choose(place.random)
    return compose(*parts, postprocess=Job(work.collect, last)), last, *entries


def judge_composed(record: Record, evidence: Evidence) -> Faults:
    job = record.job
    last, *entries = record.entries
    yield from may_fail_with(job, *REFUSALS)
    yield from once(job, last)
    if not failed(job) and job.result != PARTS:
        yield Fault("lost", f"has {job.result!r} parts, not {PARTS}", job)
    for part, entry in zip(list(job.args)[:PARTS], entries, strict=True):
        if part.status == COMPLETED:
            yield from may_fail_with(part, *REFUSALS)
            yield from once(part, entry)
        elif not failed(job):
            yield Fault("stuck", f"has a part that is {part.status}", part)
        else:
            yield from exactly(0, entry, part)


def make_limited(place: Place, number: int) -> tuple[Any, ...]:
    entry = Entry()
    name = place.random.choice(list(QUOTAS))
    job = Job(work.count_in_quota, entry, name, place.path, number)
    job.quota_names = [name]
    return job, entry


def judge_limited(record: Record, evidence: Evidence) -> Faults:
    yield from judge_plain(record, evidence)
    if failed(record.job):
        return
    (entry,) = record.entries
    (name,) = record.job.quota_names
    if entry.places > QUOTAS[name]:
        yield Fault("over quota", f"saw {entry.places} jobs in quota {name!r}", record.job)
    if not entry.has_place:
        yield Fault("over quota", f"ran without a place in quota {name!r}", record.job)


def make_returning(place: Place, number: int) -> tuple[Any, ...]:
    entry, inner_entry = work.new_entries(2)
    job = Job(work.count_and_return_job, entry, inner_entry, place.path, number)
    return job, entry, inner_entry


def judge_returning(record: Record, evidence: Evidence) -> Faults:
    job = record.job
    entry, inner_entry = record.entries
    inner = getattr(entry, "inner", None)
    yield from may_fail_with(job, *REFUSALS)
    if inner is None:
        yield from exactly(0 if failed(job) else 1, entry, job)
        yield from exactly(0, inner_entry, job)
        return
    yield from exactly(1, entry, job)
    yield from may_fail_with(inner, *REFUSALS)
    yield from once(inner, inner_entry)
    if failed(job) != failed(inner):
        yield Fault("lost", "has not the result of the job that it returned", job)


def make_conflicting(place: Place, number: int) -> tuple[Any, ...]:
    entry = Entry()
    return Job(work.count_together, entry, place.shared, place.path, number), entry


def judge_conflicting(record: Record, evidence: Evidence) -> Faults:
    (entry,) = record.entries
    yield from may_fail_with(record.job, *REFUSALS, transaction.interfaces.TransientError)
    yield from once(record.job, entry)


def make_committing(place: Place, number: int) -> tuple[Any, ...]:
    entries = work.new_entries(2)
    return Job(work.commit_between, *entries, place.path, number), *entries


def judge_committing(record: Record, evidence: Evidence) -> Faults:
    first, second = record.entries
    yield from may_fail_with(record.job, *REFUSALS)
    yield from once(record.job, second)
    if first.count < second.count:
        yield Fault("lost", "lacks what it committed in the middle", record.job)


def make_waiting(place: Place, number: int) -> tuple[Any, ...]:
    entries = work.new_entries(2)
    return Job(work.wait_between, *entries, place.path, number), *entries


def judge_waiting(record: Record, evidence: Evidence) -> Faults:
    job = record.job
    yield from may_fail_with(job, *REFUSALS)
    for entry in record.entries:
        # What was done stays, whatever the job fails with.
        if entry.count > 1 or not failed(job):
            yield from exactly(1, entry, job)
    first, second = record.entries
    if first.count < second.count:
        yield Fault("lost", "lacks its first step", job)


KINDS = {
    "plain": Kind(make_plain, judge_plain, 4),
    "delayed": Kind(make_delayed, judge_plain, 2),
    "never again": Kind(make_never_again, judge_never_again, 3),
    "followed": Kind(make_followed, judge_followed, 2),
    "raising": Kind(make_raising, judge_raising, 1),
    "serial": Kind(make_serial, judge_composed, 1),
    "parallel": Kind(make_parallel, judge_composed, 1),
    "limited": Kind(make_limited, judge_limited, 3),
    "returning": Kind(make_returning, judge_returning, 1),
    "conflicting": Kind(make_conflicting, judge_conflicting, 2),
    "committing": Kind(make_committing, judge_committing, 1),
    "waiting": Kind(make_waiting, judge_waiting, 2),
}


def make(kind: str, place: Place, number: int) -> Record:
    """A new job of a kind, with what tells of it."""
    record = Record(kind, number, *KINDS[kind].make(place, number))
    record.job.needs = places.choose(place.random)
    return record


def choose(random: Any) -> str:
    """A kind, by weight."""
    weights = [kind.weight for kind in KINDS.values()]
    (name,) = random.choices(list(KINDS), weights)
    return str(name)
