"""Jobs whose code is missing in the process that runs them: they wait for it.

A worker with an older or newer version of the software may have the code, or somebody may install
it.
"""

import datetime
from typing import Any

import ZODB.broken

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import MissingCallableError
from zc.async_.running import answers
from zc.async_.running.answers import At
from zc.async_.running.contract import RunnableJob

#: How long a job waits for its code before it fails. May be changed when a process starts.
PATIENCE = datetime.timedelta(hours=24)

#: Seconds to wait: the first time, and at most; it doubles in between.
FIRST_DELAY = 1
LONGEST_DELAY = 600


#: Vain tries before a job fails, however late it is: so many that the wait is the longest.
LEAST_TRIES = 10


class MissingCodeError(Exception):
    """Code that the job needs is missing; `args[0]` is the `MissingCallableError`."""


def find_callable(job: RunnableJob) -> Any:
    """The callable of a job.

    Raises `MissingCodeError` if it, or the class of an argument, is missing.
    """
    try:
        for argument in (*job.stored_args, *job.stored_kwargs.values()):
            if isinstance(argument, ZODB.broken.Broken):
                raise _missing_class(argument)
        return job.callable
    except MissingCallableError as error:
        raise MissingCodeError(error) from error


def _missing_class(broken: Any) -> MissingCallableError:
    kind = type(broken)
    return MissingCallableError(
        f"the class {kind.__module__}.{kind.__name__} of an argument is missing: install or "
        "restore the code"
    )


def next_try(job: RunnableJob) -> At | None:
    """Note another vain try; return when the next one is, or None if the job has waited enough."""
    now = zc.async_.clock.microseconds()
    since, count = job.missing_code or (now, 0)
    patience = zc.async_.clock.interval_microseconds(PATIENCE)
    # The number of tries counts, too: somebody may set the clock forward by a day, and back again.
    if now - since >= patience and count >= LEAST_TRIES:
        return None
    # If the clock was set back, the time counts from now.
    job.note_missing_code((min(since, now), count + 1))
    return answers.after(delay(count) * 1_000_000)


def delay(count: int) -> int:
    """Seconds to wait after so many vain tries before."""
    return int(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(count, 20)))


def log_missing(job: RunnableJob, error: MissingCallableError, when: At | None) -> None:
    """Log what is missing, and whether the job waits or fails."""
    if when is None:
        utils.log.error("%r has waited %s for its code, and fails: %s", job, PATIENCE, error)
    else:
        seconds = (when - zc.async_.clock.microseconds()) / 1_000_000
        utils.log.error("%r waits %.0f s for its code: %s", job, seconds, error)
