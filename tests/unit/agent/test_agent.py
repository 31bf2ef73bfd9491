"""Agents: settings, claims, and the jobs they have."""

import operator

import pytest
import zope.component
import zope.interface
from ZODB.POSException import ConflictError, ReadConflictError

import zc.async_.agent
from tests.unit import calls
from zc.async_.agent import Agent, addMainAgentActivationHandler, chooseFirst
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    COMPLETED,
    KEY,
    NEW,
    PENDING,
    IAgent,
    IFilterAgent,
)
from zc.async_.job import Job, sidecar
from zc.async_.queue import Queue


def is_mul(job):
    return job.callable == operator.mul


def choose_mul(agent):
    return agent.queue.claim(is_mul)


def prefer_mul(agent):
    return agent.queue.claim(is_mul) or agent.queue.claim()


# -- settings


def test_by_default_an_agent_takes_everything_three_at_a_time():
    agent = Agent()
    assert agent.size == 3
    assert agent.filter is None
    assert agent.chooser is None
    assert agent.name is None
    assert agent.parent is None
    assert agent.queue is None
    assert len(agent) == 0
    assert list(agent) == []
    assert not agent


def test_filter_chooser_and_size_can_be_given_by_name():
    agent = Agent(filter=is_mul, size=5)
    assert (agent.filter, agent.chooser, agent.size) == (is_mul, None, 5)
    agent = Agent(chooser=choose_mul)
    assert (agent.filter, agent.chooser, agent.size) == (None, choose_mul, 3)


def test_the_historic_order_of_arguments_is_chooser_and_size():
    agent = Agent(chooseFirst, 5)
    assert (agent.filter, agent.chooser, agent.size) == (None, chooseFirst, 5)
    agent = Agent(choose_mul)
    assert (agent.filter, agent.chooser, agent.size) == (None, choose_mul, 3)


def test_an_agent_is_true_while_it_has_jobs(client, agent):
    job = client.put(calls.nothing)
    assert not agent
    assert agent.claimJob() is job
    assert agent
    assert agent._data == (job,)
    job()
    assert not agent
    with pytest.raises(AttributeError):
        agent._data = ()


def test_an_agent_says_that_its_filter_alone_decides_while_it_has_no_chooser():
    agent = Agent()
    zope.interface.alsoProvides(agent, IMarked)
    for chooser in (choose_mul, choose_mul, None, None, choose_mul):
        agent.chooser = chooser
        assert IFilterAgent.providedBy(agent) == (chooser is None)
        assert IMarked.providedBy(agent)
        assert IAgent.providedBy(agent)
    assert not IFilterAgent.providedBy(Agent(chooser=choose_mul))


class IMarked(zope.interface.Interface):
    """A mark of an application."""


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("chooser", [None, choose_mul])
def test_an_agent_of_an_older_record_says_so_too(client, uuid_1, other, chooser, marked):
    agent = client.agent(uuid_1, chooser=chooser)
    del agent.__provides__
    if marked:
        zope.interface.directlyProvides(agent, IMarked)
    client.commit()
    other.begin()
    again = other.mine(agent)
    assert IMarked.providedBy(again) == marked
    assert not again._p_changed
    assert IFilterAgent.providedBy(again) == (chooser is None)


def test_agents_and_quotas_know_their_places_by_the_names_that_zope_asks_for(client, agent):
    client.queue.quotas.create("a")
    agents, quota, queue = agent.parent, client.queue.quotas["a"], client.queue
    assert (agent.__parent__, agent.__name__) == (agents, "main")
    assert (quota.__parent__, quota.__name__) == (queue.quotas, "a")
    assert (queue.__parent__, queue.__name__) == (client.root[KEY], "")
    assert agents.__parent__ is queue
    assert queue.dispatchers.__parent__ is queue.quotas.__parent__ is queue
    for located in (agent, quota, queue):
        for name in ("__parent__", "__name__"):
            with pytest.raises(AttributeError):
                setattr(located, name, "another")


