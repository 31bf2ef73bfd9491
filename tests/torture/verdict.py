"""What went wrong, from the database and the file that jobs wrote."""

import collections
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from ZODB.utils import oid_repr

from tests.processes import lines, queue_of
from tests.references import wrong_references
from tests.torture import places, work
from tests.torture.faults import Fault
from tests.torture.kinds import KINDS, Evidence, Record, failed
from zc.async_ import utils
from zc.async_.interfaces import COMPLETED

Records = list[tuple[int, Any]]

#: Seconds between two tries to reach a server.
PAUSE = 0.2


def all_records(connection: Any) -> tuple[Records, list[Fault]]:
    """The records by number, and what keeps others from being read."""
    found: Records = []
    faults: list[Fault] = []

    def read() -> None:
        for records in connection.root()[work.ROOT]["records"].values():
            # Each client's are read as far as that goes.
            faults.extend(_whatever_fails(lambda one=records: found.extend(one.items()), "records"))

    faults += _whatever_fails(read, "records")
    return found, faults


def _whatever_fails(call: Callable[[], Any], what: str) -> list[Fault]:
    """Call; the fault is that it could not be done. A server that is away is no such thing."""
    try:
        call()
    except utils.DISCONNECTED_ERRORS:
        raise
    except Exception as error:
        return [Fault("broken", f"{what} cannot be judged: {error!r}")]
    return []


def unfinished(connection: Any) -> list[Any]:
    """The jobs that are not completed, of those records that can be read."""
    found: list[Any] = []

    def look(record: Any) -> None:
        found.extend(job for job in record.jobs() if job.status != COMPLETED)

    for number, record in all_records(connection)[0]:
        _whatever_fails(lambda one=record: look(one), f"record {number}")
    return found


def left_behind(connection: Any) -> list[str]:
    """What there is that should not be when all jobs have ended, or cannot be read."""
    found: list[str] = []
    for look in (_left_in_queue, _left_in_agents, _left_in_quotas):
        # All that is told before the error, and the error.
        faults = _whatever_fails(
            lambda look=look, into=found: into.extend(look(queue_of(connection))), look.__name__
        )
        found += [fault.text for fault in faults]
    return found


def _left_in_queue(queue: Any) -> Iterator[str]:
    if len(queue):
        yield f"{len(queue)} jobs wait in the queue"
        yield f"the first of them: {list(itertools.islice(queue, 10))}"


def _left_in_agents(queue: Any) -> Iterator[str]:
    for uuid, agents in queue.dispatchers.items():
        for agent in agents.all_books():
            if len(agent):
                yield f"agent {agent.name!r} of {uuid} has {len(agent)} jobs: {[*agent]}"


def _left_in_quotas(queue: Any) -> Iterator[str]:
    for name, quota in queue.quotas.items():
        if len(quota):
            yield f"quota {name!r} has {len(quota)} jobs: {[*quota]}"


def begun(path: Any) -> dict[int, int]:
    """How often each job has begun, by number."""
    return collections.Counter(int(number) for (number,) in lines(path))


def judge(connection: Any, path: Any, acknowledged: set[int]) -> Iterator[tuple[str, Fault]]:
    """All faults, each with the kind of the job ("" if it is about none)."""
    evidence = Evidence(begun(path))
    records, faults = all_records(connection)
    for number, record in records:
        kind = _kind(record)
        # Whatever is wrong with it, the others are judged as well.
        faulty: list[Fault] = []
        faulty += _whatever_fails(
            lambda one=record, into=faulty: into.extend(_judge_record(one, evidence)),
            f"record {number}, oid {oid_repr(record._p_oid)},",
        )
        yield from ((kind, fault) for fault in faulty)
    yield from (("", fault) for fault in (*faults, *_shared_jobs(records)))
    for number in sorted(acknowledged - {number for number, _record in records}):
        yield "", Fault("lost", f"job {number} was put, and is not there")
    for text in left_behind(connection):
        yield "", Fault("stuck", text)
    for number, worker, *missing in lines(path.with_name(path.name + places.MISPLACED)):
        text = f"job {number} ran in worker {worker}, which has not {', '.join(missing)}"
        yield "", Fault("wrong place", text)
    found: list[Fault] = []
    found += _whatever_fails(
        lambda: found.extend(_judge_shared(connection, records)), "the counter that jobs share"
    )
    yield from (("conflicting", fault) for fault in found)


def judge_storage(storage: Any, patience: float) -> list[Fault]:
    """All references that are wrong; or, that they could not be looked at.

    A server that is away is tried again for `patience` seconds.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return [Fault("wrong reference", text) for text in wrong_references(storage)]
        except utils.DISCONNECTED_ERRORS as error:
            if time.monotonic() >= end:
                return [Fault("broken", f"references cannot be looked at: {error!r}")]
            time.sleep(PAUSE)
        except Exception as error:
            return [Fault("broken", f"references cannot be looked at: {error!r}")]


def _kind(record: Any) -> str:
    """The kind of the jobs of a record; "" if that cannot be told."""
    kind: list[str] = []
    _whatever_fails(lambda: kind.append(KINDS[record.kind] and record.kind), "")
    return kind[0] if kind else ""


def _judge_record(record: Record, evidence: Evidence) -> Iterator[Fault]:
    stuck = [job for job in record.jobs() if job.status != COMPLETED]
    for job in stuck:
        yield Fault("stuck", f"is {job.status} in the end", job)
    if not stuck:
        yield from KINDS[record.kind].judge(record, evidence)


def _shared_jobs(records: Records) -> Iterator[Fault]:
    """Records that lead to one job: of two that had one oid, one is gone."""
    owners: dict[Any, list[int]] = collections.defaultdict(list)

    def note(number: int, record: Any) -> None:
        for one in (record, record.job, *record.entries):
            owners[one._p_oid].append(number)

    for number, record in records:
        # What fails here, fails when it is judged.
        _whatever_fails(lambda n=number, one=record: note(n, one), "")
    for oid, numbers in owners.items():
        if len(numbers) > 1:
            text = f"records {numbers} all lead to the object {oid_repr(oid)}"
            yield Fault("wrong reference", text)


def _judge_shared(connection: Any, records: Records) -> Iterator[Fault]:
    """The counter that jobs have in common is to say how many of them took effect."""
    counted = [record for _number, record in records if _kind(record) == "conflicting"]
    expected = sum(record.entries[0].count for record in counted)
    found = connection.root()[work.ROOT]["shared"].count
    if found != expected:
        problem = "lost" if found < expected else "doubled"
        yield Fault(problem, f"the counter that jobs share is {found}, not {expected}")


def counts(connection: Any) -> dict[str, collections.Counter[str]]:
    """Of each kind, how many jobs were put, are completed, and failed."""
    found: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}

    def count(record: Any) -> None:
        counter = found[record.kind]
        counter["put"] += 1
        counter["completed"] += record.job.status == COMPLETED
        counter["ended badly"] += failed(record.job)

    for _number, record in all_records(connection)[0]:
        # What cannot be counted is told by `judge`.
        _whatever_fails(lambda one=record: count(one), "")
    return found
