"""What is told of a run."""

import collections
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.torture.faults import PROBLEMS, Fault
from zc.async_ import utils

COLUMNS = ("put", "completed", "ended badly")

#: Most faults of each problem that are told in full, and lines of logs with each.
MOST_FAULTS = 5
MOST_LINES = 12

_RECORD = re.compile(r"^[\d-]+ [\d:,]+ (?P<level>[A-Z]+) (?P<logger>\S+) ")


def table(counts: dict[str, collections.Counter[str]], faults: Iterable[tuple[str, Fault]]) -> str:
    """The jobs and the problems, by kind."""
    problems: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for kind, fault in faults:
        problems[kind][fault.problem] += 1
    rows = [["", *COLUMNS, *PROBLEMS]]
    for kind in [*counts, *(kind for kind in problems if kind not in counts)]:
        counter = counts.get(kind, collections.Counter())
        rows.append(_row(kind or "(no single job)", counter, problems[kind]))
    total = sum(counts.values(), collections.Counter())
    rows.append(_row("all", total, sum(problems.values(), collections.Counter())))
    return _aligned(rows)


def _row(
    name: str, counter: collections.Counter[str], problems: collections.Counter[str]
) -> list[str]:
    return [name, *(str(counter[c]) for c in COLUMNS), *(str(problems[p] or ".") for p in PROBLEMS)]


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(_padded, row, widths, range(len(row)))) for row in rows)


def _padded(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def tally(title: str, counter: dict[str, int]) -> str:
    """Some counts in a line."""
    words = ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
    return f"{title} {sum(counter.values())}: {words or 'none'}"


def log_levels(folder: Path) -> dict[str, int]:
    """How many records of each level the logs of the workers have."""
    levels: collections.Counter[str] = collections.Counter()
    for line in _lines(folder):
        match = _RECORD.match(line)
        if match and match["level"] != "INFO":
            levels[match["level"]] += 1
    return levels


def details(folder: Path, faults: list[tuple[str, Fault]]) -> str:
    """The faults in full, as far as that is not too much."""
    texts = []
    # What is told of few often says why the many are as they are: it comes first.
    counts = collections.Counter(fault.problem for _kind, fault in faults)
    for problem, count in sorted(counts.items(), key=lambda item: item[1]):
        found = [(kind, fault) for kind, fault in faults if fault.problem == problem]
        texts += [_detail_or_error(folder, *one) for one in found[:MOST_FAULTS]]
        if count > MOST_FAULTS:
            texts.append(f"... and {count - MOST_FAULTS} more: {problem}")
    return "\n\n".join(texts)


def _detail_or_error(folder: Path, kind: str, fault: Fault) -> str:
    """What it is about may be spoilt; the fault is told all the same."""
    try:
        return _detail(folder, kind, fault)
    except Exception as error:
        return f"{fault.problem}: {kind}: {utils.custom_repr(fault.job)} {fault.text} ({error!r})"


def _detail(folder: Path, kind: str, fault: Fault) -> str:
    job = fault.job
    if job is None:
        return f"{fault.problem}: {fault.text}"
    found = [
        f"{fault.problem}: {kind}: {job!r} {fault.text}",
        f"  status {job.status}, parent {utils.custom_repr(job.parent)}, {_where(job)}",
        f"  times {job.begin_after}, {job.active_start}, {job.active_end}, token {job.claim_token}",
        f"  result {job.result!r}, retries {_retries(job)}",
    ]
    oid = re.compile(rf"\boid {int.from_bytes(job._p_oid)}\b")
    told = sorted(line for line in _lines(folder) if oid.search(line) and _RECORD.match(line))
    return "\n".join(found + [f"  | {line}" for line in told[-MOST_LINES:]])


def _retries(job: Any) -> Any:
    return None if job.kept_policy is None else dict(job.kept_policy.data)


def _where(job: Any) -> str:
    if job.agent is None or job.agent.parent is None:
        return "no agent"
    agents = job.agent.parent
    listed = any(other is job for other in job.agent.running.jobs)
    return (
        f"agent {job.agent.name!r} ({'' if listed else 'not '}in its list) of {agents.UUID}, "
        f"activated {agents.activated}"
    )


def _lines(folder: Path) -> Iterable[str]:
    for log in sorted(folder.glob("worker*.log")):
        for line in log.read_text(errors="replace").splitlines():
            yield f"{log.stem}: {line}" if not _RECORD.match(line) else line
