"""Reads the logs of workers and of their supervisor."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

from tests.torture.breaking import START, Outage
from tests.torture.explaining import Met

_HEAD = re.compile(
    r"^(?P<when>[\d-]+ [\d:]+),(?P<milliseconds>\d+) (?P<level>[A-Z]+) "
    # Those of a supervisor and its workers say first who it is.
    r"(?:\S+\[\d+\] (?P<named>\S+): |(?P<logger>\S+) )(?P<rest>.*)"
)
#: Names of the threads that log: they come before the message, and may have spaces.
_THREAD = re.compile(
    r"^(zc\.async dispatcher \S+|zc\.async \S+|\('[\d.]+', \d+\) zeo client networking thread"
    r"|MainThread|Thread-\d+( \(\w+\))?|Dummy-\d+) "
)
#: What psycopg2 prints by itself, behind whatever was logged last, if the server ends in the middle
#: of its answer.
_PRINTED = re.compile(
    r"^psycopg2\.errors\.\w+: [^\n]*\n+The above exception was the direct cause[^\n]*\n+"
    r"SystemError: <function decode at [^\n]*> returned a result with an exception set\n?",
    re.MULTILINE,
)
#: The last line of a traceback.
_ERROR = re.compile(r"^(?P<error>[A-Za-z_][\w.]*)(: (?P<text>.*))?$")

#: What a supervisor says when it starts a worker, and when that has polled.
_STARTED = re.compile(r"worker (\d+) is process \d+")
_UP = re.compile(r"worker (\d+) is up")


def logged(folder: Path) -> Iterator[Met]:
    """What workers logged as ERROR or CRITICAL."""
    for log in sorted(folder.glob("worker*.log")):
        for head, tail in _records(log):
            if head["level"] in ("ERROR", "CRITICAL"):
                yield _logged(head, tail)._replace(target=log.name.split(".")[0])


def starts(folder: Path, name: str) -> Iterator[Outage]:
    """The starts of a supervisor's workers that have polled since, by its logs of this name."""
    for log in sorted(folder.glob(f"{name}.*.log")):
        began: dict[str, float] = {}
        for head, _tail in _records(log):
            if found := _STARTED.fullmatch(head["rest"]):
                began[found[1]] = _when(head)
            elif (found := _UP.fullmatch(head["rest"])) and found[1] in began:
                yield Outage(START, name, began.pop(found[1]), _when(head))


def _records(log: Path) -> Iterator[tuple[re.Match[str], list[str]]]:
    """The first line of each record, and those that follow it."""
    head: re.Match[str] | None = None
    tail: list[str] = []
    for line in log.read_text(errors="replace").splitlines():
        if not (found := _HEAD.match(line)):
            tail.append(line)
            continue
        if head is not None:
            yield head, tail
        head, tail = found, []
    if head is not None:
        yield head, tail


def _when(head: re.Match[str]) -> float:
    when = datetime.datetime.strptime(head["when"], "%Y-%m-%d %H:%M:%S").astimezone()
    return when.timestamp() + int(head["milliseconds"]) / 1000


def _logged(head: re.Match[str], tail: list[str]) -> Met:
    tail = _PRINTED.sub("", "\n".join(tail)).splitlines()
    whose = head["named"] or head["logger"]
    message = head["rest"] if head["named"] else _THREAD.sub("", head["rest"])
    errors = [found for line in tail if (found := _ERROR.match(line))] if _is_error(tail) else []
    if not errors:
        return Met(whose, message, "", "", _when(head))
    error, text = errors[-1]["error"], errors[-1]["text"] or ""
    return Met(whose, message, error, text, _when(head), "\n".join(tail))


def _is_error(tail: list[str]) -> bool:
    # asyncio tells of a future that nobody asked without a traceback if it has none.
    return any(line.startswith(("Traceback", "*---", "future: ")) for line in tail)
