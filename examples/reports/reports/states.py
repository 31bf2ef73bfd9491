"""How far a report is: what the pages show."""

from typing import Any, NamedTuple

import zc.async_
import zc.twist
from reports.jobs import PROGRESS
from reports.model import Report
from zc.async_.interfaces import ASSIGNED, COMPLETED, NEW, PENDING, JobNotFoundError


class State(NamedTuple):
    """The state of a report."""

    #: One of: waiting, running, finished, failed, cancelled, lost.
    name: str
    percent: int = 0
    #: What is being done.
    step: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it is going to change by itself."""
        return self.name in ("waiting", "running")


def state_of(report: Report) -> State:
    """The state of a report, from what is noted there, or else from its job."""
    if report.rows is not None:
        return State("finished", 100)
    if report.traceback is not None:
        return State("failed")
    if report.cancelled:
        return State("cancelled")
    try:
        job = zc.async_.find(report, report.job_id)
    except JobNotFoundError:
        # Somebody has removed it, with its database perhaps.
        return State("lost")
    return _state_of_job(job)


def _state_of_job(job: Any) -> State:
    if job.status in (PENDING, ASSIGNED):
        return State("waiting")
    if job.status == NEW:
        # An operator has taken it out of the queue.
        return State("cancelled")
    if job.status == COMPLETED and isinstance(job.result, zc.twist.Failure):
        return State("failed")
    # Also when it is completed: then the commit of the job in the other database is not seen yet.
    return State("running", *job.annotations.get(PROGRESS, (0, "beginning")))
