"""The answers of retry policies, and what they mean for a job."""

import datetime
from typing import Any

import zc.async_.clock
import zc.async_.dates
from zc.async_.interfaces import AsyncError
from zc.twist.showing import show


class At(int):
    """A time: microseconds since the epoch."""

    #: How long that was from when it was decided (microseconds); None for a date.
    delay: int | None = None


#: Try again now, give up, or try again then.
Meaning = bool | At


def after(delay: int) -> At:
    """The time after a delay (microseconds), as far as datetimes go."""
    now = zc.async_.clock.microseconds()
    answer = At(min(now + delay, zc.async_.clock.LATEST))
    answer.delay = delay
    return answer


def meaning(answer: Any) -> Meaning:
    """The meaning of an answer; a duration counts from now."""
    if isinstance(answer, datetime.datetime):
        zc.async_.dates.warn_if_ambiguous("the answer of a retry policy", answer)
        return At(zc.async_.clock.to_microseconds(answer))
    if isinstance(answer, datetime.timedelta):
        return after(zc.async_.clock.interval_microseconds(answer))
    return bool(answer)


def is_too_late(job: Any, answer: Meaning) -> bool:
    """Whether the job must have begun before the time of the retry."""
    deadline = job.deadline_moment()
    if deadline is None:
        return False
    moment = answer if isinstance(answer, At) else zc.async_.clock.microseconds()
    return bool(moment >= deadline)


def reschedule(job: Any, answer: Meaning) -> None:
    """Put a claimed or active job back into its queue, for now or for later.

    Raises AsyncError if it has no queue.
    """
    queue = job.queue
    if queue is None:
        raise AsyncError(f"{show(job)} has no queue, so it cannot be tried at another time")
    if isinstance(answer, At) and answer > zc.async_.clock.microseconds():
        queue.put_later(job, answer, answer.delay)
    else:
        queue.putBack(job)
