"""Tasks that worker threads give back, and what the next poll has to write about them."""

import collections
import threading
from typing import Any

from twisted.internet.defer import Deferred

from zc.async_.dispatcher import steps
from zc.async_.dispatcher.plans import AgentKey, Outcome, Plan
from zc.async_.dispatcher.pool import JobId, Pool, Task, Worker
from zc.async_.dispatcher.records import Records, reported
from zc.async_.running import awaiting


class Returns:
    """Owns the tasks that come back. Only from the reactor's thread, except `add`."""

    def __init__(self, dispatcher: Any, records: Records) -> None:
        self._dispatcher = dispatcher
        self._records = records
        # Any thread appends; the reactor's thread takes.
        self._added: collections.deque[tuple[Pool, Worker, Task]] = collections.deque()
        # Set by any thread that finds enough of them. The reactor's thread says how many that are,
        # waits for it, and clears it. If it woke for each, it would take the interpreter from those
        # that are still at work.
        self._are_enough = threading.Event()
        self._enough = 1
        #: How many jobs have ended. Any thread may read it.
        self.ended = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation, except tasks that were not taken yet."""
        self._lost: set[tuple[JobId, int]] = set()
        self._completed: dict[AgentKey, list[JobId]] = {}

    def add(self, pool: Pool, worker: Worker, task: Task) -> None:
        """Give back a task of a worker. For any thread, which then has to wake the dispatcher."""
        self._added.append((pool, worker, task))
        if len(self._added) >= self._enough:
            self._are_enough.set()

    def __len__(self) -> int:
        """How many tasks were given back and not taken yet."""
        return len(self._added)

    def wait(self, seconds: float, number: int = 1) -> None:
        """Wait, at most for `seconds`, until there are `number` tasks to take.

        Blocks the reactor.
        """
        self._enough = number
        self._are_enough.clear()
        # A thread that has not seen the new number has appended before, and is counted here.
        if len(self._added) < number:
            self._are_enough.wait(seconds)

    def take(self) -> None:
        """Take all tasks that were given back."""
        while self._added:
            pool, worker, task = self._added.popleft()
            pool.done(task, worker)
            self._take_one(pool, task)

    def _take_one(self, pool: Pool, task: Task) -> None:
        if task.lost:
            self._lost.add((task.job_id, task.token))
        if task.completed:
            key = pool.queue_name, pool.agent_name
            self._completed.setdefault(key, []).extend(task.completed)
        for other, outcome in task.outcomes.items():
            self._records.job_ended(reported(other), outcome)
        if task.lost or (pool.stopped and task.deferred is not None):
            # The job could not be loaded, say, or its thread has ended, or all have been told to.
            steps.give_up(pool, task)
        elif task.step is not None:
            steps.step_done(pool, task)
        elif task.deferred is not None:
            self._await(pool, task)
        else:
            self.ended += 1

    # -- jobs that wait

    def _await(self, pool: Pool, task: Task) -> None:
        """Have a worker commit the result of a Deferred or coroutine when it is there."""

        def fired(value: Any) -> None:
            task.value = awaiting.to_result(value)
            task.fired = True
            self._dispatcher.reactor.callFromThread(self._resume, pool, task)

        waited_for = task.deferred
        if not isinstance(waited_for, Deferred):
            waited_for = steps.begin(self._dispatcher, pool, task)
        waited_for.addBoth(fired)

    def _resume(self, pool: Pool, task: Task) -> None:
        # During a step of the coroutine the task does not wait: whoever takes that goes on.
        if not pool.stopped and pool.waiting.get(task.key) is task:
            pool.hand(task)

    # -- what a poll writes

    def take_unwritten(self) -> tuple[set[tuple[JobId, int]], dict[AgentKey, list[JobId]]]:
        """Take what the next poll has to write: see `Plan.lost` and `Plan.completed`."""
        lost, self._lost = self._lost, set()
        completed, self._completed = self._completed, {}
        return lost, completed

    def keep_undone(self, plan: Plan, outcome: Outcome) -> None:
        """Keep for the next poll what this one could not write."""
        if outcome.failed or outcome.info.keys() - outcome.done:
            self._lost |= plan.lost
        for key, ids in plan.completed.items():
            is_there = outcome.failed or key[0] in outcome.info
            if is_there and key[0] not in outcome.done:
                self._completed.setdefault(key, []).extend(ids)
