"""Filters and choosers that raise, or answer nonsense."""

import operator

import pytest

from tests.dispatcher import work
from zc.async_.agent import Agent
from zc.async_.interfaces import COMPLETED, KEY, PENDING
from zc.async_.job import Job
from zc.async_.queue import Queue


class NoBool:
    """Neither true nor false."""

    def __bool__(self):
        raise ZeroDivisionError("neither")


class Unhashable(list):
    """An answer that is true."""


def raise_error(job):
    raise ValueError("no opinion")


def recurse(job):
    return recurse(job)


def answer_no_bool(job):
    return NoBool()


def want_other_arguments(job, and_more):
    return True


def change_job(job):
    """Filters are to look only."""
    job.args.append("filtered")
    return True


def remove_job(job):
    """The job that it is asked about is taken away."""
    job.queue.remove(job)
    return True


def put_another(job):
    """Puts a job while jobs are claimed."""
    if job.callable is work.answer:
        job.queue.put(operator.neg and Job(operator.neg, 1))
    return True


def set_agent(client, agents_of, dispatcher, **settings):
    """Commit what was done, and change the agent."""
    client.manager.commit()
    agent = agents_of(dispatcher)["main"]
    for name, value in settings.items():
        setattr(agent, name, value)
    client.manager.commit()


# -- filters


@pytest.mark.parametrize("filter", [raise_error, recurse, answer_no_bool, want_other_arguments])
def test_a_filter_that_raises_takes_no_job_says_so_and_others_may_take_it(
    dispatcher, client, agents_of, put, reactor, completed, goes_on, errors_told, filter
):
    set_agent(client, agents_of, dispatcher, filter=filter)
    job = put(work.answer)
    reactor.time_flies(11)
    client.manager.begin()
    assert job.status == PENDING
    assert len(client.queue) == 1
    assert filter.__name__ in errors_told()
    assert repr(job) in errors_told()
    assert "change the filter of the agent" in errors_told()
    agents_of(dispatcher)["other"] = Agent(size=1)
    client.manager.commit()
    completed(job)
    goes_on()


@pytest.mark.parametrize("filter", [operator.truth, Unhashable, repr, id])
def test_whatever_a_filter_answers_is_taken_as_yes_or_no(
    dispatcher, client, agents_of, put, reactor, filter, completed
):
    set_agent(client, agents_of, dispatcher, filter=filter)
    job = put(work.answer)
    if filter is Unhashable:
        # An iterable of nothing: no.
        reactor.time_flies(6)
        client.manager.begin()
        assert job.status == PENDING
        return
    completed(job)


def test_a_filter_whose_code_is_gone_takes_no_job_and_says_so(
    dispatcher, client, agents_of, put, reactor, completed, goes_on, errors_told
):
    agent = agents_of(dispatcher)["main"]
    agent._filter = "tests.faults.no_such_module:accept"
    client.manager.commit()
    job = put(work.answer)
    reactor.time_flies(6)
    client.manager.begin()
    assert job.status == PENDING
    assert "tests.faults.no_such_module.accept" in errors_told()
    set_agent(client, agents_of, dispatcher, filter=None)
    completed(job)
    goes_on()


def test_a_filter_that_puts_jobs_loses_none(
    dispatcher, client, agents_of, put, completed, goes_on, settle
):
    set_agent(client, agents_of, dispatcher, filter=put_another)
    completed(put(work.answer))
    set_agent(client, agents_of, dispatcher, filter=None)
    goes_on()


def test_a_filter_that_removes_the_job_keeps_it_from_running(
    dispatcher, client, agents_of, put, reactor, soon
):
    set_agent(client, agents_of, dispatcher, filter=remove_job)
    put(work.answer)
    reactor.time_flies(6)
    set_agent(client, agents_of, dispatcher, filter=None)
    soon(put(work.thread_id))
    reactor.time_flies(11)
    client.manager.begin()
    assert work.happened == []
    assert len(client.queue) == 0


# -- choosers


def choose_text(agent):
    return "a job" if agent.queue else None


def choose_number(agent):
    return 42 if agent.queue else None


def choose_class(agent):
    return Job if agent.queue else None


