"""An application with an agent class of its own, which serves its tenants in turn.

It implements `IAgent` as that is published, and keeps its jobs in a list, as the original did.
"""

import persistent
import pytest
import transaction
import zope.component
import zope.interface
from persistent.list import PersistentList

from zc.async_.agent.history import Completed
from zc.async_.interfaces import IAgent, IDispatcherActivated, IQueue
from zc.async_.job import Job, serial
from zc.async_.testing import wait_for_start


@zope.interface.implementer(IAgent)
class FairAgent(persistent.Persistent):
    """Takes a job of each tenant in turn: the last served one comes last."""

    name = parent = filter = chooser = None

    def __init__(self, size=1):
        self.size = size
        self.completed = Completed()
        self.served = PersistentList()
        self._jobs = PersistentList()

    @property
    def queue(self):
        return None if self.parent is None else self.parent.parent

    def claimJob(self):
        if not self.parent.activated or len(self._jobs) >= self.size:
            return None
        for tenant in self._in_turn():
            job = self.queue.claim(lambda job, tenant=tenant: tenant_of(job) == tenant)
            if job is not None:
                self.served.append(tenant)
                job.parent = self
                self._jobs.append(job)
                return job
        return None

    def _in_turn(self):
        waiting = sorted({tenant_of(job) for job in self.queue})
        last = {tenant: number for number, tenant in enumerate(self.served)}
        return sorted(waiting, key=lambda tenant: last.get(tenant, -1))

    def jobCompleted(self, job):
        self.remove(job)
        self.completed.add(job)

    def remove(self, job):
        self._jobs.remove(job)

    def index(self, job):
        return self._jobs.index(job)

    def __len__(self):
        return len(self._jobs)

    def __iter__(self):
        return iter(self._jobs)

    def __contains__(self, job):
        return job in self._jobs

    def __getitem__(self, index):
        return self._jobs[index]


def tenant_of(job):
    return job.kwargs.get("tenant", "")


def work(*args, tenant=""):
    return tenant


@zope.component.adapter(IDispatcherActivated)
def install(event):
    """Give the dispatcher the agent, and the queue a quota that the application uses."""
    if "main" not in event.object:
        event.object["main"] = FairAgent()
    quotas = event.object.parent.quotas
    if "archive" not in quotas:
        quotas.create("archive")


@pytest.fixture
def begin(connection, start):
    """Starts the process; returns its queue, and its agent."""

    def begin():
        zope.component.provideHandler(install)
        start()
        transaction.begin()
        queue = IQueue(connection)
        ready = queue.put(work)
        transaction.commit()
        wait_for_start(ready, 30)
        transaction.begin()
        (agents,) = queue.dispatchers.values()
        return queue, agents["main"]

    return begin


def test_tenants_are_served_in_turn(begin, wait_for):
    queue, agent = begin()
    jobs = [queue.put(Job(work, tenant=tenant)) for tenant in ("a", "a", "a", "b", "b", "c")]
    assert wait_for(*jobs) == ["a", "a", "a", "b", "b", "c"]
    transaction.begin()
    assert list(agent.served) == ["", "a", "b", "c", "a", "b", "a"]
    assert all(job.agent is agent for job in jobs)


def test_the_agent_knows_what_has_completed(begin, wait_for):
    queue, agent = begin()
    first = queue.put(Job(work, tenant="a"))
    wait_for(first)
    # The books of the first are kept before the second is claimed: there is one place.
    second = queue.put(Job(work, tenant="b"))
    wait_for(second)
    transaction.begin()
    assert first in list(agent.completed)
    assert first not in agent


def test_composed_jobs_run_though_there_is_one_place(begin, wait_for):
    queue, _agent = begin()
    job = queue.put(serial(Job(work, tenant="a"), serial(Job(work, tenant="b"), work)))
    first, second = wait_for(job)[0]
    assert first.result == "a"
    assert [part.result for part in second.result] == ["b", ""]


def test_the_handler_that_installed_it_made_a_quota(begin, wait_for):
    queue, _agent = begin()
    job = Job(work, tenant="a")
    queue.put(job)
    job.quota_names = ["archive"]
    assert wait_for(job) == ["a"]