@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(lambda agents: agents.__delitem__("main"), id="del"),
        pytest.param(lambda agents: agents.pop("main"), id="pop"),
        pytest.param(lambda agents: agents.popitem(), id="popitem"),
        pytest.param(lambda agents: agents.clear(), id="clear"),
    ],
)
def test_an_agent_is_removed_when_it_is_empty_and_has_no_name_then(client, agent, remove):
    agents, job = agent.parent, client.put(calls.nothing)
    agent.claimJob()
    with pytest.raises(ValueError, match="runs jobs"):
        remove(agents)
    assert agents["main"] is agent
    job()
    remove(agents)
    assert (agent.parent, agent.name) == (None, None)
    assert agent.queue is client.queue
    assert list(agents) == []
    assert agents.pop("main", None) is None
    for gone in (lambda: agents.pop("main"), agents.popitem):
        with pytest.raises(KeyError):
            gone()


def test_an_agent_has_a_filter_or_a_chooser_but_not_both():
    with pytest.raises(ValueError, match="filter or a chooser"):
        Agent(choose_mul, is_mul)
    agent = Agent(filter=is_mul)
    with pytest.raises(ValueError, match="set the filter to None first"):
        agent.chooser = choose_mul
    agent.filter = None
    agent.chooser = choose_mul
    with pytest.raises(ValueError, match="set the chooser to None first"):
        agent.filter = is_mul
    assert agent.filter is None
    agent.chooser = None
    agent.filter = is_mul
    assert agent.filter is is_mul


@pytest.mark.parametrize("size", [-1, 1.5, "3", None, True])
def test_a_size_is_an_integer_of_at_least_0(size):
    with pytest.raises(ValueError, match="at least 0"):
        Agent(size=size)


def test_settings_are_seen_by_other_connections(client, agent, other):
    agent.filter = is_mul
    agent.size = 7
    client.commit()
    other.begin()
    there = other.mine(agent)
    assert (there.name, there.filter, there.size) == ("main", is_mul, 7)
    assert there.queue == other.queue
    assert there.parent["main"] == there


# -- claiming


def test_a_claimed_job_is_assigned_to_the_agent(client, agent):
    job = client.put(calls.nothing)
    assert agent.claimJob() is job
    assert job.status == ASSIGNED
    assert job.parent is agent
    assert job.agent is agent
    assert job.queue is client.queue
    assert list(agent) == [job]
    assert job in agent
    assert len(agent) == 1
    assert agent[0] is job
    assert agent.index(job) == 0
    client.commit()
    assert agent.claimJob() is None


def test_an_agent_claims_as_many_jobs_as_its_size(client, agent):
    jobs = [client.put(calls.nothing) for _number in range(5)]
    assert [agent.claimJob() for _number in range(4)] == [*jobs[:3], None]
    agent.size = 4
    assert agent.claimJob() is jobs[3]
    agent.size = 1
    client.commit()
    jobs[0]()
    assert agent.claimJob() is None


def test_an_agent_of_size_0_is_paused(client, agent):
    agent.size = 0
    client.put(calls.nothing)
    assert agent.claimJob() is None
    agent.size = 1
    assert agent.claimJob() is not None


def test_a_filter_chooses_jobs(client, agent):
    client.put(calls.nothing)
    mul = client.put(Job(operator.mul, 5, 2))
    agent.filter = is_mul
    assert agent.claimJob() is mul
    assert agent.claimJob() is None


def test_a_chooser_chooses_jobs(client, agent):
    usual = client.put(calls.nothing)
    mul = client.put(Job(operator.mul, 5, 2))
    agent.chooser = choose_mul
    assert agent.claimJob() is mul
    assert agent.claimJob() is None
    agent.chooser = prefer_mul
    assert agent.claimJob() is usual


def test_a_chooser_that_was_refused_jobs_is_asked_about_them_again(client, agent):
    agent.chooser = choose_mul
    job = client.put(Job(operator.add, 5, 2))
    assert calls.run_next(agent) is None
    assert calls.run_next(agent) is None
    job.callable = operator.mul
    client.commit()
    assert calls.run_next(agent) is job


def test_choose_first_takes_the_first_job(client, agent):
    agent.chooser = chooseFirst
    jobs = [client.put(calls.nothing) for _number in range(2)]
    assert agent.claimJob() is jobs[0]


def test_a_filter_whose_code_is_gone_takes_no_job_and_is_logged(client, agent, caplog):
    agent.filter = is_mul
    agent._filter = "zc.async_.no_such_module:filter"
    client.put(Job(operator.mul, 5, 2))
    assert agent.claimJob() is None
    assert "no_such_module" in caplog.text
    assert len(client.queue) == 1


def test_a_filter_that_raises_takes_no_job_and_is_logged(client, agent, caplog):
    agent.filter = calls.fail
    client.put(calls.nothing)
    assert agent.claimJob() is None
    assert "change the filter of the agent" in caplog.text