def choose_unclaimed(agent):
    """Looks at a job, and forgets to claim it."""
    return next(iter(agent.queue), None)


def choose_unstored(agent):
    """Makes a job that nobody has put."""
    return Job(work.answer) if agent.queue else None


def choose_completed(agent):
    """A job that has completed long ago."""
    return agent._p_jar.root()["old"] if agent.queue else None


def claim_of_other_queue(agent):
    return agent._p_jar.root()[KEY]["other"].claim()


def raise_after_claim(agent):
    if agent.queue.claim() is not None:
        raise ValueError("after the claim")


def claim_all(agent):
    """Claims more than it returns."""
    jobs = [agent.queue.claim() for _ in range(3)]
    return jobs[0]


@pytest.mark.parametrize("chooser", [choose_text, choose_number, choose_class])
def test_a_chooser_that_answers_with_no_job_is_reported_and_others_work(
    dispatcher, client, agents_of, put, completed, reactor, goes_on, errors_told, chooser
):
    agents_of(dispatcher)["other"] = Agent(size=1)
    set_agent(client, agents_of, dispatcher, chooser=chooser)
    job = put(work.answer)
    completed(job)
    assert "agent 'main' could not claim a job" in errors_told()
    set_agent(client, agents_of, dispatcher, chooser=None)
    goes_on()


def test_what_a_chooser_claimed_before_it_raised_stays_in_the_queue(
    dispatcher, client, agents_of, put, reactor, completed, goes_on
):
    set_agent(client, agents_of, dispatcher, chooser=raise_after_claim)
    job = put(work.answer)
    reactor.time_flies(6)
    client.manager.begin()
    assert list(client.queue) == [job]
    set_agent(client, agents_of, dispatcher, chooser=None)
    completed(job)
    goes_on()


def test_a_job_that_a_chooser_takes_from_another_queue_runs(
    dispatcher, client, agents_of, reactor, completed, goes_on
):
    client.root[KEY]["other"] = Queue()
    client.manager.commit()
    job = client.root[KEY]["other"].put(work.answer)
    set_agent(client, agents_of, dispatcher, chooser=claim_of_other_queue)
    completed(job)
    set_agent(client, agents_of, dispatcher, chooser=None)
    client.manager.begin()
    assert len(client.root[KEY]["other"]) == 0
    goes_on()


def test_a_job_that_a_chooser_has_not_claimed_is_refused_or_leaves_the_queue_intact(
    dispatcher, client, agents_of, put, reactor, soon
):
    set_agent(client, agents_of, dispatcher, chooser=choose_unclaimed)
    job = put(work.answer)
    reactor.time_flies(6)
    set_agent(client, agents_of, dispatcher, chooser=None)
    soon(job, put(work.answer))
    reactor.time_flies(11)
    client.manager.begin()
    assert len(client.queue) == 0


def test_a_chooser_that_makes_a_job_of_its_own_does_not_keep_others_from_working(
    dispatcher, client, agents_of, put, reactor, soon
):
    agents_of(dispatcher)["other"] = Agent(size=1)
    set_agent(client, agents_of, dispatcher, chooser=choose_unstored)
    soon(put(work.answer))


def test_a_chooser_that_answers_with_a_completed_job_does_not_have_it_run_again(
    dispatcher, client, agents_of, put, completed, soon
):
    old = put(work.answer)
    completed(old)
    client.root["old"] = old
    client.manager.commit()
    agents_of(dispatcher)["other"] = Agent(size=1)
    set_agent(client, agents_of, dispatcher, chooser=choose_completed)
    soon(put(work.thread_id))
    assert work.happened == ["answer"]
    client.manager.begin()
    assert old.status == COMPLETED


def test_jobs_that_a_chooser_claims_and_does_not_return_are_not_lost(
    dispatcher, client, agents_of, reactor, soon
):
    set_agent(client, agents_of, dispatcher, chooser=claim_all)
    jobs = [client.queue.put(work.answer) for _ in range(3)]
    client.manager.commit()
    reactor.time_flies(6)
    set_agent(client, agents_of, dispatcher, chooser=None)
    soon(*jobs)
