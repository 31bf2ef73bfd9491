"""What is logged when a job ends, and what its worker and dispatcher are told."""

import logging
from typing import Any

import zc.twist
from zc.async_ import utils
from zc.async_.running.chains import owner_of, pass_through
from zc.async_.threadlocal import local
from zc.twist import showing

_PASS_THROUGH = f"{pass_through.__module__}:{pass_through.__qualname__}"


def note_completed_elsewhere(job: Any) -> None:
    """Tell the worker of this thread that another job was completed by what it runs."""
    if local.completed is not None and job._p_oid is not None:
        local.completed.append(job)


def tell_ending(ending: bool) -> None:
    """Tell a dispatcher that stops whether the code of a job has returned."""
    if local.task is not None:
        local.task.ending = ending


def log_result(job: Any, result: Any) -> None:
    """Log the end of a job: failures among the events, the rest in the trace."""
    if isinstance(result, zc.twist.Failure):
        if getattr(job, "stored_callable", None) == _PASS_THROUGH:
            return
        level = job.effective_log_level()
        if utils.log.isEnabledFor(level):
            text = showing.cut_middle(
                result.getTraceback(detail="verbose", elideFrameworkCode=False)
            )
            _log(utils.log, level, job, "failed", text)
    elif utils.tracelog.isEnabledFor(logging.INFO):
        text = utils.custom_repr(result)
        _log(utils.tracelog, logging.INFO, job, "succeeded with result", text)


def _log(log: logging.Logger, level: int, job: Any, ended: str, text: str) -> None:
    owner = _owner_of(job)
    if owner is None:
        log.log(level, f"%r {ended}:\n%s", job, text)
    else:
        log.log(level, f"%r, a callback of %r, {ended}:\n%s", job, owner, text)


def _owner_of(job: Any) -> Any:
    try:
        return owner_of(job)
    except Exception:
        # The end is committed. A proxy that cannot be loaded now must not undo it.
        return None
