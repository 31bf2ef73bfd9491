"""Serial and parallel jobs: the work of `zc.async_.job.serial` and `parallel`.

The composed job starts its parts and returns a job that is not in a queue yet, the last one. It
then waits for that job, and holds no worker. Whoever notes that a part has ended starts parts that
were added, and puts the last job into the queue when all parts have ended.

In a serial job, a callback of each part notes its end. A parallel job may have thousands of parts
that end at the same time. There the bookkeeping of dispatchers notes many ends in one transaction,
so that a part costs no more than any job: see `Tally`, and `Life._is_in_books`.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import persistent

from zc.async_ import utils
from zc.async_.interfaces import AsyncError, ReassignedError
from zc.async_.job import yielding
from zc.async_.threadlocal import local
from zc.twist.showing import show

#: How many parts, or tallies of parts, one `Tally` counts: about as many as one poll handles.
TALLIED = 16


class Tally(persistent.Persistent):
    """Which of some successive parts, or tallies of parts, of a parallel job have ended.

    Parts that end together are mostly neighbours, and are noted in one transaction. Two
    transactions that write one tally conflict, so that one of them sees that all have ended.
    """

    #: The tally that counts this one, or the parts as a whole; and the number of this one there.
    above: "Tally | Parts"
    number: int
    #: How many are counted here.
    size = 0
    #: A bit for each that has ended: an end that is noted twice does no harm.
    ended = 0
    # In records of older releases, where callbacks of the parts note their ends.
    open = 0

    def __init__(self, above: "Tally | Parts", number: int, size: int) -> None:
        self.above = above
        self.number = number
        self.size = size

    def end(self, number: int) -> None:
        """Note that one has ended."""
        bit = 1 << number
        if self.ended & bit:
            return
        self.ended |= bit
        if self.ended == (1 << self.size) - 1:
            self.above.end(self.number)


class Parts(persistent.Persistent):
    """How far a parallel job is.

    Parts that are started together have a tree of tallies.
    """

    def __init__(self, composed: Any, last: Any) -> None:
        self.composed = composed
        #: The job that runs when all parts have ended.
        self.last = last
        #: How many parts have been put into the queue.
        self.started = 0
        #: How often parts were started, and which of these have not all ended.
        self._starts = 0
        self._open: tuple[int, ...] = ()

    def start(self, count: int) -> list[tuple[Tally, int]]:
        """Count so many parts that start; return the tally of each and its number there."""
        self.started += count
        places: list[tuple[Any, int]] = [(self, self._starts)]
        self._open += (self._starts,)
        self._starts += 1
        widths = [count]
        while widths[-1] > 1 or len(widths) == 1:
            widths.append(-(-widths[-1] // TALLIED))
        # From the one tally of all down to the parts.
        for width, below in zip(widths[:0:-1], widths[-2::-1], strict=True):
            tallies = [
                Tally(*places[number], min(TALLIED, below - number * TALLIED))
                for number in range(width)
            ]
            places = [(tally, n) for tally in tallies for n in range(tally.size)]
        return places

    def end(self, number: int) -> None:
        """Note that all parts that were started together have ended."""
        self._open = tuple(start for start in self._open if start != number)

    @property
    def ended(self) -> bool:
        """Whether all parts that have started have ended."""
        return not self._open


def _parts_of(tally: Any) -> Parts:
    while not isinstance(tally, Parts):
        tally = tally.above
    return tally


def part_ended(part: Any) -> None:
    """Note that a part of a parallel job is completed; again does no harm."""
    tally, number = part.part_of_tally
    parts = _parts_of(tally)
    composed = parts.composed
    with _failing(composed):
        # Parts that were added meanwhile are started first, so that they are waited for.
        if parts.started < len(composed.stored_args):
            _start_parts(composed, parts)
        if not parts.ended:
            tally.end(number)
            _start_last_if_ended(composed, parts)


class Progress(persistent.Persistent):
    """How far a serial job is, or a parallel one that an older release has begun."""

    # Of a parallel one.
    _tallies: tuple[Tally, ...] = ()

    def __init__(self, last: Any) -> None:
        #: The job that runs when all parts have ended.
        self.last = last
        #: How many parts have been put into the queue.
        self.started = 0
        self._open = 0

    def start(self) -> int:
        """Count a part that starts, and return its number."""
        number = self.started
        self.started += 1
        tally = self._tally(number)
        if tally is None or tally.open == 0:
            self._open += 1
        if tally is not None:
            tally.open += 1
        return number

    def end(self, number: int) -> None:
        """Count a part that has ended."""
        tally = self._tally(number)
        if tally is not None:
            tally.open -= 1
        if tally is None or tally.open == 0:
            self._open -= 1

    @property
    def ended(self) -> bool:
        """Whether all parts that have started have ended."""
        return self._open == 0

    def _tally(self, number: int) -> Any:
        return self._tallies[number % len(self._tallies)] if self._tallies else None


def collect(*jobs: Any) -> tuple[Any, ...]:
    """What a composed job without postprocessing ends with: its parts."""
    return jobs


def run_parallel(*jobs: Any, postprocess: Any) -> Any:
    """The work of a parallel job."""
    composed, last = _composed_and_last(postprocess)
    parts = Parts(composed, last)
    if composed.args:
        _start_parts(composed, parts)
    _start_last_if_ended(composed, parts)
    return last


def run_serial(*jobs: Any, postprocess: Any) -> Any:
    """The work of a serial job."""
    composed, last = _composed_and_last(postprocess)
    _serial_step(composed, Progress(last))
    return last


def _composed_and_last(postprocess: Any) -> tuple[Any, Any]:
    composed = local.own_job()
    if composed.queue is None:
        raise AsyncError(f"{show(composed)} has no queue for its parts: put it into one")
    return composed, composed.make_job(collect if postprocess is None else postprocess)


def _start_parts(composed: Any, parts: Parts) -> None:
    """Put the parts that have not been into the queue."""
    first = parts.started
    made = [composed.make_job(item) for item in composed.stored_args[first:]]
    if any(part is not item for part, item in zip(made, composed.stored_args[first:], strict=True)):
        composed.args[first:] = made
    queue = composed.queue
    for part, place in zip(made, parts.start(len(made)), strict=True):
        part.part_of_tally = place
        queue.put(part)
        yielding.note_started(composed, part)


@contextlib.contextmanager
def _failing(composed: Any) -> Iterator[None]:
    """Fail the composed job if the next part cannot be started: else it would wait for ever."""
    try:
        yield
    except Exception as error:
        passes = isinstance(error, utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS)
        if passes or isinstance(error, ReassignedError) or not composed.waits_for_result():
            raise
        composed.fail(error)


def parallel_part_ended(composed: Any, progress: Progress, number: int, result: Any) -> None:
    """The callback of each part of a parallel job that an older release has begun."""
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
    part = composed.make_job(composed.args[number])
    if part is not composed.args[number]:
        composed.args[number] = part
    part.addCallback(composed.make_job(ended, composed, progress, number))
    composed.queue.put(part)
    yielding.note_started(composed, part)


def _start_last_if_ended(composed: Any, progress: Progress | Parts) -> None:
    if progress.ended:
        last = progress.last
        last.args.extend(composed.args)
        composed.queue.put(last)
