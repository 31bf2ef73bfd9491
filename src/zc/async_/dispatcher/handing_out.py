"""Hands out the jobs that a poll has claimed, and records them for monitors."""

from typing import Any

from zc.async_ import utils
from zc.async_.dispatcher.plans import SYSTEM, Claimed, Outcome
from zc.async_.dispatcher.pool import Task
from zc.async_.dispatcher.pools import Pools
from zc.async_.dispatcher.records import JobInfo, PollInfo, Records, reported


class HandingOut:
    """Owns the records of the polls. Only from the reactor's thread."""

    #: The poll to which claims are counted now; there is none before the first.
    current: PollInfo

    def __init__(self, records: Records, pools: Pools) -> None:
        self._records = records
        self._pools = pools

    def hand_out(self, outcome: Outcome, is_periodic: bool) -> None:
        """Hand the claimed jobs of a poll to threads, and have as many threads as it asks for.

        `is_periodic`: whether to record it as a new poll, not as part of the last one.
        """
        self._pools.tell_reassigned(outcome)
        self.record(outcome, is_periodic)
        self._pools.resize(outcome)
        for claimed in outcome.jobs:
            self._start(claimed)
        if not outcome.failed:
            utils.tracelog.debug("poll %d: %r", self.current.key, self.current)

    def record(self, outcome: Outcome, is_periodic: bool) -> None:
        """Record a poll. `is_periodic`: see `hand_out`."""
        if is_periodic or not self._records.polls:
            poll = self._records.new_poll()
        else:
            poll = self._records.polls[0].copy()
        for queue_name, agents in outcome.info.items():
            known = poll.get(queue_name) or {}
            if agents is None:
                poll[queue_name] = None
            elif queue_name in outcome.quiet:
                # Polls share `agents`. If this poll has an entry already, it is kept.
                poll[queue_name] = known or agents
            else:
                _carry_over(known, agents)
                # Agents that this poll could not look at stay as they were.
                poll[queue_name] = {**known, **agents}
        if not outcome.failed:
            for queue_name in poll.keys() - outcome.info.keys():
                if not any(info["new jobs"] for info in (poll[queue_name] or {}).values()):
                    # The queue was removed. (With new jobs it stays, for statistics.)
                    del poll[queue_name]
        self._records.publish(poll)
        self.current = poll

    def _start(self, claimed: Claimed) -> None:
        queue_name, agent_name = claimed.agent
        key = reported(claimed.job_id)
        info = JobInfo(
            {
                "agent": agent_name,
                "call": None,
                "completed": None,
                "failed": False,
                "poll id": self.current.key,
                "queue": queue_name,
                "quota names": claimed.quota_names,
                "reassigned": False,
                "result": None,
                "started": None,
                "thread": None,
                # Scripts know the rest.
                **({"needs": claimed.needs} if claimed.needs else {}),
            }
        )
        if agent_name != SYSTEM:
            self._records.new_job(key, info)
            self.current[queue_name][agent_name]["new jobs"].append(key)
        self._pools.get(claimed.agent).hand(
            Task(claimed.job_id, claimed.token, info, claimed.is_coroutine)
        )


def _carry_over(known: dict[str, Any], agents: dict[str, Any]) -> None:
    """Add what is known from earlier polls to what a poll found about the agents of a queue."""
    for agent_name, info in agents.items():
        info["active jobs"] = [reported(job) for job in info["active jobs"]]
        if agent_name in known:
            info["new jobs"] = list(known[agent_name]["new jobs"])
            info["error"] = info["error"] or known[agent_name]["error"]
