"""What happens to jobs and callbacks that were interrupted: their process is gone."""

from typing import Any

from ZODB.POSException import POSKeyError

from zc.async_ import utils
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED, AbortedError
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.running import answers
from zc.async_.running.answers import Meaning
from zc.async_.running.callback_runs import manager_of
from zc.async_.running.contract import RunnableJob

#: How long (microseconds) an interrupted job waits at least. A job that kills its process does not
#: do so as fast as processes can be started then, and operators see it wait.
RESPITE = 250_000


def handle_interrupt(job: RunnableJob) -> None:
    """Ask the retry policy of a job whose process is gone, and do as it says."""
    if job.status in (CALLBACKS, COMPLETED):
        # Its worker reached the result nevertheless, perhaps without seeing a late callback.
        if job.status == CALLBACKS:
            # The worker must not commit anything more.
            job.fence_off()
            manager_of(job).commit()
        elif job.part_of_tally is not None:
            # No agent listed it any more when its worker completed it.
            job.noteEnd()
            manager_of(job).commit()
        job.resumeCallbacks()
        return
    if job.status not in (ASSIGNED, ACTIVE) or job.is_suspended():
        return
    if job.returned_job is not None:
        _join(job)
        return
    answer = _ask(job)
    if answer is False:
        job.fail(AbortedError())
    elif answers.is_too_late(job, answer):
        job.fail(BeginByPassedError())
    else:
        # Its old worker must not commit anything more, even before somebody claims the job.
        job.fence_off()
        if answer is True:
            when = answers.after(RESPITE)
            job.queue.put_back_later(job, when, when.delay)
        else:
            answers.reschedule(job, answer)


def handle_callback_interrupt(callback: Any) -> Meaning | None:
    """Have an interrupted callback tried again, or fail, as its retry policy says."""
    if not callback.is_callback() or callback.status != ACTIVE:
        return None
    if callback.is_suspended() or callback.runner_lives():
        return None
    if callback.returned_job is not None:
        callback.join_returned_job()
        return None
    answer = _ask(callback)
    if answer is False:
        callback.end_as_failed(AbortedError())
    else:
        callback.renew()
    return answer


def _join(job: RunnableJob) -> None:
    """Have a job wait for the one that it returned: what it did itself is committed."""
    inner = job.returned_job
    try:
        completed = inner.status == COMPLETED
    except POSKeyError as error:
        # The other job was removed, and packed away.
        job.fail(error)
        return
    if completed:
        job.take_result_of(inner)
    else:
        job.join_returned_job()


def _ask(job: RunnableJob) -> Meaning:
    """The answer of a policy to an interruption."""
    try:
        policy = job.getRetryPolicy()
        answer = answers.meaning(policy.interrupted())
    except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        utils.log.critical("retry policy of %r raised: the job fails", job, exc_info=True)
        return False
    job.keep_policy(policy)
    return answer
