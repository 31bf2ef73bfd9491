"""What a dispatcher's thread and its polls tell each other."""

import dataclasses
from collections.abc import Callable
from typing import Any

from zc.async_.dispatcher.pool import JobId
from zc.async_.process import Holder

#: Of a queue and an agent, by their names.
AgentKey = tuple[str, str]

#: Stands in the place of an agent's name for the jobs of the system.
SYSTEM = "\0system"


@dataclasses.dataclass
class Plan:
    """What the poller has to know of the threads."""

    #: How many places of each agent are taken.
    busy: dict[AgentKey, int]
    #: Jobs, with their tokens, that nobody goes on with, though their agents have them.
    lost: set[tuple[JobId, int]]
    #: Jobs that other jobs completed, for the history.
    completed: dict[AgentKey, list[JobId]]
    #: The jobs that threads have or are about to get, with their tokens. None: not told.
    held: frozenset[tuple[JobId, int]] | None = None
    #: Seconds between two polls when nothing else causes one.
    poll_interval: float = 0
    #: Of those in `held`, the ones that came from a queue, by its name.
    held_of: dict[str, list[tuple[JobId, int]]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Claimed:
    """A job for a worker."""

    agent: AgentKey
    job_id: JobId
    token: int
    quota_names: tuple[str, ...]


@dataclasses.dataclass
class Outcome:
    """What a poll found and did."""

    #: As `PollInfo`.
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    jobs: list[Claimed] = dataclasses.field(default_factory=list)
    sizes: dict[AgentKey, int] = dataclasses.field(default_factory=dict)
    #: Objects whose changes concern this dispatcher, by database.
    watched: dict[Any, frozenset[bytes]] = dataclasses.field(default_factory=dict)
    #: Objects whose changes may mean that there is another queue, by database.
    roots: dict[Any, set[bytes]] = dataclasses.field(default_factory=dict, compare=False)
    #: Names of the queues that needed no visit: their `info` is that of earlier polls, and shared.
    quiet: set[str] = dataclasses.field(default_factory=set)
    #: When a job falls due (microseconds), if that is known.
    next_time: int | None = None
    #: Seconds after which to poll again because not all was done; None: all was.
    again: float | None = None
    #: The queues in which everything in the plan was done.
    done: set[str] = dataclasses.field(default_factory=set)
    #: Jobs that threads have though they are somebody else's, with the tokens they had.
    reassigned: set[tuple[JobId, int]] = dataclasses.field(default_factory=set)
    #: Whether not all queues could be looked at.
    failed: bool = False
    #: Whether that was because the database was closed.
    closed: bool = False

    def wait_at_most(self, seconds: float) -> None:
        """Have another poll after `seconds`, if there is none before."""
        self.again = seconds if self.again is None else min(self.again, seconds)


@dataclasses.dataclass
class Conditions:
    """What the poller has to tell of itself to its visit of a queue."""

    uuid: Any
    #: What this process holds as long as it lives.
    holder: Holder | None
    #: Claims, with their tokens, of which it is not known whether they were committed.
    unanswered: set[tuple[JobId, int]]
    #: Of how many idle workers, how many are to get jobs.
    most_jobs: Callable[[int], int]
    #: See `zc.async_.queue.claim.Claim`; called with the dispatchers of the queue.
    share: Callable[[Any], int | None]
    #: Jobs that an earlier look found with the agents and with no thread, with their tokens; None:
    #: this is no time to look.
    forlorn: set[tuple[JobId, int]] | None = None
