"""Polls that meet a conflict, or a database that is out of reach."""

import ZEO.Exceptions
from ZODB.POSException import ConflictError

import zc.async_.testing
from tests.dispatcher import work
from tests.participants import Participant
from zc.async_.interfaces import COMPLETED, NEW


def claim_and_let_act(agent):
    """A chooser that lets somebody act between the claim and its commit."""
    job = agent.queue.claim()
    if job is not None and work.hooks:
        work.hooks.pop()(agent)
    return job


def let_act_and_claim(agent):
    """A chooser that lets somebody act before it reads the queue."""
    if work.hooks:
        work.hooks.pop()(agent)
    return agent.queue.claim()


def break_commit_with(error):
    def act(agent):
        agent._p_jar.transaction_manager.get().join(Participant(error))

    return act


def set_chooser(client, agents_of, dispatcher, chooser):
    agents_of(dispatcher)["main"].chooser = chooser
    client.manager.commit()


def test_a_job_that_is_pulled_while_it_is_claimed_is_not_run_and_polls_go_on(
    dispatcher, client, connect, agents_of, put, reactor, completed, settle, goes_on
):
    set_chooser(client, agents_of, dispatcher, claim_and_let_act)
    other = connect()
    pulled = []

    def pull(agent):
        other.manager.begin()
        pulled.append(other.queue.pull())
        other.manager.commit()

    work.hooks.append(pull)
    job = put(work.answer)
    settle(lambda: pulled)
    reactor.time_flies(6)
    client.manager.begin()
    assert job.status == NEW
    assert work.happened == []
    assert len(client.queue) == 0
    set_chooser(client, agents_of, dispatcher, None)
    assert zc.async_.testing.get_poll(dispatcher)[""]["main"]["error"] is None

    client.manager.begin()
    assert client.queue.put(job) is job
    client.manager.commit()
    completed(job)
    assert job.result == 42
    goes_on()


def test_a_conflict_at_the_commit_of_a_poll_is_tried_over(
    dispatcher, client, agents_of, put, completed, goes_on
):
    set_chooser(client, agents_of, dispatcher, claim_and_let_act)
    work.hooks.extend(break_commit_with(ConflictError()) for _ in range(20))
    job = put(work.answer)
    zc.async_.testing.wait_for_result(job)
    assert work.hooks == []
    assert work.happened == ["answer"]
    goes_on()


def test_a_database_that_is_lost_at_the_commit_of_a_poll_is_waited_for(
    dispatcher, client, agents_of, put, reactor, completed, settle, goes_on, caplog
):
    set_chooser(client, agents_of, dispatcher, claim_and_let_act)
    disconnected = ZEO.Exceptions.ClientDisconnected()
    work.hooks.extend(break_commit_with(disconnected) for _ in range(3))
    job = put(work.answer)
    settle(lambda: len(work.hooks) == 2)
    assert work.happened == []
    reactor.time_flies(10)
    completed(job)
    assert work.hooks == []
    assert job.result == 42
    assert work.happened == ["answer"]
    waits = [r.getMessage() for r in caplog.records if "out of reach" in r.getMessage()]
    assert [wait.split("next try in ")[1].split(":")[0] for wait in waits] == ["1 s", "2 s", "3 s"]
    goes_on()


def test_a_database_that_cannot_be_read_during_a_poll_is_reported_and_waited_for(
    dispatcher, client, agents_of, put, reactor, completed, settle, goes_on
):
    set_chooser(client, agents_of, dispatcher, let_act_and_claim)
    work.hooks.append(raise_disconnected)
    job = put(work.answer)
    settle(lambda: not work.hooks)
    reactor.time_flies(5)
    completed(job)
    assert (job.status, job.result) == (COMPLETED, 42)
    errors = [poll[""]["main"]["error"] for poll in dispatcher.polls]
    (error,) = [error for error in errors if error is not None]
    assert error.check(ZEO.Exceptions.ClientDisconnected)
    goes_on()


def raise_disconnected(agent):
    raise ZEO.Exceptions.ClientDisconnected("no database")