class PrefersMul(Agent):
    """An agent with a policy of its own."""

    def _choose(self):
        return prefer_mul(self)


def test_a_subclass_can_choose_by_itself(client, uuid_1, other):
    agents = client.agent(uuid_1).parent
    agent = agents["mul"] = PrefersMul()
    usual = client.put(calls.nothing)
    mul = client.put(Job(operator.mul, 5, 2))
    assert agent.claimJob() is mul
    assert agent.claimJob() is usual
    assert agent.claimJob() is None
    client.commit()
    other.begin()
    assert list(other.mine(agent)) == [other.mine(mul), other.mine(usual)]


# -- dispatchers that do not work


def test_an_agent_of_a_deactivated_dispatcher_claims_nothing(client, agent):
    client.put(calls.nothing)
    agent.parent.deactivate()
    assert agent.claimJob() is None
    assert len(client.queue) == 1
    agent.parent.activate()
    assert agent.claimJob() is not None


def test_an_agent_of_a_dead_dispatcher_claims_nothing(client, agent, clock):
    client.put(calls.nothing)
    clock.watch(lambda: agent.parent.dead, 63)
    assert agent.parent.dead
    assert agent.claimJob() is None
    agent.queue.dispatchers.ping(agent.parent.UUID)
    assert agent.claimJob() is not None


def test_a_deactivation_at_the_same_time_makes_the_claim_conflict(client, agent, other):
    client.put(calls.nothing)
    other.begin()
    other.mine(agent).parent.deactivate()
    client.begin()
    assert agent.claimJob() is not None
    other.commit()
    with pytest.raises(ReadConflictError):
        client.commit()
    client.abort()
    assert agent.claimJob() is None
    assert len(client.queue) == 1
    assert len(agent) == 0


def test_a_claim_that_commits_first_makes_the_deactivation_conflict(client, agent, other):
    job = client.put(calls.nothing)
    other.begin()
    other.mine(agent).parent.deactivate()
    assert agent.claimJob() is job
    client.commit()
    with pytest.raises(ReadConflictError):
        other.commit()
    other.abort()
    other.mine(agent).parent.deactivate()
    other.commit()
    client.begin()
    assert job.status == PENDING


# -- the jobs of an agent


def test_a_completed_job_is_no_longer_with_the_agent(client, agent):
    job = client.put(calls.nothing)
    assert calls.run_next(agent) is job
    assert job.status == COMPLETED
    assert list(agent) == []
    assert len(agent) == 0
    assert job not in agent
    assert job.agent is agent


def test_bookkeeping_moves_completed_jobs_to_the_history(client, agent):
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    agent.claimJob(), agent.claimJob()
    client.commit()
    first()
    assert agent.keep_books() == [first]
    client.commit()
    assert list(agent.completed) == [first]
    assert list(agent.running.jobs) == [second]
    assert agent.keep_books() == []
    second()
    agent.keep_books()
    assert list(agent.completed) == [second, first]
    assert len(agent.completed) == 2


def test_a_job_that_waits_for_another_takes_no_place(client, agent):
    inner = client.add("inner", Job(calls.add, 1, 2))
    outer = client.put(Job(calls.identity, inner))
    agent.size = 1
    client.commit()
    assert calls.run_next(agent) is outer
    assert outer.status == ACTIVE
    assert outer.agent is agent
    assert len(agent) == 0
    assert outer not in agent
    another = client.put(calls.nothing)
    assert calls.run_next(agent) is another
    agent.keep_books()
    assert list(agent.completed) == [another]
    client.commit()
    inner()
    assert outer.status == COMPLETED
    assert outer.result == 3


def test_a_late_callback_that_nobody_performed_is_performed_by_the_bookkeeping(
    client, agent, other, happened
):
    """As after a crash between the completion of the job and the start of the callback."""
    job = client.put(calls.nothing)
    calls.run_next(agent)
    callback = Job(calls.happen)
    callback.set_up_as_callback(job, None, None)
    sidecar.need(job).callbacks += (callback,)
    client.commit()
    agent.keep_books()
    client.commit()
    assert calls.run_all(agent)
    assert happened == [(None,)]
    assert callback.status == COMPLETED


