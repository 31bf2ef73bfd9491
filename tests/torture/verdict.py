"""What went wrong, from the database and the file that jobs wrote."""

import collections
from collections.abc import Iterable, Iterator
from typing import Any

from tests.processes import lines, queue_of
from tests.torture import work
from tests.torture.faults import Fault
from tests.torture.kinds import KINDS, Evidence, Record, failed
from tests.torture.putting import all_records
from zc.async_.interfaces import COMPLETED


def unfinished(connection: Any) -> list[Any]:
    """The jobs that are not completed."""
    return [
        job
        for record in all_records(connection)
        for job in record.jobs()
        if job.status != COMPLETED
    ]


def left_behind(connection: Any) -> Iterator[str]:
    """What there is that should not be when all jobs have ended."""
    queue = queue_of(connection)
    if len(queue):
        yield f"{len(queue)} jobs wait in the queue: {[*queue][:10]}"
    for uuid, agents in queue.dispatchers.items():
        for agent in agents._agents():
            if len(agent):
                yield f"agent {agent.name!r} of {uuid} has {len(agent)} jobs: {[*agent]}"
    for name, quota in queue.quotas.items():
        if len(quota):
            yield f"quota {name!r} has {len(quota)} jobs: {[*quota]}"


def begun(path: Any) -> dict[int, int]:
    """How often each job has begun, by number."""
    return collections.Counter(int(number) for (number,) in lines(path))


def judge(connection: Any, path: Any, acknowledged: set[int]) -> Iterator[tuple[str, Fault]]:
    """All faults, each with the kind of the job ("" if it is about none)."""
    evidence = Evidence(begun(path))
    records = list(all_records(connection))
    for record in records:
        for fault in _judge_record(record, evidence):
            yield record.kind, fault
    for number in sorted(acknowledged - {record.number for record in records}):
        yield "", Fault("lost", f"job {number} was put, and is not there")
    for text in left_behind(connection):
        yield "", Fault("stuck", text)
    for fault in _judge_shared(connection, records):
        yield "conflicting", fault


def _judge_record(record: Record, evidence: Evidence) -> Iterator[Fault]:
    stuck = [job for job in record.jobs() if job.status != COMPLETED]
    for job in stuck:
        yield Fault("stuck", f"is {job.status} in the end", job)
    if not stuck:
        yield from KINDS[record.kind].judge(record, evidence)


def _judge_shared(connection: Any, records: Iterable[Record]) -> Iterator[Fault]:
    """The counter that jobs have in common is to say how many of them took effect."""
    expected = sum(record.entries[0].count for record in records if record.kind == "conflicting")
    found = connection.root()[work.ROOT]["shared"].count
    if found != expected:
        problem = "lost" if found < expected else "doubled"
        yield Fault(problem, f"the counter that jobs share is {found}, not {expected}")


def counts(connection: Any) -> dict[str, collections.Counter[str]]:
    """Of each kind, how many jobs were put, are completed, and failed."""
    found: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}
    for record in all_records(connection):
        counter = found[record.kind]
        counter["put"] += 1
        counter["completed"] += record.job.status == COMPLETED
        counter["ended badly"] += failed(record.job)
    return found
