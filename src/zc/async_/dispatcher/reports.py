"""What a dispatcher tells of itself, to monitors and tests in any thread."""

import datetime
from collections.abc import Iterator
from typing import Any

import zc.async_.clock
from zc.async_.dispatcher.pool import Pool
from zc.async_.dispatcher.pools import Pools
from zc.async_.dispatcher.records import PollInfo, Records, reported


class Reports:
    """The part of a dispatcher that reports. Only reads."""

    # Of the rest of the dispatcher.
    UUID: Any
    poll_interval: float
    labels: tuple[str, ...]
    activated: Any
    _records: Records
    _pools: Pools
    #: When it was activated, by `zc.async_.clock.monotonic`.
    _activated_at: int

    @property
    def queues(self) -> dict[str, dict[str, Pool]]:
        """See `zc.async_.interfaces.IDispatcher`."""
        return self._pools.queues

    @property
    def polls(self) -> list[PollInfo]:
        """See `zc.async_.interfaces.IDispatcher`."""
        return list(self._records.polls)

    @property
    def jobs(self) -> dict[tuple[int, str], dict[str, Any]]:
        """See `zc.async_.interfaces.IDispatcher`."""
        return self._records.jobs()

    def getStatistics(
        self,
        at: Any = None,
        before: Any = None,
        since: Any = None,
        queue: str | None = None,
        agent: str | None = None,
    ) -> dict[str, Any]:
        """See `zc.async_.interfaces.IDispatcher`."""
        return self._records.statistics(at, before, since, queue, agent)

    def getJobInfo(self, oid: int, database_name: str | None = None) -> dict[str, Any]:
        """See `zc.async_.interfaces.IDispatcher`."""
        return self._records.job(oid, database_name)

    def getActiveJobIds(
        self, queue: str | None = None, agent: str | None = None
    ) -> list[tuple[int, str]]:
        """See `zc.async_.interfaces.IDispatcher`."""
        tasks = [
            task
            for queue_name, pools in list(self.queues.items())
            if queue in (None, queue_name)
            for agent_name, pool in list(pools.items())
            if agent in (None, agent_name)
            for task in (worker.task for worker in pool.threads)
            if task is not None and task.info["started"] is not None
        ]
        tasks.sort(key=lambda task: task.info["started"], reverse=True)
        return [reported(task.job_id) for task in tasks]

    def getPollInfo(self, at: Any = None, before: Any = None) -> PollInfo:
        """See `zc.async_.interfaces.IDispatcher`."""
        return self._records.poll(at, before)

    def iterPolls(
        self, at: Any = None, before: Any = None, since: Any = None
    ) -> Iterator[PollInfo]:
        """See `zc.async_.interfaces.IDispatcher`."""
        return self._records.iter_polls(at, before, since)

    def getStatusInfo(self) -> dict[str, Any]:
        """See `zc.async_.interfaces.IDispatcher`."""
        polls = self._records.polls
        since = _passed_since(polls[0].monotonic) if self.activated and polls else None
        return {
            "poll interval": datetime.timedelta(seconds=self.poll_interval),
            "status": self._status(since),
            "time since last poll": since,
            "uptime": _passed_since(self._activated_at) if self.activated else None,
            "uuid": str(self.UUID),
            **({"labels": list(self.labels)} if self.labels else {}),
        }

    def _status(self, since_last_poll: Any) -> str:
        if not self.activated:
            return "STOPPED"
        if since_last_poll is None:
            return "STARTING"
        overdue = since_last_poll.total_seconds() > max(3 * self.poll_interval, 10)
        return "STUCK" if overdue else "RUNNING"


def _passed_since(monotonic: int) -> datetime.timedelta:
    return datetime.timedelta(microseconds=zc.async_.clock.monotonic() - monotonic)
