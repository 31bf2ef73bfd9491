"""What becomes of jobs and callbacks whose process is gone."""

from typing import Any

import zc.async_.answers
import zc.async_.callback_runs
import zc.async_.clock
from zc.async_ import utils
from zc.async_.answers import Meaning
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED
from zc.async_.interfaces import TimeoutError as BeginByPassedError

#: Microseconds that an interrupted job waits at least. One that ends its process then does not do
#: so as fast as processes can be started, and whoever looks sees it wait.
RESPITE = 250_000


def handle_interrupt(job: Any) -> None:
    """Ask the retry policy of a job whose process is gone, and do as it says."""
    if job.status in (CALLBACKS, COMPLETED):
        # Its worker came to the result all the same, perhaps without seeing a late callback.
        zc.async_.callback_runs.run_callbacks(job)
        return
    if job.status not in (ASSIGNED, ACTIVE) or job._waits():
        return
    answer = ask(job)
    if answer is False:
        job.fail()
    elif zc.async_.answers.is_too_late(job, answer):
        job.fail(BeginByPassedError())
    else:
        # Its old worker must not commit anything more, even before somebody claims the job.
        job._token += 1
        if answer is True:
            job.queue._put_back(job, zc.async_.clock.microseconds() + RESPITE)
        else:
            zc.async_.answers.reschedule(job, answer)


def ask(job: Any) -> Meaning:
    """The answer of a policy to an interruption."""
    try:
        policy = job.getRetryPolicy()
        answer = zc.async_.answers.meaning(policy.interrupted())
    except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        utils.log.critical("retry policy of %r raised: the job fails", job, exc_info=True)
        return False
    job._policy = policy
    return answer
