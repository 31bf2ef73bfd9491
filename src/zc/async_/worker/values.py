"""Reads the values of settings, from the command line (texts) or from a TOML file.

Each function returns the value, or raises ValueError if it is none. The text of that error is not
shown: see `zc.async_.worker.keys.Key.give`.
"""

import logging
import math
import os
import re
from typing import Any

_DURATION = re.compile(r"(\d+(?:\.\d*)?)\s*([smh]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}

_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

_LABEL = re.compile(r"[^ ,]{1,200}")

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

#: The names of levels, from the most to the least.
LEVELS = ("debug", "info", "warning", "error", "critical")


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(value)
    return value


def texts(value: Any) -> tuple[str, ...]:
    """One text, or a list of some."""
    found = (value,) if isinstance(value, str) else _list(value)
    if not found:
        raise ValueError(value)
    return tuple(map(text, found))


def names(value: Any) -> tuple[str, ...]:
    """Names, as a list or with commas between them. A name may be empty."""
    found = value.split(",") if isinstance(value, str) else _list(value)
    if not found or not all(isinstance(name, str) for name in found):
        raise ValueError(value)
    return tuple(dict.fromkeys(name.strip() for name in found))


def labels(value: Any) -> tuple[str, ...]:
    """Labels, as a list, which may be empty, or with commas between them."""
    if isinstance(value, str):
        value = [label.strip() for label in value.split(",")]
    found = _list(value)
    if not all(map(_is_label, found)):
        raise ValueError(value)
    return tuple(sorted(set(found)))


def _is_label(value: Any) -> bool:
    # That of `zc.async_.job.as_labels`, which is not for the supervisor: it opens no database.
    return isinstance(value, str) and value.isprintable() and _LABEL.fullmatch(value) is not None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    return list(value)


def size(value: Any) -> int:
    """A number of places, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    number = int(value)
    # Threads are numbered by the system, and agents by C.
    if not 0 <= number < 1 << 31:
        raise ValueError(value)
    return number


def count(value: Any) -> int:
    """A number, at least 1."""
    number = size(value)
    if number == 0:
        raise ValueError(value)
    return number


def processes(value: Any) -> int:
    """A number of processes, or "auto": as many as there are cores for this process."""
    if value == "auto":
        return cores()
    number = count(value)
    if number > 10_000:
        raise ValueError(value)
    return number


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def seconds(value: Any) -> float:
    """A duration: a number of seconds, or a text with a unit."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError(value)
        value = float(found[1]) * _SECONDS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    if not (math.isfinite(value) and 0 <= value < 1 << 31):
        raise ValueError(value)
    return float(value)


def interval(value: Any) -> float:
    """A duration that is longer than nothing."""
    duration = seconds(value)
    if duration == 0:
        raise ValueError(value)
    return duration


def memory(value: Any) -> int:
    """A number of bytes, or a text such as "500M"."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            raise ValueError(value)
        value = int(float(found[1]) * _BYTES[found[2].lower()])
    return count_of_bytes(value)


def count_of_bytes(value: Any) -> int:
    """A number of bytes, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 62:
        raise ValueError(value)
    return value


def function(value: Any) -> str:
    """The name of a function: MODULE:FUNCTION."""
    if not isinstance(value, str) or _FUNCTION.fullmatch(value) is None:
        raise ValueError(value)
    return value


def level(value: Any) -> str:
    """The name of a level of log records."""
    if not isinstance(value, str) or value.lower() not in LEVELS:
        raise ValueError(value)
    return value.lower()


def level_number(name: str) -> int:
    """The number that `logging` has for a level."""
    return logging.getLevelNamesMapping()[name.upper()]
