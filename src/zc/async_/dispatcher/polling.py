"""A poll: what a dispatcher does in the database.

A `Poller` has a connection of its own and is used by one thread at a time. For every queue there is
one transaction, in which the dispatcher pings, keeps the books of its agents and claims jobs for
idle workers. It decides nothing about threads: it is told how many jobs each agent's workers have,
and answers with the jobs claimed.
"""

import dataclasses
import random
import time
from collections.abc import Iterator
from typing import Any

import transaction
import ZODB.utils

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.lane
import zc.async_.sidecar
from zc.async_ import utils
from zc.async_.dispatcher.pool import JobId, job_id
from zc.async_.dispatcher.wakeup import Listener
from zc.twist import Failure

#: Seconds to wait after a conflict, at random up to this for the first, and at most.
CONFLICT_BACKOFF = 0.003
LONGEST_CONFLICT_BACKOFF = 0.1
#: Conflicts in a row after which fewer jobs are claimed.
PATIENCE = 3
#: Seconds from a conflict for which dispatchers keep out of each other's way.
CONTENTION = 1.0
#: How often to try to leave the queues when others are in the way.
TRIES_TO_LEAVE = 5
#: Objects that the poller keeps in memory: the jobs that it swept should be there when claimed.
CACHE_SIZE = 5000
#: Seconds to wait for a database that is out of reach: the first, step and longest wait.
DISCONNECTED_BACKOFF = (1.0, 1.0, 60.0)

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
    watched: dict[Any, set[bytes]] = dataclasses.field(default_factory=dict)
    #: When a job falls due (microseconds), if that is known.
    next_time: int | None = None
    #: Seconds after which to poll again because not all was done; None: all was.
    again: float | None = None
    #: The queues in which everything in the plan was done.
    done: set[str] = dataclasses.field(default_factory=set)
    #: Whether not all queues could be looked at.
    failed: bool = False


