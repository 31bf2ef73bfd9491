"""Serial and parallel jobs: what runs behind `zc.async_.job.serial` and `parallel`.

The composed job starts its parts and returns a job that is not in a queue yet, the last one. The
composed job then waits for that: it holds no worker and no place. Each part gets a callback, which
starts what has come to be added, and puts the last job into the queue when all parts are done.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import persistent

from zc.async_ import utils
from zc.async_.interfaces import AsyncError, ReassignedError
from zc.async_.threadlocal import local
from zc.twist.showing import show

#: How many parts of a parallel job one `Tally` counts, about.
PARTS_PER_TALLY = 8


class Tally(persistent.Persistent):
    """How many of some parts have not ended.

    Every part that ends writes it: two that end at the same time conflict, so that one of them sees
    that it is the last.
    """

    open = 0


class Progress(persistent.Persistent):
    """How far a composed job is.

    The parts are dealt out to several tallies, in turn, and only the last part of a tally counts
    here: parts that are started together mostly end without meeting each other.
    """

    def __init__(self, last: Any, parts: int) -> None:
        #: The job that runs when all parts have ended.
        self.last = last
        #: How many parts have been put into the queue.
        self.started = 0
        self._tallies = tuple(Tally() for _number in range(max(1, parts // PARTS_PER_TALLY)))
        self._open = 0

    def start(self) -> int:
        """Count a part that starts, and return its number."""
        number = self.started
        self.started += 1
        tally = self._tally(number)
        if tally.open == 0:
            self._open += 1
        tally.open += 1
        return number

    def end(self, number: int) -> None:
        """Count a part that has ended."""
        tally = self._tally(number)
        tally.open -= 1
        if tally.open == 0:
            self._open -= 1

    @property
    def ended(self) -> bool:
        """Whether all parts that have started have ended."""
        return self._open == 0

    def _tally(self, number: int) -> Tally:
        return self._tallies[number % len(self._tallies)]


def collect(*jobs: Any) -> tuple[Any, ...]:
    """What a composed job without postprocessing ends with: its parts."""
    return jobs


def run_parallel(*jobs: Any, postprocess: Any) -> Any:
    """The work of a parallel job."""
    return _start(_parallel_step, postprocess)


def run_serial(*jobs: Any, postprocess: Any) -> Any:
    """The work of a serial job."""
    return _start(_serial_step, postprocess)


def _start(step: Any, postprocess: Any) -> Any:
    composed = local.getJob()
    if composed.queue is None:
        raise AsyncError(f"{show(composed)} has no queue for its parts: put it into one")
    last = composed._new_job(collect if postprocess is None else postprocess)
    step(composed, Progress(last, len(composed.args)))
    return last


@contextlib.contextmanager
def _failing(composed: Any) -> Iterator[None]:
    """If what comes next cannot be started, the composed job fails: else it would wait for ever."""
    try:
        yield
    except Exception as error:
        passes = isinstance(error, utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS)
        if passes or isinstance(error, ReassignedError) or not composed._waits_for_result():
            raise
        composed.fail(error)


def parallel_part_ended(composed: Any, progress: Progress, number: int, result: Any) -> None:
    """The callback of each part of a parallel job."""
    # Parts that were added meanwhile are started first, so that they are waited for.
    with _failing(composed):
        _start_parallel_parts(composed, progress)
        progress.end(number)
        _start_last_if_ended(composed, progress)


def serial_part_ended(composed: Any, progress: Progress, number: int, result: Any) -> None:
    """The callback of each part of a serial job."""
    with _failing(composed):
        progress.end(number)
        _serial_step(composed, progress)


def _parallel_step(composed: Any, progress: Progress) -> None:
    _start_parallel_parts(composed, progress)
    _start_last_if_ended(composed, progress)


def _start_parallel_parts(composed: Any, progress: Progress) -> None:
    while progress.started < len(composed.args):
        _start_part(composed, progress, parallel_part_ended)


def _serial_step(composed: Any, progress: Progress) -> None:
    if progress.started < len(composed.args):
        _start_part(composed, progress, serial_part_ended)
    else:
        _start_last_if_ended(composed, progress)


def _start_part(composed: Any, progress: Progress, ended: Any) -> None:
    number = progress.start()
    part = composed._new_job(composed.args[number])
    if part is not composed.args[number]:
        composed.args[number] = part
    part.addCallback(composed._new_job(ended, composed, progress, number))
    composed.queue.put(part)


def _start_last_if_ended(composed: Any, progress: Progress) -> None:
    if progress.ended:
        last = progress.last
        last.args.extend(composed.args)
        composed.queue.put(last)
