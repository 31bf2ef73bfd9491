"""The data that a dispatcher's reactor thread and its polls exchange."""

import dataclasses
from collections.abc import Callable
from typing import Any

from zc.async_.dispatcher.pool import JobId
from zc.async_.process import Holder
from zc.async_.queue import Needs

#: The names of a queue and of an agent in it.
AgentKey = tuple[str, str]

#: Used as the agent's name for jobs of the system.
SYSTEM = "\0system"


@dataclasses.dataclass
class Plan:
    """What the poller has to know about the threads."""

    #: How many jobs each agent has.
    busy: dict[AgentKey, int]
    #: Jobs, with their tokens, that their agents have though no thread goes on with them.
    lost: set[tuple[JobId, int]]
    #: Jobs that other jobs completed, for the history.
    completed: dict[AgentKey, list[JobId]]
    #: The jobs that threads have or are about to get, with their tokens. None: not known.
    held: frozenset[tuple[JobId, int]] | None = None
    #: Seconds between two polls when nothing else causes one.
    poll_interval: float = 0
    #: The jobs in `held`, by the name of the queue from which they came.
    held_of: dict[str, list[tuple[JobId, int]]] = dataclasses.field(default_factory=dict)
    #: How many of the jobs in `busy` are coroutines.
    coroutines: dict[AgentKey, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Claimed:
    """A job for a worker."""

    agent: AgentKey
    job_id: JobId
    token: int
    quota_names: tuple[str, ...]
    needs: tuple[str, ...] = ()
    is_coroutine: bool = False


@dataclasses.dataclass
class Outcome:
    """What a poll found and did."""

    #: In the form of `PollInfo`.
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    jobs: list[Claimed] = dataclasses.field(default_factory=list)
    sizes: dict[AgentKey, int] = dataclasses.field(default_factory=dict)
    #: Objects whose changes concern this dispatcher, by database.
    watched: dict[Any, frozenset[bytes]] = dataclasses.field(default_factory=dict)
    #: Objects whose changes may mean that there is another queue, by database.
    roots: dict[Any, set[bytes]] = dataclasses.field(default_factory=dict, compare=False)
    #: Names of the queues that needed no visit: they share the `info` of earlier polls.
    quiet: set[str] = dataclasses.field(default_factory=set)
    #: When the next job is due (microseconds), if that is known.
    next_time: int | None = None
    #: Seconds after which to poll again because something is left to do; None: nothing is.
    again: float | None = None
    #: The queues in which everything in the plan was done.
    done: set[str] = dataclasses.field(default_factory=set)
    #: Jobs that threads still run though they were given to somebody else, with their old tokens.
    reassigned: set[tuple[JobId, int]] = dataclasses.field(default_factory=set)
    #: Whether not all queues could be looked at.
    failed: bool = False
    #: Whether that was because the database was closed.
    closed: bool = False

    def wait_at_most(self, seconds: float) -> None:
        """Cause another poll after `seconds`, if there is none before."""
        self.again = seconds if self.again is None else min(self.again, seconds)


@dataclasses.dataclass
class PollerState:
    """What a visit of a queue has to know about the poller."""

    uuid: Any
    #: The lock that this process holds as long as it lives.
    holder: Holder | None
    #: Claims, with their tokens, that may or may not have been committed.
    unanswered: set[tuple[JobId, int]]
    #: Takes the number of idle workers, and returns how many of them may get jobs.
    most_jobs: Callable[[int], int]
    #: See `zc.async_.queue.claim.Claim`; called with the dispatchers of the queue.
    share: Callable[[Any], int | None]
    #: Jobs, with their tokens, that an earlier look found with an agent but with no thread. None:
    #: it is not time to look.
    forlorn: set[tuple[JobId, int]] | None = None
    #: Whether needs that nobody satisfies are to be told of now, if jobs wait that have them.
    is_news: Callable[[Needs], bool] = lambda needs: False