class Poller:
    """See the module. `poll` is called by one thread at a time."""

    def __init__(self, database: Any, uuid: Any, listener: Listener) -> None:
        self._uuid = uuid
        self._listener = listener
        self._manager = transaction.TransactionManager()
        self._connection = database.open(self._manager)
        listener.ignore(self._connection)
        cache = self._connection._cache
        cache.cache_size = max(cache.cache_size, CACHE_SIZE)
        #: Names of the queues that this dispatcher has activated itself in.
        self._active: set[str] = set()
        self._conflicts = 0
        #: When dispatchers need not keep out of each other's way any more (monotonic time).
        self._contended_until = 0.0
        self._disconnects = 0
        #: Seconds that the last poll took that claimed something.
        self.last_duration = 0.0

    def poll(self, plan: Plan) -> Outcome:
        """Do one poll. Raises only what ends a thread."""
        outcome = Outcome()
        began = time.monotonic()
        try:
            self._manager.begin()
            for name in self._queue_names():
                self._poll_queue_or_log(name, plan, outcome)
            self._disconnects = 0
        except utils.DISCONNECTED_ERRORS as error:
            first, step, longest = DISCONNECTED_BACKOFF
            outcome.again = min(longest, first + step * self._disconnects)
            outcome.failed = True
            self._disconnects += 1
            utils.log.warning(
                "poll: database out of reach, next try in %d s: %s", outcome.again, error
            )
        except utils.TRANSIENT_ERRORS:
            outcome.again, outcome.failed = self._conflict_backoff(), True
        except Exception:
            outcome.failed = True
            utils.log.critical("poll failed; the next one is tried as usual", exc_info=True)
        finally:
            self._manager.abort()
        if outcome.jobs:
            self.last_duration = time.monotonic() - began
        return outcome

    def _commit(self) -> None:
        # What is committed here is known: it must not cause another poll.
        self._listener.ignore(self._connection)
        self._manager.commit()

    def _queue_names(self) -> list[str]:
        queues = self._connection.root().get(zc.async_.interfaces.KEY)
        return [] if queues is None else list(queues.keys())

    def _queue(self, name: str) -> Any:
        return self._connection.root()[zc.async_.interfaces.KEY][name]

    def _poll_queue_or_log(self, name: str, plan: Plan, outcome: Outcome) -> None:
        """Poll a queue; an error in one does not keep the others from their turn."""
        try:
            self._poll_queue(name, plan, outcome)
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            outcome.failed = True
            utils.log.critical("poll of queue %r failed; it is tried again", name, exc_info=True)
            self._manager.begin()

    def _poll_queue(self, name: str, plan: Plan, outcome: Outcome) -> None:
        if not self._ensure_active(name):
            outcome.info[name] = None
            return
        excluded: dict[str, Any] = {}
        while True:
            visit = _Visit(self, name, plan, excluded)
            try:
                visit.work()
                if visit.changed:
                    self._commit()
                self._conflicts = 0
                outcome.done.add(name)
            except _AgentFailed as failed:
                self._manager.begin()
                excluded[failed.name] = failed.failure
                continue
            except utils.DISCONNECTED_ERRORS:
                self._manager.abort()
                visit.take_back(None)
                visit.report(outcome)
                raise
            except utils.TRANSIENT_ERRORS:
                self._manager.abort()
                visit.take_back(self._conflict_backoff())
            visit.report(outcome)
            # Drops what was done and is not worth a commit.
            self._manager.begin()
            return

    def _conflict_backoff(self) -> float:
        self._conflicts += 1
        self._contended_until = time.monotonic() + CONTENTION
        # Short: the other dispatcher has just got its jobs, and is busy with them for a while.
        longest = min(
            LONGEST_CONFLICT_BACKOFF, CONFLICT_BACKOFF * 2 ** min(self._conflicts - 1, 10)
        )
        return random.uniform(0, longest)

    def most_jobs(self, wanted: int) -> int:
        """How many jobs to claim: fewer after several conflicts in a row, at last one.

        Not sooner: dispatchers conflict over the first jobs, and smaller claims are more claims.
        """
        return max(1, wanted >> max(0, self._conflicts - PATIENCE)) if wanted else 0

    def share(self, dispatchers: Any) -> int | None:
        """A number that no other active dispatcher has, if there were conflicts lately."""
        if time.monotonic() >= self._contended_until:
            return None
        active = sorted(uuid for uuid, agents in dispatchers.items() if agents.activated)
        return active.index(self._uuid) if self._uuid in active else None

    # -- being active

    def _ensure_active(self, name: str) -> bool:
        """Register and activate this dispatcher in a queue; return whether it is active."""
        if name in self._active and self._uuid in self._queue(name).dispatchers:
            return True
        try:
            return self._activate(name)
        finally:
            self._manager.begin()

    def _activate(self, name: str) -> bool:
        with self._manager:
            dispatchers = self._queue(name).dispatchers
            if self._uuid not in dispatchers:
                dispatchers.register(self._uuid)
            agents = dispatchers[self._uuid]
            if agents.activated:
                if not agents.dead:
                    self._say_that_there_is_another(name)
                    return False
                utils.log.warning("UUID %s: an earlier process crashed; cleaning up", self._uuid)
                agents.deactivate()
            agents.activate()
        self._active.add(name)
        utils.log.info("dispatcher %s is active in queue %r", self._uuid, name)
        return True

    def _say_that_there_is_another(self, name: str) -> None:
        utils.log.error(
            "UUID %s already activated in queue %s (oid %d): another process?  "
            "(To stop poll attempts in this process, set "
            "``zc.async.dispatcher.get().activated = False``.  To stop polls permanently, "
            "don't start a zc.async.dispatcher!)",
            self._uuid,
            name,
            ZODB.utils.u64(self._queue(name)._p_oid),
        )

    def deactivate(self, unstarted: list[tuple[JobId, int]]) -> None:
        """Hand back the jobs no thread has begun, and leave the queues."""

        def leave() -> None:
            self._manager.abort()
            self._manager.begin()
            for name in self._active:
                dispatchers = self._queue(name).dispatchers
                agents = dispatchers.get(self._uuid)
                if agents is None or not agents.activated:
                    continue
                for agent in agents._agents():
                    for job in list(agent):
                        if (job_id(job), job._token) in started_not:
                            agents.queue.putBack(job)
                agents.deactivate()
            self._manager.commit()

        started_not = set(unstarted)
        for attempt in range(TRIES_TO_LEAVE):
            try:
                leave()
                break
            except utils.EXPLOSIVE_ERRORS:
                raise
            except Exception as error:
                self._manager.abort()
                # A database out of reach is not waited for: the process wants to end.
                again = isinstance(error, utils.TRANSIENT_ERRORS) and not isinstance(
                    error, utils.DISCONNECTED_ERRORS
                )
                if not again or attempt == TRIES_TO_LEAVE - 1:
                    utils.log.critical(
                        "could not deactivate; a sibling, or the next start, will clean up",
                        exc_info=True,
                    )
                    break
        self._active.clear()

    def close(self) -> None:
        """Give the connection back."""
        self._manager.abort()
        self._connection.close()


class _AgentFailed(Exception):
    """The chooser or another hook of an agent raised."""

    def __init__(self, name: str, failure: Any) -> None:
        super().__init__(name)
        self.name = name
        self.failure = failure


