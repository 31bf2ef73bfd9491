"""Ledgers: the books that a dispatcher keeps for an agent of an application's own class.

Such an agent chooses jobs, and is told what happens to them. No guarantee depends on how it
remembers them: dispatchers rely on the books here.
"""

from typing import Any

import persistent

import zc.async_.interfaces
from zc.async_.agent.agent import Agent, Books
from zc.twist.showing import show


def check(agent: Any) -> None:
    """Raise TypeError for an object that cannot be an agent."""
    is_agent = zc.async_.interfaces.IAgent.providedBy(agent)
    if not (is_agent and isinstance(agent, persistent.Persistent)):
        raise TypeError(
            f"{show(agent)} is no agent: put a zc.async_.agent.Agent, or an object of a class that "
            "is derived from persistent.Persistent and declared to implement "
            "zc.async_.interfaces.IAgent"
        )


class Ledger(Books):
    """The books of an agent that is not an `Agent`."""

    _chooser_name = "claimJob"

    def __init__(self, name: str, parent: Any, agent: Any) -> None:
        super().__init__()
        self.name = name
        self.parent = parent
        self.subject = agent

    @property
    def owner(self) -> Any:
        """The agent for which this ledger is kept."""
        return self.subject

    @property
    def queue(self) -> Any:
        """The queue of the dispatcher."""
        return self.parent.queue

    @property
    def size(self) -> int:
        """How many jobs the agent runs at once."""
        return int(self.subject.size)

    @property
    def completed(self) -> Any:
        """The recently completed jobs of the agent."""
        return self.subject.completed

    def claimJob(self) -> Any:
        """Let the agent claim a job, and note it."""
        if len(self) >= self.size or not self._may_claim():
            return None
        with self._claiming_here():
            job = self.subject.claimJob()
        if job is not None:
            self._take(job)
        return job

    # -- telling the agent

    def forget(self, job: Any) -> None:
        """Like `Books.forget`; also tells the agent."""
        super().forget(job)
        self._tell_gone(job)

    def take_all(self) -> list[Any]:
        """Like `Books.take_all`; also tells the agent."""
        jobs = super().take_all()
        for job in jobs:
            self._tell_gone(job)
        return jobs

    def _tell_gone(self, job: Any) -> None:
        def remove() -> None:
            if any(known is job for known in self.subject):
                self.subject.remove(job)

        self._tell("remove", remove)

    def _add_to_history(self, job: Any) -> None:
        self._tell("completed.add", lambda: self.subject.completed.add(job))

    def remove_from_history(self, job: Any) -> None:
        """Like `Books.remove_from_history`; errors of the agent are logged."""
        self._tell("completed.remove", lambda: self.subject.completed.remove(job))


def forget(agent: Any, job: Any) -> None:
    """Make an agent, if it is not None, forget a job that it had."""
    if isinstance(agent, Agent):
        agent.forget(job)
    elif agent is not None and agent.parent is not None:
        agent.parent.books_of(agent.name).forget(job)
