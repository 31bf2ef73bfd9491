"""What a dispatcher remembers of its polls and jobs, for monitors and tests.

The reactor's thread writes. Any thread may call the reporting methods; they work on copies.
"""

import collections
import datetime
import itertools
from collections.abc import Iterator
from typing import Any

import ZODB.utils

import zc.async_.clock
from zc.async_ import utils

#: A number of jobs that are certainly not all active at the same time.
MOST_ACTIVE = 100

#: A job as reported: the oid as an integer, and the name of its database.
Reported = tuple[int, str]


def reported(job_id: tuple[bytes, str]) -> Reported:
    """The form in which a job is reported."""
    return ZODB.utils.u64(job_id[0]), job_id[1]


class PollInfo(dict[str, Any]):
    """A poll and the claims until the next one.

    Maps the name of a queue to the names of agents, and these to dicts of 'active jobs' and 'new
    jobs' (lists of `Reported`), 'len', 'size', and 'error' (a Failure or None). None in place of
    the agents: the dispatcher is not active in the queue.

    Once published, only lists of new jobs grow; else a claim replaces the poll by a copy.
    """

    def __init__(self, key: int, utc_timestamp: datetime.datetime | None = None) -> None:
        super().__init__()
        #: See `zc.async_.utils.dt_to_long`: newer polls have smaller keys.
        self.key = key
        self.utc_timestamp = zc.async_.clock.naive_now() if utc_timestamp is None else utc_timestamp
        #: The time of the poll by `zc.async_.clock.monotonic`.
        self.monotonic = zc.async_.clock.monotonic()

    def copy(self) -> "PollInfo":
        """The same poll, to add claims to, and to publish."""
        poll = PollInfo(self.key, self.utc_timestamp)
        poll.monotonic = self.monotonic
        poll.update(self)
        return poll


class JobInfo(dict[str, Any]):
    """The report about a job. It also knows how long the job ran, even if the clock was set.

    Written by the thread that has the job; the reactor's thread may set 'reassigned'.
    """

    #: When it began and ended, by `zc.async_.clock.monotonic`.
    began: int | None = None
    ended: int | None = None

    def begin(self) -> None:
        """Note that the job begins."""
        self["started"] = zc.async_.clock.naive_now()
        self.began = zc.async_.clock.monotonic()

    def end(self, outcome: dict[str, Any]) -> None:
        """Note that the job has ended, and how."""
        self.update(outcome)
        self.ended = zc.async_.clock.monotonic()

    def duration(self) -> int:
        """How long it ran or has run (microseconds); 0 before it begins."""
        if self.began is None:
            return 0
        return (zc.async_.clock.monotonic() if self.ended is None else self.ended) - self.began


