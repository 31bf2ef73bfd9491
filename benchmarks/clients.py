"""What the measures do as a client of a database: put jobs, wait for them, commit without jobs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import persistent
import transaction
from BTrees.OOBTree import OOBTree

from benchmarks.workers import wait_until
from zc.async_.interfaces import COMPLETED, KEY

T = TypeVar("T")


class Small(persistent.Persistent):
    """A small object."""

    value = 0


class Client:
    """A connection with a transaction manager of its own."""

    def __init__(self, database: Any) -> None:
        self.manager = transaction.TransactionManager()
        self.connection = database.open(self.manager)

    @property
    def queue(self) -> Any:
        """The queue."""
        return self.connection.root()[KEY][""]

    def put(self, function: Any, count: int = 1) -> list[Any]:
        """Put jobs in one transaction."""
        jobs = [self.queue.put(function) for _ in range(count)]
        self.manager.commit()
        return jobs

    def agents(self) -> list[Any]:
        """The agents of all dispatchers that are active."""
        dispatchers = self.queue.dispatchers.values()
        return [agent for agents in dispatchers if agents.activated for agent in agents.values()]

    def history(self) -> int:
        """How many completed jobs the agents' histories have, as of now."""
        self.manager.begin()
        return sum(len(agent.completed) for agent in self.agents())

    def is_empty(self) -> bool:
        """Whether no job waits or runs, as of now."""
        self.manager.begin()
        return len(self.queue) == 0 and not any(len(agent) for agent in self.agents())

    def unread(self) -> int:
        """How many entries of the queue no dispatcher has taken in, as of now."""
        self.manager.begin()
        return sum(len(lane) for lane in self.queue.lanes.values())

    def wait_for_history(self, count: int, seconds: float, interval: float = 0.003) -> None:
        """Wait until that many jobs have ended, and all is written that is ever written of them."""
        wait_until(lambda: self.history() >= count, seconds, interval)

    def check(self, jobs: list[Any]) -> None:
        """RuntimeError if not all jobs are completed."""
        self.manager.begin()
        left = [job for job in jobs if job.status != COMPLETED]
        if left:
            raise RuntimeError(f"{len(left)} of {len(jobs)} jobs are not completed")

    def close(self) -> None:
        """Give the connection back."""
        self.manager.abort()
        self.connection.close()


@contextlib.contextmanager
def client(database: Any) -> Iterator[Client]:
    """A client for a while."""
    opened = Client(database)
    try:
        yield opened
    finally:
        opened.close()


def per_second(action: Callable[[], Any], seconds: float) -> float:
    """How often an action can be done in a second."""
    count = 0
    start = time.perf_counter()
    end = start + seconds
    while (now := time.perf_counter()) < end:
        action()
        count += 1
    return count / (now - start)


def raw_rate(database: Any, seconds: float) -> float:
    """Commits a second of one small object by one client."""
    with client(database) as one:
        root = one.connection.root()
        if "raw" not in root:
            root["raw"] = OOBTree({0: Small()})
            one.manager.commit()
        small = root["raw"][0]

        def commit() -> None:
            small.value += 1
            one.manager.commit()

        commit()
        return per_second(commit, seconds)


def beside_raw(database: Any, seconds: float, measure: Callable[[], T]) -> tuple[T, float]:
    """What `measure` returns, and the mean of the raw rates before and after it.

    Machines slow down and speed up while they are measured; only what is measured within seconds
    can be compared.
    """
    before = raw_rate(database, seconds)
    measured = measure()
    return measured, (before + raw_rate(database, seconds)) / 2
