"""What the measured jobs do."""

import time


def nothing() -> None:
    """A job without work."""


def now() -> int:
    """A job that says when its code started.

    The clock is that of the host (CLOCK_MONOTONIC), which all its processes have in common.
    """
    return time.monotonic_ns()
