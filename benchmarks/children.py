"""Processes that end with this one.

A child ends when its standard input does. So it goes away with its parent even if that is killed,
and the parent never has to find it again.
"""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Where `python -m benchmarks.X` finds this package.
ROOT = Path(__file__).resolve().parent.parent

#: Seconds that a child may take to end by itself.
PATIENCE = 10

#: Seconds after which a child that waits for its end sees whether there was a signal.
LOOK_INTERVAL = 0.1


@contextlib.contextmanager
def child(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run Python with `arguments` until the block ends. Its standard error goes to `log`."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=environment,
            # An interrupt typed at the terminal is for the parent alone, which ends its children.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def said(process: subprocess.Popen[str], log: Path) -> str:
    """The next line that a child prints. RuntimeError if it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"a process ended early:\n{log.read_text()}")
    return line


def wait_for_end_of_input() -> None:
    """What the main thread of a child waits for.

    It does not wait in one piece: the system may deliver a signal to any thread, and Python handles
    it when the main thread runs next.
    """
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_INTERVAL)
        if ready and not os.read(0, 1024):
            return


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
