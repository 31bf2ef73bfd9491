"""Serial and parallel jobs: what runs behind `zc.async_.job.serial` and `parallel`.

The composed job starts its parts and returns a job that is not in a queue yet, the last one. The
composed job then waits for that: it holds no worker and no place. Each part gets a callback, which
starts what has come to be added, and puts the last job into the queue when all parts are done.
"""

from typing import Any

import persistent

from zc.async_.interfaces import AsyncError
from zc.async_.threadlocal import local


class Progress(persistent.Persistent):
    """How far a composed job is.

    Every part that ends writes it: two that end at the same time conflict, so that one of them sees
    that it is the last.
    """

    def __init__(self, last: Any) -> None:
        self.last = last
        self.started = 0
        self.ended = 0


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
        raise AsyncError(f"{composed!r} has no queue for its parts: put it into one")
    last = composed._new_job(collect if postprocess is None else postprocess)
    progress = Progress(last)
    step(composed, progress)
    return last


def parallel_part_ended(composed: Any, progress: Progress, result: Any) -> None:
    """The callback of each part of a parallel job."""
    progress.ended += 1
    _parallel_step(composed, progress)


def serial_part_ended(composed: Any, progress: Progress, result: Any) -> None:
    """The callback of each part of a serial job."""
    progress.ended += 1
    _serial_step(composed, progress)


def _parallel_step(composed: Any, progress: Progress) -> None:
    while progress.started < len(composed.args):
        _start_part(composed, progress, parallel_part_ended)
    if progress.ended == progress.started:
        _start_last(composed, progress)


def _serial_step(composed: Any, progress: Progress) -> None:
    if progress.started < len(composed.args):
        _start_part(composed, progress, serial_part_ended)
    else:
        _start_last(composed, progress)


def _start_part(composed: Any, progress: Progress, ended: Any) -> None:
    part = composed._new_job(composed.args[progress.started])
    if part is not composed.args[progress.started]:
        composed.args[progress.started] = part
    progress.started += 1
    part.addCallback(composed._new_job(ended, composed, progress))
    composed.queue.put(part)


def _start_last(composed: Any, progress: Progress) -> None:
    last = progress.last
    last.args.extend(composed.args)
    composed.queue.put(last)
