"""Agents of an application's own class, which implements `IAgent` and no more."""

import datetime

import persistent
import pytest
import zope.component
import zope.interface
from persistent.list import PersistentList
from zope.interface.verify import verifyClass

import zc.async_.clock
from tests.dispatcher import work
from tests.dispatcher.looking import idle
from zc.async_.agent import Agent
from zc.async_.agent.history import Completed
from zc.async_.interfaces import (
    ASSIGNED,
    COMPLETED,
    NEW,
    PENDING,
    BadStatusError,
    IAgent,
    IDispatcherActivated,
)
from zc.async_.job import Job, parallel


@zope.interface.implementer(IAgent)
class OwnAgent(persistent.Persistent):
    """Takes jobs that are not of odd names, and knows which it has in a list."""

    name = parent = filter = chooser = None

    def __init__(self, size=2):
        self.size = size
        self.jobs = PersistentList()
        self.completed = Completed()

    @property
    def queue(self):
        return self.parent.parent

    def claimJob(self):
        if len(self) >= self.size:
            return None
        job = self.queue.claim()
        if job is not None:
            job.parent = self
            self.jobs.append(job)
        return job

    def jobCompleted(self, job):
        work.happened.append("completed")
        self.remove(job)
        self.completed.add(job)

    def remove(self, job):
        self.jobs.remove(job)

    def index(self, job):
        return self.jobs.index(job)

    def __len__(self):
        return len(self.jobs)

    def __iter__(self):
        return iter(self.jobs)

    def __contains__(self, job):
        return job in self.jobs

    def __getitem__(self, index):
        return self.jobs[index]


class Forgetful(OwnAgent):
    """Does not remember anything."""

    def claimJob(self):
        return self.queue.claim()

    def jobCompleted(self, job):
        """Take no notice."""


class Raising(OwnAgent):
    """Raises whatever it is told."""

    def __len__(self):
        return 0

    def remove(self, job):
        raise ZeroDivisionError("in remove")

    def jobCompleted(self, job):
        raise ZeroDivisionError("in jobCompleted")


class RaisingAgent(Agent):
    """A subclass, and what it adds raises."""

    def jobCompleted(self, job):
        super().jobCompleted(job)
        raise ZeroDivisionError("in jobCompleted")


@pytest.fixture
def dispatcher_with(make_dispatcher, reactor):
    """Starts a dispatcher that has one agent: that is made by the factory."""

    def dispatcher_with(factory):
        @zope.component.adapter(IDispatcherActivated)
        def install(event):
            event.object["own"] = factory()

        zope.component.provideHandler(install)
        dispatcher = make_dispatcher()
        dispatcher.activate()
        reactor.time_flies(0)
        return dispatcher

    return dispatcher_with


KINDS = [OwnAgent, Forgetful, Raising, RaisingAgent]


def by_kind():
    return pytest.mark.parametrize("kind", KINDS)


def test_it_implements_the_interface():
    assert verifyClass(IAgent, OwnAgent)


@by_kind()
def test_its_jobs_run_once_and_leave_it(
    client, dispatcher_with, put, completed, reactor, agents_of, kind
):
    dispatcher = dispatcher_with(kind)
    jobs = [put(client.root["counter"].increase) for _number in range(7)]
    completed(*jobs)
    client.manager.begin()
    assert client.root["counter"].count == 7
    reactor.time_flies(11)
    agents = agents_of(dispatcher)
    assert len(agents.books_of("own")) == 0
    agents["new"] = Agent()
    del agents["own"]


def test_it_is_told_of_what_has_completed(
    client, dispatcher_with, put, completed, reactor, agents_of
):
    dispatcher = dispatcher_with(OwnAgent)
    jobs = [put(work.answer) for _number in range(3)]
    completed(*jobs)
    reactor.time_flies(11)
    agent = agents_of(dispatcher)["own"]
    assert len(agent) == 0
    assert set(agent.completed) == set(jobs)
    assert all(job.agent is agent for job in jobs)
    assert all(job.queue is client.queue for job in jobs)


@pytest.mark.parametrize("kind", [Raising, RaisingAgent])
def test_an_error_of_it_is_told_of(dispatcher_with, put, completed, reactor, caplog, kind):
    dispatcher_with(kind)
    completed(put(work.answer))
    reactor.time_flies(11)
    assert "jobCompleted of agent 'own' raised" in caplog.text
    assert "poll of queue" not in caplog.text


@by_kind()
def test_parallel_jobs_end_though_it_has_one_place(
    client, dispatcher_with, put, completed, settle, reactor, agents_of, kind
):
    """Whoever waits for others is removed from it meanwhile."""
    dispatcher = dispatcher_with(lambda: kind(size=1))
    job = put(parallel(work.answer, parallel(work.answer, work.answer)))
    completed(job)
    # The worker of the last of its parts tells of it.
    settle(lambda: idle(dispatcher))
    reactor.time_flies(11)
    if kind is OwnAgent:
        assert job in list(agents_of(dispatcher)["own"].completed)


