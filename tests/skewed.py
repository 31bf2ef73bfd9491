"""A process whose clock goes wrong.

    python -m tests.skewed BEFORE AFTER MODULE ARGUMENTS

runs a module with a clock that is fast by BEFORE seconds, and by AFTER once SIGUSR1 has come.
"""

import runpy
import signal
import sys
import time

#: Seconds by which the clock is fast.
fast = 0.0

_time, _time_ns = time.time, time.time_ns


def run(before, after, module, *arguments):
    """Replace the clock, before anybody else has it, and run the module."""

    def set_clock(seconds):
        global fast
        fast = float(seconds)

    set_clock(before)
    time.time = lambda: _time() + fast
    time.time_ns = lambda: _time_ns() + round(fast * 1_000_000_000)
    signal.signal(signal.SIGUSR1, lambda *_args: set_clock(after))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
