"""The database as it is between two steps."""

from collections.abc import Iterator
from typing import Any

from tests.statemachine.model import Known
from tests.statemachine.work import Effect
from zc.async_.interfaces import COMPLETED, PENDING


class View:
    """What a client sees who has just begun a transaction."""

    def __init__(self, client: Any, model: Any) -> None:
        client.manager.begin()
        self._client = client
        self._model = model
        self.queue = client.queue
        #: The jobs that wait, in order.
        self.waiting = list(self.queue)
        #: Each agent, and the jobs on its list that have not completed.
        self.agents = [
            (agent, [job for job in agent.running.jobs if job.status != COMPLETED])
            for agents in self.queue.dispatchers.values()
            for agent in agents.all_books()
        ]
        #: The jobs on the lists of agents, those that have completed among them.
        self.listed = {
            job._p_oid: agent for agent, _jobs in self.agents for job in agent.running.jobs
        }
        #: Jobs of which a job of the system will take care, by oid.
        self.cared_for = set(self._find_cared_for())

    def known(self) -> Iterator[tuple[Known, Effect, Any]]:
        """Of each job that was committed what is known, what it does, and the job if it is made."""
        for known in self._model.jobs.values():
            effect = self._client.connection.get(known.effect)
            yield known, effect, effect.job

    def effect(self, number: int) -> Effect:
        """What the job of this number does."""
        return self._client.connection.get(self._model.jobs[number].effect)

    def model_of(self, number: int) -> Known:
        """What is known of the job of this number."""
        return self._model.jobs[number]

    def job(self, number: int) -> Any:
        """The job of this number, None if it is not made yet."""
        return self.effect(number).job

    def same(self, oid: bytes) -> Any:
        """The object of this oid."""
        return self._client.connection.get(oid)

    def _find_cared_for(self) -> Iterator[bytes]:
        todo = [job for job in self.waiting if job.is_of_system]
        todo += [job for _agent, jobs in self.agents for job in jobs if job.is_of_system]
        while todo:
            subject = todo.pop().callable.__self__
            yield subject._p_oid
            if subject.is_of_system and subject.status not in (PENDING, COMPLETED):
                todo.append(subject)


def number(job: Any) -> str:
    """How to name a job in a message."""
    return f"job of oid {int.from_bytes(job._p_oid)} ({job.status}, {job!r})"


def arrival_of(job: Any) -> int:
    """When a waiting job was put (microseconds)."""
    return job.arrival_key or job.entry_key