@pytest.fixture
def own(client, make_poller):
    """An own agent of a dispatcher that is active, and has not polled since."""
    poller = make_poller()
    poller.poll()
    client.manager.begin()
    agents = client.queue.dispatchers[poller.uuid]
    agents["own"] = OwnAgent()
    client.manager.commit()
    return agents["own"]


def test_it_can_claim_by_hand(client, put, own):
    job = put(work.answer)
    assert own.claimJob() is job
    assert job.agent is own
    assert job.queue is client.queue
    assert job.status == NEW
    books = own.parent.books_of("own")
    books._take(job)
    assert job.status == ASSIGNED
    assert list(books) == [job]
    client.queue.putBack(job)
    assert (list(own), list(books), job.status) == ([], [], PENDING)


def test_a_dispatcher_that_does_not_work_for_the_queue_does_not_ask_it(client, put, own):
    put(work.answer)
    own.parent.deactivate()
    assert own.parent.books_of("own").claimJob() is None
    assert len(own) == 0


@by_kind()
def test_what_it_has_is_handed_back_when_its_dispatcher_ends(client, put, own, kind):
    """What had not begun goes back unasked; of what had, the policy is asked."""
    agents = own.parent
    agents["ending"] = kind()
    assigned, active = put(work.answer), put(work.answer)
    books = agents.books_of("ending")
    assert [books.claimJob(), books.claimJob()] == [assigned, active]
    active.activate_at(zc.async_.clock.microseconds())
    client.manager.commit()
    agents.deactivate()
    client.manager.commit()
    assert list(books) == []
    assert assigned.status == PENDING
    assert [job for job in client.queue if not job.is_of_system] == [assigned]
    assert [job.callable for job in client.queue if job.is_of_system] == [active.handleInterrupt]


def test_its_size_counts_though_it_does_not_look_at_it(client, put, own):
    own.parent["forgetful"] = Forgetful(size=1)
    put(work.answer), put(work.answer)
    books = own.parent.books_of("forgetful")
    assert books.claimJob() is not None
    assert books.claimJob() is None


def test_it_has_to_return_what_it_claimed(client, put, own):
    own.parent["stubborn"] = Stubborn()
    put(work.answer)
    with pytest.raises(BadStatusError, match="claimJob of agent 'stubborn' answered"):
        own.parent.books_of("stubborn").claimJob()


class Stubborn(OwnAgent):
    def claimJob(self):
        return self.queue[0]


def test_what_it_claims_and_does_not_return_goes_back(
    client, put, completed, make_dispatcher, dispatcher_with, caplog
):
    job = put(work.answer)
    dispatcher_with(Keeping)
    completed(job)
    assert "kept" in work.happened
    assert "was claimed by a chooser that did not return it" in caplog.text


class Keeping(OwnAgent):
    """Does not return what it claimed first."""

    def claimJob(self):
        job = super().claimJob()
        if "kept" in work.happened:
            return job
        work.happened.append("kept")
        return None


def test_an_agent_that_runs_jobs_is_not_replaced(client, put, own):
    put(work.answer)
    agents = own.parent
    agents.books_of("own").claimJob()
    with pytest.raises(ValueError, match="runs jobs"):
        agents["own"] = Agent()
    with pytest.raises(ValueError, match="runs jobs"):
        del agents["own"]
    agents["own"] = own
    assert len(agents.books_of("own")) == 1


def test_one_that_has_none_is_replaced_and_forgotten(client, own):
    agents = own.parent
    agents["own"] = another = OwnAgent()
    assert own.parent is None
    assert agents.books_of("own").subject is another
    del agents["own"]
    assert agents._ledgers == {}


def test_a_job_of_one_that_was_removed_has_no_queue(client, own, put):
    job = Job(work.answer)
    agents = own.parent
    job.parent = own
    del agents["own"]
    assert job.queue is None


@zope.interface.implementer(IAgent)
class NotPersistent:
    """Says that it is an agent."""


class NotDeclared(persistent.Persistent):
    """Does not say so."""


@pytest.mark.parametrize("kind", [NotPersistent, NotDeclared, object])
def test_what_cannot_be_an_agent_is_refused_at_once(own, kind):
    with pytest.raises(TypeError, match="is no agent: put a"):
        own.parent["other"] = kind()
    assert "other" not in own.parent


def test_one_that_an_older_version_stored_gets_books(client, make_poller, put, settle):
    poller = make_poller()
    poller.poll()
    client.manager.begin()
    agents = client.queue.dispatchers[poller.uuid]
    agents["own"] = OwnAgent()
    agents._drop_ledger("own")
    client.manager.commit()
    job = put(work.answer)
    assert [claimed.agent for claimed in poller.poll().jobs] == [("", "own")]
    client.manager.begin()
    assert list(agents.books_of("own")) == [job]


def test_a_completion_that_was_undone_leaves_its_history(client, own):
    job = Job(work.answer)
    own.completed.add(job)
    own.parent.books_of("own").remove_from_history(job)
    assert list(own.completed) == []


def test_the_history_can_be_asked_for_a_time(client, own):
    job = Job(work.answer)
    own.completed.add(job)
    hour = datetime.timedelta(hours=1)
    assert own.completed.first(zc.async_.clock.now() + hour) is job
    assert job.status != COMPLETED