def test_remove_forgets_a_claimed_job(client, agent):
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    agent.claimJob(), agent.claimJob()
    agent.remove(first)
    assert list(agent) == [second]
    with pytest.raises(ValueError, match="not with this agent"):
        agent.remove(first)
    with pytest.raises(ValueError, match="not in list"):
        agent.index(first)
    with pytest.raises(IndexError):
        agent[1]


def test_a_job_put_back_leaves_the_agent(client, agent):
    job = client.put(calls.nothing)
    agent.claimJob()
    client.queue.putBack(job)
    assert list(agent) == []
    assert agent.running.jobs == ()
    assert client.queue[0] is job
    assert job.agent is None


def test_a_claim_does_not_write_the_settings(client, agent, other):
    client.put(calls.nothing)
    other.begin()
    other.mine(agent).size = 9
    agent.claimJob()
    client.commit()
    other.commit()
    client.begin()
    assert agent.size == 9
    assert len(agent) == 1


def test_two_claims_for_one_agent_at_the_same_time_conflict(client, agent, other):
    client.put(calls.nothing)
    client.put(calls.nothing)
    other.begin()
    client.begin()
    agent.claimJob()
    other.mine(agent).claimJob()
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()


def test_agents_in_no_database_claim_too(clock, uuid_1):
    queue = Queue()
    queue.dispatchers.register(uuid_1)
    queue.dispatchers[uuid_1].activate()
    agent = queue.dispatchers[uuid_1]["main"] = Agent(filter=is_mul)
    queue.put(calls.nothing)
    job = queue.put(Job(operator.mul, 5, 2))
    assert agent.claimJob() is job
    assert job() == 10
    queue.dispatchers[uuid_1].deactivate()
    assert list(agent.completed) == [job]


# -- the main agent


def test_the_handler_adds_a_main_agent_to_a_dispatcher_that_is_activated(client, uuid_1):
    zope.component.provideHandler(addMainAgentActivationHandler)
    dispatchers = client.queue.dispatchers
    dispatchers.register(uuid_1)
    dispatchers[uuid_1].activate()
    agent = dispatchers[uuid_1]["main"]
    assert isinstance(agent, Agent)
    assert (agent.name, agent.size) == ("main", 3)
    dispatchers[uuid_1].deactivate()
    dispatchers[uuid_1].activate()
    assert dispatchers[uuid_1]["main"] is agent


def test_the_agent_of_the_system_takes_only_the_jobs_of_the_system(client, agent):
    job = client.put(calls.nothing)
    system = agent.parent.system_agent
    assert isinstance(system, zc.async_.agent.SystemAgent)
    assert system.claimJob() is None
    resume = client.put(job.make_system_job(job.resumeCallbacks))
    assert agent.claimJob() is job
    assert agent.claimJob() is None
    assert system.claimJob() is resume
    assert job.status == ASSIGNED
    assert resume.status != NEW


# -- coroutines


async def run_beside():
    """A coroutine function."""


def test_coroutines_and_other_jobs_are_counted_apart(client, agent):
    agent.size, agent.coroutine_size = 1, 2
    coroutines = [client.put(run_beside) for _job in range(3)]
    others = [client.put(calls.nothing) for _job in range(2)]
    claimed = [agent.claimJob() for _job in range(4)]
    assert claimed == [*coroutines[:2], others[0], None]
    agent.forget(coroutines[0])
    assert agent.claimJob() is coroutines[2]
    agent.forget(others[0])
    assert agent.claimJob() is others[1]
    assert agent.claimJob() is None


def test_while_there_is_room_no_job_that_an_agent_has_is_loaded(client, agent):
    agent.coroutine_size = 50
    coroutines = [client.put(run_beside) for _job in range(40)]
    while agent.claimJob() is not None:
        pass
    other = client.put(calls.nothing)
    client.manager.commit()
    client.connection.cacheMinimize()
    assert agent.claimJob() is other
    assert {job._p_changed for job in coroutines} == {None}


def test_a_job_that_is_edited_after_it_was_claimed_confuses_no_count(client, agent):
    agent.size, agent.coroutine_size = 1, 1
    edited = client.put(run_beside)
    assert agent.claimJob() is edited
    edited.callable = calls.nothing
    agent.forget(edited)
    assert (agent.running.jobs, agent.running.coroutines) == ((), 0)
    edited = client.put(calls.nothing)
    assert agent.claimJob() is edited
    edited.callable = run_beside
    agent.forget(edited)
    assert (agent.running.jobs, agent.running.coroutines) == ((), 0)
