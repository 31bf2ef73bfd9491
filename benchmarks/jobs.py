"""What the measured jobs do."""

import random
import time
from typing import Any


def nothing() -> None:
    """A job without work."""


def now() -> int:
    """A job that says when its code started.

    The clock is that of the host (CLOCK_MONOTONIC), which all its processes have in common.
    """
    return time.monotonic_ns()


def throw_darts(count: int, seed: int) -> tuple[int, int]:
    """Throw darts at a square; return how many, and how many hit the quarter of a circle in it."""
    throw = random.Random(seed).random
    hits = sum(throw() ** 2 + throw() ** 2 < 1 for _dart in range(count))
    return count, hits


def estimate(*parts: Any) -> float:
    """What pi is, by the darts of some jobs."""
    thrown, hits = map(sum, zip(*(part.result for part in parts), strict=True))
    return float(4 * hits / thrown)
