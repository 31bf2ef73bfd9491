"""The transaction of a poll in one queue."""

import itertools
from collections.abc import Callable
from typing import Any

import zc.async_.clock
import zc.async_.queue
from zc.async_ import utils
from zc.async_.agent import handingback
from zc.async_.dispatcher import thorough
from zc.async_.dispatcher.plans import SYSTEM, AgentKey, Claimed, Outcome, Plan, PollerState
from zc.async_.dispatcher.pool import JobId, job_id
from zc.async_.interfaces import NEW
from zc.async_.job import sidecar
from zc.async_.queue import Needs, limited, records_of_tree, serving
from zc.twist import Failure


class AgentFailed(Exception):
    """The chooser or another hook of an agent raised."""

    def __init__(self, name: str, failure: Any) -> None:
        super().__init__(name)
        self.name = name
        self.failure = failure


class _Room:
    """The free places of an agent, as the threads and coroutines of this process have it."""

    def __init__(self, threads: int, coroutines: int | None, most: Callable[[int], int]) -> None:
        """`coroutines`: None if it has no places of their own for them. `most`: see `most_jobs`."""
        self._threads = most(max(0, threads))
        self._coroutines = None if coroutines is None else most(max(0, coroutines))
        self._restrained_threads = self._threads < threads
        self._restrained_coroutines = (self._coroutines or 0) < (coroutines or 0)

    @property
    def places(self) -> int:
        """How many there are."""
        return self._threads + (self._coroutines or 0)

    @property
    def is_more_to_come(self) -> bool:
        """Whether all places were taken, of one kind, that may be taken now, and there are more."""
        threads = self._restrained_threads and not self._threads
        return threads or (self._restrained_coroutines and not self._coroutines)

    @property
    def for_threads(self) -> bool:
        """Whether there is one for a job that needs a thread."""
        return self._threads > 0

    @property
    def for_coroutines(self) -> bool:
        """Whether there is one for a coroutine."""
        return (self._threads if self._coroutines is None else self._coroutines) > 0

    def take(self, job: Any) -> None:
        """Give one to a job."""
        if job.is_coroutine and self._coroutines is not None:
            self._coroutines -= 1
        else:
            self._threads -= 1


