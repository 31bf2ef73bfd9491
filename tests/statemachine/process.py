"""A dispatcher's process, whose every step is made by hand.

It does what the modules of `zc.async_.dispatcher` do with their threads.
"""

import math
from typing import Any

from tests.races.parties import Client
from zc.async_ import local
from zc.async_.dispatcher.fence import Fence
from zc.async_.dispatcher.plans import AgentKey, Claimed, Outcome, Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.pool import job_id
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.interfaces import ReassignedError
from zc.async_.process import liveness
from zc.async_.running import tries


class Crash(GeneratorExit):
    """The process ends here and now. Of those errors that no job is asked about."""


class Worker(Client):
    """A connection on which one job at a time is run."""

    def __init__(self, database: Any) -> None:
        super().__init__(database)
        self.busy = False
        self._fence = Fence()
        self.manager.registerSynch(self._fence)

    def run(self, claimed: Claimed) -> Any:
        """Run a claimed job; return the Deferred that it waits for, if any."""
        return self._perform(claimed, tries.run_claimed)

    def finish(self, claimed: Claimed, value: Any) -> Any:
        """End a job whose Deferred has fired."""
        return self._perform(claimed, tries.finish_deferred, value)

    def _perform(self, claimed: Claimed, perform: Any, *args: Any) -> Any:
        self.manager.begin()
        job = self.connection.get(claimed.job_id[0])
        job._p_activate()
        self._fence.enclose(job, claimed.token)
        try:
            return perform(job, claimed.token, *args)
        finally:
            self._fence.open()
            self.manager.abort()


class Process:
    """A poller, and the jobs it claimed that are not done."""

    def __init__(self, database: Any, uuid: Any, labels: tuple[str, ...] = ()) -> None:
        self._database = database
        self.uuid = uuid
        self.poller = Poller(database, uuid, Listener(lambda: None), labels)
        self.workers: list[Worker] = []
        #: Whether it may go on.
        self.alive = True
        #: Whether it polls no more, though jobs that it began may go on.
        self.stopped = False
        #: Whether it is in the middle of a poll.
        self.polling = False
        #: Claimed, and not begun.
        self.claims: list[Claimed] = []
        #: Begun, and not done.
        self.under_way: list[Claimed] = []
        #: Begun, and waiting for a Deferred.
        self.deferred: list[Claimed] = []
        self._lost: set[Any] = set()
        self._completed: dict[AgentKey, list[Any]] = {}

    @property
    def active(self) -> bool:
        """Whether it polls."""
        return self.alive and not self.stopped

    # -- steps; the others act in the middle of them

    def poll(self, contended: bool = False) -> Outcome:
        """One poll. `contended`: as if there had been conflicts just now."""
        # Otherwise real time would tell.
        self.poller.contention.until = math.inf if contended else 0.0
        plan = self._plan()
        self.polling = True
        try:
            outcome = self.poller.poll(plan)
        except Crash:
            outcome = Outcome()
        finally:
            self.polling = False
        if not self.alive:
            self._let_go()
            return outcome
        self._keep_undone(plan, outcome)
        self.claims += outcome.jobs
        return outcome

    def run(self, claimed: Claimed) -> bool:
        """Run a job; return whether it was this worker's to the end."""
        return self._work(claimed, self.claims, lambda worker: worker.run(claimed))

    def fire(self, claimed: Claimed) -> bool:
        """Have a Deferred fire, and run what follows; return as `run`."""
        return self._work(claimed, self.deferred, lambda worker: worker.finish(claimed, "fired"))

    def stop(self, begun: bool) -> None:
        """End without grace. `begun`: threads have begun with all that was claimed."""
        assert not self.polling
        unstarted = [] if begun else [(claimed.job_id, claimed.token) for claimed in self.claims]
        if not begun:
            self.claims.clear()
        self.deferred.clear()
        self.stopped = True
        try:
            self.poller.deactivate(unstarted)
        except Crash:
            pass
        finally:
            self.poller.close()
        if not self.alive:
            self._let_go()

    def crash(self, known: bool) -> None:
        """End without doing anything more. `known`: on a host that siblings share."""
        self.alive = False
        if known and not self.stopped:
            # As the operating system does.
            liveness.release(self.uuid)
        if not (self.polling or self.under_way):
            self._let_go()

    def close(self) -> None:
        """Give the connections back."""
        if not self.stopped:
            self.stopped = True
            self.poller.close()
        for worker in self.workers:
            worker.close()
        self.workers.clear()

    # -- details

    def _let_go(self) -> None:
        if self.polling or self.under_way:
            # This is the middle of something.
            return
        self.claims.clear()
        self.deferred.clear()
        self.close()

    def _plan(self) -> Plan:
        busy: dict[AgentKey, int] = {}
        coroutines: dict[AgentKey, int] = {}
        for claimed in (*self.claims, *self.under_way, *self.deferred):
            busy[claimed.agent] = busy.get(claimed.agent, 0) + 1
            coroutines[claimed.agent] = coroutines.get(claimed.agent, 0) + claimed.is_coroutine
        lost, self._lost = self._lost, set()
        completed, self._completed = self._completed, {}
        return Plan(busy, lost, completed, coroutines=coroutines)

    def _keep_undone(self, plan: Plan, outcome: Outcome) -> None:
        if outcome.failed or outcome.info.keys() - outcome.done:
            self._lost |= plan.lost
        for key, ids in plan.completed.items():
            if key[0] not in outcome.done:
                self._completed.setdefault(key, []).extend(ids)

    def _work(self, claimed: Claimed, claims: list[Claimed], work: Any) -> bool:
        claims.remove(claimed)
        self.under_way.append(claimed)
        worker = self._idle_worker()
        worker.busy = True
        outer, local.completed = local.completed, []
        deferred, ours = None, True
        try:
            deferred = work(worker)
        except ReassignedError:
            self._lost.add((claimed.job_id, claimed.token))
            ours = False
        except SystemExit:
            self._lost.add((claimed.job_id, claimed.token))
        except Crash:
            pass
        finally:
            ids = dict.fromkeys(job_id(job) for job in local.completed)
            if ids:
                self._completed.setdefault(claimed.agent, []).extend(ids)
            local.completed = outer
            worker.busy = False
            self.under_way.remove(claimed)
        if not self.alive:
            self._let_go()
        elif deferred is not None and not self.stopped:
            self.deferred.append(claimed)
        return ours

    def _idle_worker(self) -> Worker:
        for worker in self.workers:
            if not worker.busy:
                return worker
        self.workers.append(Worker(self._database))
        return self.workers[-1]
