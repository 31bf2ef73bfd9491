"""Parties to a race: clients and dispatchers whose every step a test makes by hand.

Each has connections of its own, so that what one does between two steps of another is a real race,
and always the same one.
"""

import uuid
from typing import Any

import transaction

from zc.async_.agent import Agent
from zc.async_.dispatcher.fence import Fence
from zc.async_.dispatcher.plans import Outcome, Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.interfaces import KEY, ReassignedError
from zc.async_.queue import Queue, Queues
from zc.async_.running import tries

#: What jobs did, whatever became of their transactions. Emptied after each test.
done: list[Any] = []

#: What tests have their functions raise, the last first. Emptied after each test.
to_raise: list[BaseException] = []

#: What `call_hook` and `hooked_chooser` do in the middle of things.
hook: Any = None


def set_hook(call: Any) -> None:
    """Have the next call of `call_hook` or `hooked_chooser` call this, once."""
    global hook
    hook = call


def call_hook() -> None:
    """Let the other party act."""
    global hook
    call, hook = hook, None
    if call is not None:
        call()


def hooked_chooser(agent: Any) -> Any:
    """Claims, and lets the other party act before the claim is committed."""
    job = agent.queue.claim()
    if job is not None:
        call_hook()
    return job


def nothing(*args: Any) -> None:
    """Do nothing."""


class Client:
    """Puts, removes and looks."""

    def __init__(self, database: Any) -> None:
        self.manager = transaction.TransactionManager()
        self.connection = database.open(self.manager)
        self.root = self.connection.root()

    @property
    def queue(self) -> Any:
        return self.root[KEY][""]

    def put(self, job: Any, **options: Any) -> Any:
        """Put a job into the queue as it is now, and commit."""
        self.manager.begin()
        job = self.queue.put(job, **options)
        self.manager.commit()
        return job

    def same(self, job: Any) -> Any:
        """The job as this party sees it in its present transaction."""
        return self.connection.get(job._p_oid)

    def close(self) -> None:
        self.manager.abort()
        self.connection.close()


class Dispatcher(Client):
    """Claims and runs, one step at a time and without threads."""

    def __init__(self, database: Any, size: int = 3, chooser: Any = None) -> None:
        super().__init__(database)
        self.uuid = uuid.uuid4()
        self.poller = Poller(database, self.uuid, Listener(lambda: None))
        self.manager.begin()
        self.queue.dispatchers.register(self.uuid)
        self.queue.dispatchers[self.uuid]["main"] = Agent(chooser=chooser, size=size)
        self.manager.commit()
        claimed = self.poll().jobs
        assert not claimed, "make dispatchers before there are jobs, or nobody runs these"
        self._fence = Fence()
        self.manager.registerSynch(self._fence)

    def poll(self, lost: Any = ()) -> Outcome:
        """One poll, as if all workers that have no active job were idle."""
        return self.poller.poll(Plan(busy={}, lost=set(lost), completed={}))

    def claim(self) -> list[Any]:
        """Poll until the database lets it, and return what was claimed."""
        while (outcome := self.poll()).again:
            pass
        return outcome.jobs

    def run(self, claimed: Any) -> Any:
        """Run a claimed job as a worker does."""
        self.manager.begin()
        job = self.connection.get(claimed.job_id[0])
        self._fence.enclose(job, claimed.token)
        try:
            return tries.run_claimed(job, claimed.token)
        finally:
            self._fence.open()
            self.manager.abort()

    def die_in(self, claimed: Any, call: Any = nothing) -> None:
        """Run a claimed job, end its thread where it lets another party act, and leave.

        `call`: what that party does.
        """

        def call_and_die() -> None:
            call()
            raise SystemExit

        set_hook(call_and_die)
        try:
            self.run(claimed)
        except SystemExit:
            self.leave()
        else:
            raise AssertionError("the job let nobody act")

    def run_in_vain(self, claimed: Any, call: Any) -> None:
        """Run a claimed job; where it lets another party act, that takes it away by `call`.

        So nothing of it may be committed.
        """
        set_hook(call)
        try:
            self.run(claimed)
        except ReassignedError:
            return
        raise AssertionError("the job is still this worker's")

    def leave(self) -> None:
        """Leave the queue without grace, so that jobs that run are interrupted."""
        self.poller.deactivate([])

    def work(self) -> None:
        """Claim and run until nothing is left to do."""
        while True:
            outcome = self.poll()
            for claimed in outcome.jobs:
                self.run(claimed)
            if not outcome.jobs and outcome.again is None:
                return

    def agents(self, client: Client) -> Any:
        """The `IDispatcherAgents` of this dispatcher, as a client sees them."""
        return client.queue.dispatchers[self.uuid]

    def close(self) -> None:
        super().close()
        self.poller.close()


def make_queue(database: Any) -> None:
    """Put an empty queue into a database."""
    with database.transaction() as connection:
        queues = connection.root()[KEY] = Queues()
        queues[""] = Queue()