class Visit:
    """The transaction of a poll in one queue."""

    def __init__(
        self, queue: Any, state: PollerState, plan: Plan, excluded: dict[str, Any]
    ) -> None:
        """`excluded`: agents that failed in an earlier try, with their failures."""
        self._queue = queue
        self.name = queue.name
        self.uuid = state.uuid
        self._state = state
        self._plan = plan
        self._excluded = excluded
        self._agents = queue.dispatchers[state.uuid]
        self.info: dict[str, Any] = {}
        self.sizes: dict[AgentKey, int] = {}
        self._jobs: list[Claimed] = []
        self.next_time: int | None = None
        self.again: float | None = None
        self._word = "poll"
        #: Whether there is something to commit.
        self.changed = False
        #: See `Outcome.reassigned`.
        self.reassigned: set[tuple[JobId, int]] = set()
        #: See `PollerState.forlorn`: what this look found.
        self.forlorn: set[tuple[JobId, int]] = set()
        #: Needs that no dispatcher of the queue satisfies, by a thorough look; with the number of
        #: jobs if they are news.
        self.unserved: dict[Needs, int] = {}

    @property
    def word(self) -> str:
        """One word for the work to commit."""
        return "claim" if self._jobs else self._word

    @property
    def is_thorough(self) -> bool:
        """Whether this visit includes a thorough look."""
        return self._state.forlorn is not None

    def work(self) -> None:
        self._ping()
        self._word = "ping" if self.changed else "poll"
        self._look_for_reassigned()
        self._hand_back_lost()
        self._look_thoroughly()
        self._keep_books()
        self._look_around()
        self._claim()
        if self.changed and zc.async_.queue.lane.has_unread(self._queue.lanes, self._queue._p_jar):
            # This transaction has put jobs (of the system), and its own commit wakes nobody here.
            self.again = 0

    def glance(self) -> None:
        """Ping if it is time, and look after siblings: a quiet queue needs nothing else."""
        self._ping()

    def ping(self) -> None:
        """Ping if it is time, and nothing else."""
        self._word = "ping"
        self.changed = self._queue.dispatchers.say(self._state.uuid)
        self._hold()

    def _ping(self) -> None:
        if self._queue.dispatchers.ping_between(self._state.uuid, self._plan.poll_interval):
            self.changed = True
        self._hold()

    def _hold(self) -> None:
        if self._agents.holder != self._state.holder:
            # The dispatcher was taken for dead meanwhile.
            self._agents.holder = self._state.holder
            self.changed = True

    def _named_agents(self) -> list[tuple[str, Any]]:
        return [(SYSTEM, self._agents.system_agent), *self._agents.named_books()]

    def _look_for_reassigned(self) -> None:
        """Look whether threads have jobs that no longer belong to this dispatcher."""
        held = self._plan.held_of.get(self.name, ())
        agents = [agent for _name, agent in self._named_agents()]
        ours = {
            (job_id(job), job.claim_token)
            for agent in (agents if held else ())
            for job in agent.running.jobs
        }
        for (oid, database_name), token in held:
            key = (oid, database_name), token
            if key not in ours and self._is_reassigned(oid, database_name, token):
                self.reassigned.add(key)

    def _is_reassigned(self, oid: bytes, database_name: str, token: int) -> bool:
        # Usually the job has just completed, or waits for another.
        try:
            job = self._agents._p_jar.get_connection(database_name).get(oid)
            return bool(job.claim_token != token)
        except KeyError:
            # The job was removed and packed away; a POSKeyError is a KeyError.
            return True
        except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            # The job cannot be read. That is logged where it should run.
            return False

    def _hand_back_lost(self) -> None:
        unanswered = self._state.unanswered
        if not (self._plan.lost or unanswered):
            return
        for _name, agent in self._named_agents():
            for job in list(agent):
                if (job_id(job), job.claim_token) in unanswered:
                    # No worker ever had the job.
                    self._queue.putBack(job)
                elif (job_id(job), job.claim_token) in self._plan.lost:
                    agent.forget(job)
                    handingback.hand_back_job(self._agents.queue, job)
                else:
                    continue
                self.changed = True

    def _look_thoroughly(self) -> None:
        """Take a thorough look if it is time: see `thorough`."""
        forlorn = self._state.forlorn
        if forlorn is None:
            return
        if self._plan.held is not None:
            self.forlorn = thorough.find_forlorn(self._named_agents(), self._plan.held)
            again = self.forlorn & forlorn
            if again:
                thorough.hand_back(self._agents, self._named_agents(), again)
                self.forlorn -= again
                self.changed = True
        if thorough.shorten_waits(self._queue) + thorough.note_reopened(self._queue):
            self.changed = True
        if serving.drop_stale(self._queue, thorough.STALE_LIMIT):
            self.changed = True
        if thorough.break_deadlocks(self._queue, self.uuid):
            self.changed = True
        self._look_for_unserved()

    def _look_for_unserved(self) -> None:
        found = thorough.find_unserved(self._queue, self.uuid)
        self.unserved = {
            needs: serving.count(self._queue, parts) if self._state.is_news(needs) else 0
            for needs, parts in found.items()
        }

    def _look_around(self) -> None:
        for name, agent in self._agents.named_books():
            jobs = list(agent)
            active = [job_id(job) for job in jobs]
            coroutines = sum(job.is_coroutine for job in jobs)
            self.info[name] = {
                "active jobs": active,
                "error": self._excluded.get(name),
                "len": len(active),
                "new jobs": [],
                "size": agent.size,
                # They have places of their own. Scripts know the rest.
                **({"coroutines": coroutines} if coroutines else {}),
            }

    def _claim(self) -> None:
        share = self._state.share(self._queue.dispatchers)
        with self._queue.claiming(share) as claim:
            for name, agent in self._named_agents():
                self.sizes[self.name, name] = agent.size
                if name not in self._excluded:
                    self._claim_for(claim, name, agent)
            self._put_back_left_over(claim)
        self.changed = self.changed or claim.changed
        if claim.more:
            self.again = 0
        self.next_time = claim.next_time()

    def _put_back_left_over(self, claim: Any) -> None:
        """Put back jobs that a chooser claimed and did not return."""
        for job in claim.taken:
            if job.status == NEW and (job.parent is None or job.agent is not None):
                utils.log.error("%r was claimed by a chooser that did not return it", job)
                self._queue.putBack(job)

    def _claim_for(self, claim: Any, name: str, agent: Any) -> None:
        room = self._room((self.name, name), agent)
        now = zc.async_.clock.microseconds()
        places = sidecar.SidecarPlaces()
        for _place in range(room.places):
            claim.for_threads, claim.for_coroutines = room.for_threads, room.for_coroutines
            job = self._ask(name, agent)
            if job is None:
                break
            room.take(job)
            job.activate_at(now, places)
            self.changed = True
            self._jobs.append(
                Claimed(
                    (self.name, name),
                    job_id(job),
                    job.claim_token,
                    job.quota_names,
                    job.needs,
                    job.is_coroutine,
                )
            )
        if room.is_more_to_come:
            # Only if there were enough jobs: else idle polls would follow a conflict.
            self.again = 0

    def _room(self, key: AgentKey, agent: Any) -> "_Room":
        most = self._state.most_jobs
        busy, coroutines = self._plan.busy.get(key, 0), self._plan.coroutines.get(key, 0)
        size = getattr(agent, "coroutine_size", None)
        if size is None or not agent.size:
            # It is paused, or an agent of an application's own class, which counts all jobs alike.
            return _Room(agent.size - busy, None, most)
        return _Room(agent.size - (busy - coroutines), size - coroutines, most)

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
            raise AgentFailed(name, Failure()) from error

    def _keep_books(self) -> None:
        """Move completed jobs out of the agents.

        This alone is worth a commit only if there is nothing else to do for a while, or if others
        may wait for it: for a place in a quota, or for the end of a part.
        """
        left: list[Any] = []
        for _name, agent in self._named_agents():
            left += agent.keep_books()
        freed = self._free_places([job for job in left if job.quota_names])
        elsewhere = {key: ids for key, ids in self._plan.completed.items() if key[0] == self.name}
        for key, ids in elsewhere.items():
            self._remember(key[1], ids)
        idle = not any(self._plan.busy.values())
        # The last part but one of a parallel job may have been another dispatcher's.
        parts = any(job.part_of_tally is not None for job in left)
        if freed or elsewhere or parts or (left and idle):
            self.changed = True

    def _free_places(self, jobs: list[Any]) -> bool:
        names = {name for job in jobs for name in job.quota_names}
        quotas = [self._queue.quotas.get(name) for name in names]
        released = [quota.release(jobs) for quota in quotas if quota is not None]
        return any(released)

    def _remember(self, name: str, ids: list[JobId]) -> None:
        agents = [agent for known, agent in self._named_agents() if known == name]
        for agent, (oid, database_name) in itertools.product(agents, ids):
            agent.remember(self._agents._p_jar.get_connection(database_name).get(oid))

    # -- reporting

    def claimed(self) -> set[tuple[JobId, int]]:
        """The jobs, with their tokens, that this transaction claims if it commits."""
        return {(claimed.job_id, claimed.token) for claimed in self._jobs}

    def take_back(self, again: float | None) -> None:
        """Forget the claims: the transaction failed. `again`: when to poll again (seconds)."""
        self._jobs = []
        self.again = again

    def watched(self) -> tuple[Any, frozenset[bytes]]:
        """The database, and the oids whose changes may mean that there is something to do."""
        return self._queue._p_jar.db(), frozenset(_watched(self._queue, self._agents))

    def report(self, outcome: Outcome) -> None:
        outcome.info[self.name] = self.info
        outcome.sizes.update(self.sizes)
        outcome.jobs += self._jobs
        outcome.reassigned |= self.reassigned
        times = [t for t in (outcome.next_time, self.next_time) if t is not None]
        outcome.next_time = min(times, default=None)
        waits = [a for a in (outcome.again, self.again) if a is not None]
        outcome.again = min(waits, default=None)