class _Visit:
    """The transaction of a poll in one queue."""

    def __init__(self, poller: Poller, name: str, plan: Plan, excluded: dict[str, Any]) -> None:
        self._poller = poller
        self._name = name
        self._plan = plan
        self._excluded = excluded
        self._queue = poller._queue(name)
        self._agents = self._queue.dispatchers[poller._uuid]
        self._info: dict[str, Any] = {}
        self._sizes: dict[AgentKey, int] = {}
        self._jobs: list[Claimed] = []
        self._next_time: int | None = None
        self._again: float | None = None
        #: Whether there is something to commit.
        self.changed = False

    def work(self) -> None:
        self._ping()
        self._hand_back_lost()
        self._keep_books()
        self._look_around()
        self._claim()
        if self.changed and zc.async_.lane.has_unread(self._queue._lanes, self._queue._p_jar):
            # What this transaction itself put (jobs of the system): its commit wakes nobody here.
            self._again = 0

    def _ping(self) -> None:
        if self._queue.dispatchers.ping(self._poller._uuid):
            self.changed = True

    def _named_agents(self) -> list[tuple[str, Any]]:
        return [(SYSTEM, self._agents._system), *self._agents.items()]

    def _hand_back_lost(self) -> None:
        if not self._plan.lost:
            return
        for _name, agent in self._named_agents():
            for job in list(agent):
                if (job_id(job), job._token) in self._plan.lost:
                    agent._forget(job)
                    self._agents._hand_back_job(job)
                    self.changed = True

    def _look_around(self) -> None:
        for name, agent in self._agents.items():
            active = [job_id(job) for job in agent]
            self._info[name] = {
                "active jobs": active,
                "error": self._excluded.get(name),
                "len": len(active),
                "new jobs": [],
                "size": agent.size,
            }

    def _claim(self) -> None:
        share = self._poller.share(self._queue.dispatchers)
        with self._queue._claiming(share) as claim:
            for name, agent in self._named_agents():
                self._sizes[self._name, name] = agent.size
                if name not in self._excluded:
                    self._claim_for(name, agent)
        self.changed = self.changed or claim.changed
        if claim.more:
            self._again = 0
        self._next_time = claim.next_time()

    def _claim_for(self, name: str, agent: Any) -> None:
        idle = agent.size - self._plan.busy.get((self._name, name), 0)
        most = self._poller.most_jobs(max(0, idle))
        now = zc.async_.clock.microseconds()
        places = zc.async_.sidecar.Places()
        for _place in range(most):
            job = self._ask(name, agent)
            if job is None:
                return
            job._activate(now, places)
            self.changed = True
            self._jobs.append(Claimed((self._name, name), job_id(job), job._token, job.quota_names))
        if most < idle:
            # Only if there was enough for these: else a conflict would be followed by idle polls.
            self._again = 0

    def _ask(self, name: str, agent: Any) -> Any:
        try:
            return agent.claimJob()
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception as error:
            if isinstance(error, utils.TRANSIENT_ERRORS) and not isinstance(
                error, utils.DISCONNECTED_ERRORS
            ):
                raise
            utils.log.error("agent %r could not claim a job", name, exc_info=True)
            raise _AgentFailed(name, Failure()) from error

    def _keep_books(self) -> None:
        """Move completed jobs out of the agents.

        That alone is worth a commit only if nothing else is to be done for a while, or if a place
        in a quota is freed that another dispatcher may wait for.
        """
        left: list[Any] = []
        for _name, agent in self._named_agents():
            left += agent._keep_books()
        freed = self._free_places([job for job in left if job.quota_names])
        elsewhere = {key: ids for key, ids in self._plan.completed.items() if key[0] == self._name}
        for key, ids in elsewhere.items():
            self._remember(key[1], ids)
        idle = not any(self._plan.busy.values())
        if freed or elsewhere or (left and idle):
            self.changed = True

    def _free_places(self, jobs: list[Any]) -> bool:
        names = {name for job in jobs for name in job.quota_names}
        quotas = [self._queue.quotas.get(name) for name in names]
        released = [quota._release(jobs) for quota in quotas if quota is not None]
        return any(released)

    def _remember(self, name: str, ids: list[JobId]) -> None:
        agent = self._agents._system if name == SYSTEM else self._agents.get(name)
        for oid, database_name in ids if agent is not None else ():
            agent._remember(self._agents._p_jar.get_connection(database_name).get(oid))

    # -- reporting

    def take_back(self, again: float | None) -> None:
        """The transaction failed: nothing was claimed."""
        self._jobs = []
        self._again = again

    def report(self, outcome: Outcome) -> None:
        outcome.info[self._name] = self._info
        outcome.sizes.update(self._sizes)
        outcome.jobs += self._jobs
        times = [t for t in (outcome.next_time, self._next_time) if t is not None]
        outcome.next_time = min(times, default=None)
        waits = [a for a in (outcome.again, self._again) if a is not None]
        outcome.again = min(waits, default=None)
        database = self._queue._p_jar.db()
        outcome.watched.setdefault(database, set()).update(_watched(self._queue, self._agents))


def _watched(queue: Any, agents: Any) -> set[bytes]:
    """Oids of the records whose change may mean that there is something to do."""
    objects = [*_records(queue._lanes), *_records(queue.quotas._quotas), agents, *agents.values()]
    for lane in queue._lanes.values():
        objects += (lane, lane.newest)
    for quota in queue.quotas.values():
        objects += (quota, quota._members)
    return {obj._p_oid for obj in objects if obj._p_oid is not None}


def _records(tree: Any) -> Iterator[Any]:
    """The records of a BTree that change when a key is added."""
    yield tree
    bucket = tree._firstbucket
    while bucket is not None:
        yield bucket
        bucket = bucket._next
