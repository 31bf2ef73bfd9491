"""How this application puts jobs: in its site, as nobody, and with which quotas and policies."""

import datetime
from typing import Any

import zope.component.hooks

from mypypi.errors import Unreachable
from zc.async_.interfaces import COMPLETED, NEW, IQueue
from zc.async_.job import NeverRetry, RetryCommonFourTimes
from zc.async_.z3 import Job

#: The quotas, and how many jobs of each run at once, in all instances together.
INDEX = "mypypi index"
PAGES = "mypypi pages"
SEARCH = "mypypi search"
SIZES = {
    # The index is one server, which belongs to somebody else.
    INDEX: 2,
    # Slow servers must not keep all workers waiting.
    PAGES: 2,
    # Two jobs that write to one text index would often conflict, and do their work twice.
    SEARCH: 1,
}

#: After this time nobody waits for what was to be fetched. The next look at the index, or whoever
#: presses the button again, has it fetched anew.
INDEX_PATIENCE = datetime.timedelta(minutes=10)
PAGE_PATIENCE = datetime.timedelta(hours=1)


class SiteJob(Job):
    """A job that runs in the site, and as nobody.

    `zc.async_.z3.Job` also remembers who made it, and fails if they have gone by then. What is
    fetched here is for everybody, whoever asked for it.
    """

    def __init__(self, callable: Any, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(callable, *args, **kwargs)
        self.participants = ()


class AskAgain(RetryCommonFourTimes):
    """The policy for fetches from the index, which may be repeated.

    They ask a question, and asking it twice changes nothing: not there, and not here, as nothing is
    stored but the last answer. So an interrupted one runs again, and one that did not reach the
    index tries again: in 3, 10 and 17 seconds, in which it waits in its queue and holds no worker.
    """

    internal_exceptions: tuple[Any, ...] = (
        ((Unreachable,), "unreachable", 4, 3, 7, 60),
        *RetryCommonFourTimes.internal_exceptions,
    )


#: The policy for fetches of pages. Nobody knows what a request does to a stranger's server, which
#: may be down because there are too many already. It gets one, and a person may ask for another.
ASK_ONCE = NeverRetry


def put(job: SiteJob, quota: str | None = None, **conditions: Any) -> SiteJob:
    """Put a job into the queue of the present site's database. Returns it.

    `conditions`: see `zc.async_.interfaces.IQueue.put`.
    """
    queue = IQueue(zope.component.hooks.getSite())
    if quota is not None and quota not in queue.quotas:
        queue.quotas.create(quota, SIZES[quota])
    return queue.put(job, quota_names=None if quota is None else [quota], **conditions)


def is_under_way(job: SiteJob | None) -> bool:
    """Whether something is still to come from a job. None is no job; a new one was taken back."""
    return job is not None and job.status not in (NEW, COMPLETED)