class Records:
    """The newest polls and jobs."""

    def __init__(self, polls_size: int, jobs_size: int) -> None:
        self._jobs_size = jobs_size
        #: The newest first.
        self.polls: collections.deque[PollInfo] = collections.deque(maxlen=polls_size)
        #: The newest last.
        self._jobs: collections.OrderedDict[Reported, JobInfo] = collections.OrderedDict()
        self._last_key = 1 << 63

    # -- writing

    def new_poll(self) -> PollInfo:
        """A poll at this moment, of which nobody knows until it is complete and published."""
        # Smaller than the last one, even if the clock was set back.
        now = zc.async_.clock.naive_now()
        self._last_key = min(self._last_key - 1, utils.dt_to_long(now))
        return PollInfo(self._last_key, now)

    def publish(self, poll: PollInfo) -> None:
        """Show a poll to all threads: a new one, or the newest one with more claims."""
        if self.polls and self.polls[0].key == poll.key:
            self.polls[0] = poll
        else:
            self.polls.appendleft(poll)

    def new_job(self, key: Reported, info: JobInfo) -> None:
        """Add the report about a new job."""
        self._jobs.pop(key, None)
        self._jobs[key] = info
        while len(self._jobs) > self._jobs_size and self._drop_oldest():
            pass

    def job_ended(self, key: Reported, outcome: dict[str, Any]) -> None:
        """Note the end of a job that waited for another's result and ended in that job's thread."""
        info = self._jobs.get(key)
        if info is not None and info["completed"] is None:
            info.end(outcome)

    def _drop_oldest(self) -> bool:
        """Forget the oldest job that has ended; return whether there was one.

        Looks only at the oldest few: there are never many jobs that have not ended.
        """
        for key, info in itertools.islice(self._jobs.items(), MOST_ACTIVE):
            if info["completed"] is not None or info["reassigned"]:
                del self._jobs[key]
                return True
        if len(self._jobs) > 2 * self._jobs_size + MOST_ACTIVE:
            # Some ended elsewhere, without notice here.
            self._jobs.popitem(last=False)
            return True
        return False

    # -- reporting

    def jobs(self) -> dict[Reported, dict[str, Any]]:
        """What is known of all jobs, the newest last."""
        return {key: dict(info) for key, info in list(self._jobs.items())}

    def job(self, oid: int, database_name: str | None) -> dict[str, Any]:
        """The report about a job; KeyError if there is none or if two databases have the oid."""
        found = [
            info
            for key, info in list(self._jobs.items())
            if key[0] == oid and database_name in (None, key[1])
        ]
        if not found:
            raise KeyError(oid, database_name)
        if len(found) > 1:
            raise KeyError(f"several databases have a job with the oid {oid}: name one")
        return dict(found[0])

    def poll(self, at: Any, before: Any) -> PollInfo:
        """The newest poll at or before a moment."""
        for poll in self.iter_polls(at, before, None):
            return poll
        raise ValueError("no poll is known of that time or before", at or before)

    def iter_polls(self, at: Any, before: Any, since: Any) -> Iterator[PollInfo]:
        """The polls of a period, the newest first."""
        if at is not None and before is not None:
            raise ValueError("give one of at and before, not both")
        first = at if at is not None else before
        for poll in list(self.polls):
            # A clock may have been set back, so dates of polls may be in any order.
            if since is not None and _compare(poll, since) < 0:
                continue
            compared = -1 if first is None else _compare(poll, first)
            if compared < 0 or (before is None and compared == 0):
                yield poll

    def statistics(
        self, at: Any, before: Any, since: Any, queue: str | None, agent: str | None
    ) -> dict[str, Any]:
        """Statistics of the jobs that the polls of a period started."""
        polls = list(self.iter_polls(at, before, since))
        keys = [
            key
            for poll in polls
            for queue_name, agents in list(poll.items())
            if queue in (None, queue_name)
            for agent_name, info in list((agents or {}).items())
            if agent in (None, agent_name)
            for key in list(info["new jobs"])
        ]
        result: dict[str, Any] = {
            "started": len(keys),
            "statistics start": polls[0].utc_timestamp if polls else None,
            "statistics end": polls[-1].utc_timestamp if polls else None,
        }
        result.update(self._outcomes(keys))
        return result

    def _outcomes(self, keys: list[Reported]) -> dict[str, Any]:
        durations: dict[str, list[tuple[int, Reported]]] = {
            "active": [],
            "failed": [],
            "successful": [],
        }
        unknown = 0
        for key in keys:
            info = self._jobs.get(key)
            if info is None or (info["reassigned"] and info["completed"] is None):
                unknown += 1
            elif info["completed"] is None:
                durations["active"].append((info.duration(), key))
            else:
                kind = "failed" if info["failed"] else "successful"
                durations[kind].append((info.duration(), key))
        result: dict[str, Any] = {
            "failed": len(durations["failed"]),
            "successful": len(durations["successful"]),
            "unknown": unknown,
        }
        for kind, found in durations.items():
            result[f"longest {kind}"] = max(found)[1] if found else None
            result[f"shortest {kind}"] = min(found)[1] if found else None
        return result


def _compare(poll: PollInfo, moment: Any) -> int:
    """Whether a poll was before (negative), at (0) or after (positive) a moment.

    `moment`: a key, a datetime (UTC) or an interval before the present. An interval means elapsed
    time, even if the clock was set.
    """
    if isinstance(moment, int):
        return moment - poll.key
    if isinstance(moment, datetime.timedelta):
        ago = zc.async_.clock.interval_microseconds(moment)
        return poll.monotonic - (zc.async_.clock.monotonic() - ago)
    date = zc.async_.clock.to_microseconds(poll.utc_timestamp)
    return date - zc.async_.clock.to_microseconds(moment)
