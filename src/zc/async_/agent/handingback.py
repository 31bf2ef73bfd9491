"""What becomes of the jobs of a dispatcher that leaves its queue, or is dead.

They are given to whoever works for the queue, in the transaction that deactivates the dispatcher.
"""

from typing import Any

from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, IJob
from zc.async_.running import receipts
from zc.async_.storing import callables


def hand_back(dispatcher_agents: Any) -> None:
    """Hand back the jobs of all agents of a dispatcher."""
    for books in dispatcher_agents.all_books():
        _see_receipts(books)
        for job in books.take_all():
            hand_back_job(dispatcher_agents.queue, job)


def hand_back_job(queue: Any, job: Any) -> None:
    """Hand back a job that no thread goes on with, and that no agent lists any more."""
    if job.status == ASSIGNED:
        queue.putBack(job)
    elif job.status == ACTIVE and not job.is_suspended():
        queue.put(job.make_system_job(job.handleInterrupt))
    elif job.status == CALLBACKS and not job.is_suspended():
        # Whoever performs them so far must not commit anything more.
        job.fence_off()
        queue.put(job.make_system_job(job.resumeCallbacks))


def _see_receipts(books: Any) -> None:
    """Find jobs that ended, but without effect in another database: see `receipts`."""
    for job in books.running.jobs:
        # A job of the system performs callbacks of another, whose code may not be here.
        subject = callables.root_of(job.stored_callable) if job.is_of_system else job
        if IJob.implementedBy(type(subject)):
            receipts.undo_without_effect(subject)
