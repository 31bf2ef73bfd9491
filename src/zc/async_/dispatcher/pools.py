"""The worker threads of a dispatcher, by queue and agent: as many as its polls ask for."""

from collections.abc import Collection
from typing import Any

from zc.async_.dispatcher.plans import SYSTEM, AgentKey, Outcome
from zc.async_.dispatcher.pool import JobId, Pool, Task

#: Connections beyond those of workers: the poller's, and some for live annotations.
SPARE_CONNECTIONS = 4


class Pools:
    """Owns the pools. Only from the reactor's thread, unless a member says otherwise."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher
        #: Pools of agents, by the name of the queue and then of the agent. Any thread may read, but
        #: has to iterate over a copy: the reactor's thread adds to it, and replaces it when a queue
        #: is gone.
        self.queues: dict[str, dict[str, Pool]] = {}
        #: Pools for jobs of the system, by the name of the queue.
        self.system: dict[str, Pool] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation."""
        #: How many jobs all agents together may have at once, according to the polls so far.
        self.places = 0
        for pool in self.all():
            pool.stopped = False
            pool.take_left()

    def all(self) -> list[Pool]:
        """All pools. From another thread only while the reactor's thread makes none."""
        named = [pool for pools in self.queues.values() for pool in pools.values()]
        return named + list(self.system.values())

    def get(self, key: AgentKey) -> Pool:
        """The pool of an agent, or of the system in a queue, made if there is none."""
        queue_name, agent_name = key
        if agent_name == SYSTEM:
            pools, name = self.system, queue_name
        else:
            pools, name = self.queues.setdefault(queue_name, {}), agent_name
        if name not in pools:
            pools[name] = Pool(self._dispatcher, queue_name, agent_name)
        return pools[name]

    # -- what the threads have

    def busy(self) -> dict[AgentKey, int]:
        """How many places of each agent are taken."""
        return {(pool.queue_name, pool.agent_name): pool.busy for pool in self.all()}

    def coroutines(self) -> dict[AgentKey, int]:
        """How many places for coroutines are taken of each agent."""
        return {(pool.queue_name, pool.agent_name): pool.coroutines for pool in self.all()}

    def at_work(self) -> list[Task]:
        """The tasks that were handed to threads and not taken back yet."""
        return [task for pool in self.all() for task in pool.working.values()]

    def held(self) -> dict[str, list[tuple[JobId, int]]]:
        """The jobs that threads run or will run, or that wait for a Deferred, by queue name."""
        held: dict[str, list[tuple[JobId, int]]] = {}
        for pool in self.all():
            for tasks in pool.tasks():
                held.setdefault(pool.queue_name, []).extend(tasks)
        return held

    def tell_reassigned(self, outcome: Outcome) -> None:
        """Mark jobs that others took, and cancel their coroutines.

        Their threads may run them for a long time still.
        """
        for pool in self.all() if outcome.reassigned else ():
            for tasks in pool.tasks():
                for key in outcome.reassigned & tasks.keys():
                    tasks[key].info["reassigned"] = True
            for key in outcome.reassigned & pool.waiting.keys():
                coroutine = pool.waiting[key].coroutine
                if coroutine is not None:
                    coroutine.cancel()

    # -- how many threads there are

    def resize(self, outcome: Outcome) -> None:
        """Have as many threads, and connections for them, as a poll asks for."""
        for (queue_name, agent_name), size in outcome.sizes.items():
            if queue_name not in outcome.quiet:
                self.get((queue_name, agent_name)).resize(size)
        for queue_name, pools in self.queues.items():
            if queue_name in outcome.info and queue_name not in outcome.quiet:
                for agent_name, pool in pools.items():
                    if (queue_name, agent_name) not in outcome.sizes:
                        pool.resize(0)
        if not outcome.failed:
            self._let_go_of_removed(outcome.info)
        self.places = sum(outcome.sizes.values()) or self.places
        # Steps of coroutines have as many threads as other jobs, at most.
        parts = 2 if any(pool.coroutines for pool in self.all()) else 1
        self._allow_connections(parts * self.places + SPARE_CONNECTIONS)

    def _let_go_of_removed(self, names: Collection[str]) -> None:
        """End the threads for queues that no longer exist, once their jobs have ended.

        `names`: of the queues that exist.
        """
        for name in (self.queues.keys() | self.system.keys()) - set(names):
            pools = [*self.queues.get(name, {}).values()]
            if name in self.system:
                pools.append(self.system[name])
            for pool in pools:
                pool.resize(0)
            if not any(pool.busy for pool in pools):
                # Replaced, since other threads may be reading it.
                self.queues = {other: p for other, p in self.queues.items() if other != name}
                self.system.pop(name, None)

    def _allow_connections(self, connections: int) -> None:
        db = self._dispatcher.db
        if db.getPoolSize() < connections:
            for database in db.databases.values():
                database.setPoolSize(max(connections, database.getPoolSize()))

    def stop(self) -> list[tuple[JobId, int]]:
        """Make all threads end after their present task.

        Returns the jobs, with their tokens, that no thread has begun. Also for the thread that
        abandons a dispatcher, once the reactor's thread has ended.
        """
        return [(task.job_id, task.token) for pool in self.all() for task in pool.stop()]