def watched_records(queue: Any, agents: Any) -> list[Any]:
    """The records whose changes may mean that there is something to do."""
    objects = [
        *queue.lanes.records(),
        agents,
        *agents.values(),
    ]
    for lane in zc.async_.queue.lane.readable(queue.lanes):
        objects += (lane, lane.newest)
    return objects + _of_quotas(queue, agents)


def _of_quotas(queue: Any, agents: Any) -> list[Any]:
    """The records of quotas to watch: only those matter that hold back a job that may run here."""
    quotas = queue.quotas
    records = [] if quotas.reopened is None else list(records_of_tree(quotas.reopened))
    names = {
        name for _key, index in limited.indices(queue.backlog) for name, _count in index.holders()
    }
    for needing, labels in _needing_and_labels(queue, agents):
        names.update(needing.holders(labels))
    for name in names:
        quota = quotas.get(name)
        if quota is not None:
            records += (quota, quota.members)
    return records


def has_needs_for(queue: Any, agents: Any) -> bool:
    """Whether jobs wait that need labels, and whose needs an agent of `agents` satisfies.

    `agents`: the `IDispatcherAgents`.
    """
    return any(
        True
        for needing, labels in _needing_and_labels(queue, agents)
        for _needs in needing.satisfied(labels)
    )


def _needing_and_labels(queue: Any, agents: Any) -> list[tuple[Any, frozenset[str]]]:
    """All that waits for labels, each with the labels of each agent."""
    needing = zc.async_.queue.all_needing(queue.backlog)
    here = agents.labels_at_work() if needing else ()
    return [(some, labels) for _refusals, some in needing for labels in here]


def _watched(queue: Any, agents: Any) -> set[bytes]:
    """The oids of `watched_records`."""
    records = watched_records(queue, agents)
    return {record._p_oid for record in records if record._p_oid is not None}
