"""What is told of the end of a job."""

from typing import Any

import zc.twist
from zc.async_ import utils
from zc.async_.callbacks import pass_through
from zc.async_.threadlocal import local
from zc.twist import showing

_PASS_THROUGH = f"{pass_through.__module__}:{pass_through.__qualname__}"


def note_completed_elsewhere(job: Any) -> None:
    """Tell the worker of this thread that another job was completed by what it runs."""
    if local.completed is not None and job._p_oid is not None:
        local.completed.append(job)


def log_result(job: Any, result: Any) -> None:
    """Log the end of a job: failures among the events, the rest in the trace."""
    if isinstance(result, zc.twist.Failure):
        if getattr(job, "_callable", None) == _PASS_THROUGH:
            return
        level = job._effective_log_level()
        if utils.log.isEnabledFor(level):
            text = result.getTraceback(detail="verbose", elideFrameworkCode=False)
            utils.log.log(level, "%r failed:\n%s", job, showing.cut_middle(text))
    elif utils.tracelog.isEnabledFor(20):
        utils.tracelog.info("%r succeeded with result:\n%s", job, utils.custom_repr(result))
