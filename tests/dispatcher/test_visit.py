"""What a poll does in a queue: it claims for agents, and keeps the books."""

import datetime

import pytest
import ZEO.Exceptions

import zc.async_.clock
from tests.dispatcher import choosers, work
from tests.dispatcher.looking import nothing_written
from tests.dispatcher.polls import complete, key
from zc.async_.agent import Agent
from zc.async_.dispatcher.plans import SYSTEM
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED, PENDING
from zc.async_.queue import claim
from zc.async_.testing import BEGINNING
from zc.twist import Failure

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")


# -- claims


def test_a_poll_claims_for_idle_workers(active, put, client):
    poller = active()
    jobs = [put(work.answer) for _ in range(5)]
    outcome = poller.poll(busy={("", "main"): 1})
    assert [claimed.job_id for claimed in outcome.jobs] == [key(job) for job in jobs[:2]]
    assert {claimed.agent for claimed in outcome.jobs} == {("", "main")}
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE] * 2 + [PENDING] * 3
    assert [claimed.token for claimed in outcome.jobs] == [job.claim_token for job in jobs[:2]]
    # What is told of the agent is as of before the claim.
    assert outcome.info[""]["main"]["len"] == 0
    assert outcome.again is None


def test_what_is_active_is_told(active, put):
    poller = active()
    job = put(work.answer)
    poller.poll()
    info = poller.poll(busy={("", "main"): 1}).info[""]["main"]
    assert (info["len"], info["active jobs"]) == (1, [key(job)])


def test_more_busy_workers_than_places_claim_nothing(active, put):
    poller = active(size=1)
    put(work.answer)
    assert poller.poll(busy={("", "main"): 2}).jobs == []


def test_a_job_tells_its_quotas(active, put, client):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    put(work.answer, quota_names=["one"])
    assert [claimed.quota_names for claimed in poller.poll().jobs] == [("one",)]


def test_a_poll_knows_when_the_next_job_is_due(active, put):
    poller = active()
    for minutes in (2, 1):
        put(work.answer, begin_after=BEGINNING + datetime.timedelta(minutes=minutes))
    due = zc.async_.clock.to_microseconds(BEGINNING + datetime.timedelta(minutes=1))
    assert poller.poll().next_time == due
    assert poller.poll().next_time == due


def test_a_poll_that_could_not_read_everything_wants_another_at_once(active, put, monkeypatch):
    monkeypatch.setattr(claim, "SWEEP_LIMIT", 2)
    poller = active()
    for _ in range(3):
        put(work.answer)
    outcome = poller.poll()
    assert (len(outcome.jobs), outcome.again) == (2, 0)
    outcome = poller.poll(busy={("", "main"): 2})
    assert (len(outcome.jobs), outcome.again) == (1, None)


@pytest.mark.parametrize(
    "settings", [{"size": 0}, {"filter": choosers.refuse}], ids=["paused", "refusing"]
)
def test_jobs_of_the_system_need_no_agent_that_takes_them(active, put, client, settings):
    poller = active(**settings)
    job = put(work.answer)
    client.queue.put(job.make_system_job(job.handleInterrupt))
    client.manager.commit()
    assert [claimed.agent for claimed in poller.poll().jobs] == [("", SYSTEM)]
    client.manager.begin()
    assert job.status == PENDING


# -- agents that fail


@pytest.mark.parametrize("error", [ValueError("no choice"), ZEO.Exceptions.ClientDisconnected()])
def test_an_agent_whose_chooser_raises_is_left_out_and_reported(active, put, client, caplog, error):
    poller = active(chooser=choosers.choose_and_raise)
    client.manager.begin()
    client.queue.dispatchers[poller.uuid]["other"] = Agent(size=1)
    client.manager.commit()
    jobs = [put(work.answer) for _ in range(2)]
    choosers.errors.append(error)
    outcome = poller.poll()
    assert [claimed.agent for claimed in outcome.jobs] == [("", "other")]
    failure = outcome.info[""]["main"]["error"]
    assert isinstance(failure, Failure)
    assert failure.type is type(error)
    assert outcome.info[""]["other"]["error"] is None
    assert "agent 'main' could not claim a job" in caplog.text
    # The next poll gives it another chance.
    outcome = poller.poll(busy={("", "other"): 1})
    assert [claimed.agent for claimed in outcome.jobs] == [("", "main")]
    assert outcome.info[""]["main"]["error"] is None
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE, ACTIVE]


def test_what_an_agent_claimed_before_it_failed_is_left_in_the_queue(active, put, client):
    poller = active(chooser=claim_and_raise)
    job = put(work.answer)
    assert poller.poll().jobs == []
    client.manager.begin()
    assert job.status == PENDING
    assert list(client.queue) == [job]


def claim_and_raise(agent):
    agent.queue.claim()
    raise ValueError("after the claim")


# -- lost jobs


def test_a_lost_job_is_handed_back_and_asks_its_policy(active, put, client):
    poller = active()
    job = put(work.answer)
    (claimed,) = poller.poll().jobs
    (resumed,) = poller.poll(lost=[(claimed.job_id, claimed.token)]).jobs
    assert resumed.agent == ("", SYSTEM)
    client.manager.begin()
    assert len(client.queue.dispatchers[poller.uuid]["main"]) == 0
    job.handleInterrupt()
    client.manager.commit()
    assert job.status == PENDING
    assert job.getRetryPolicy().data["interruptions"] == 1
    (again,) = poller.poll().jobs
    assert again.job_id == claimed.job_id
    assert again.token > claimed.token


def test_a_lost_job_that_has_a_new_token_is_somebody_s(active, put, client):
    poller = active()
    job = put(work.answer)
    (claimed,) = poller.poll().jobs
    outcome = poller.poll(lost=[(claimed.job_id, claimed.token - 1)])
    assert outcome.again is None
    client.manager.begin()
    assert list(client.queue.dispatchers[poller.uuid]["main"]) == [job]


def test_a_job_that_was_lost_in_its_callbacks_goes_on_with_them(active, put, client):
    poller = active()
    job = put(work.answer)
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    (claimed,) = poller.poll().jobs
    complete(client, job)
    assert job.status == CALLBACKS
    (resumed,) = poller.poll(lost=[(claimed.job_id, claimed.token)]).jobs
    client.manager.begin()
    client.connection.get(resumed.job_id[0]).callable()
    assert job.status == COMPLETED
    assert client.root["log"].entries == ((42,),)


# -- bookkeeping


def test_when_all_workers_are_idle_the_books_are_written(active, put, agents, client):
    poller = active()
    job = put(work.answer)
    poller.poll()
    complete(client, job)
    poller.poll()
    main = agents(poller)["main"]
    assert main.running.jobs == ()
    assert list(main.completed) == [job]


def test_while_workers_are_busy_the_books_wait(active, put, agents, client, database):
    poller = active()
    job = put(work.answer)
    poller.poll()
    complete(client, job)
    with nothing_written(database):
        poller.poll(busy={("", "main"): 1})


def test_with_a_claim_the_books_are_written(active, put, agents, client):
    poller = active()
    job = put(work.answer)
    poller.poll()
    complete(client, job)
    put(work.answer)
    assert len(poller.poll(busy={("", "main"): 1}).jobs) == 1
    assert list(agents(poller)["main"].completed) == [job]


def test_when_a_place_in_a_quota_is_freed_the_books_are_written(active, put, agents, client):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    job = put(work.answer, quota_names=["one"])
    poller.poll()
    complete(client, job)
    poller.poll(busy={("", "main"): 1})
    assert list(agents(poller)["main"].completed) == [job]
    assert client.queue.quotas["one"].members.jobs == ()


def test_a_quota_that_was_removed_frees_no_place(active, put, client, database):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    job = put(work.answer, quota_names=["one"])
    poller.poll()
    client.manager.begin()
    client.queue.quotas.remove("one")
    client.manager.commit()
    complete(client, job)
    with nothing_written(database):
        poller.poll(busy={("", "main"): 1})


def test_jobs_that_others_completed_come_into_the_history(active, put, agents, client):
    poller = active()
    jobs = [put(work.answer) for _ in range(2)]
    poller.poll()
    for job in jobs:
        complete(client, job)
    ids = {("", "main"): [key(jobs[0])], ("", SYSTEM): [key(jobs[1])], ("", "gone"): [key(jobs[0])]}
    agents(poller)["main"].running.jobs = ()
    client.manager.commit()
    poller.poll(busy={("", "main"): 1}, completed=ids)
    assert list(agents(poller)["main"].completed) == jobs[:1]
    assert list(agents(poller).system_agent.completed) == jobs[1:]


def test_the_history_of_another_queue_is_not_touched(active, put, agents, client):
    poller = active()
    job = put(work.answer)
    poller.poll(busy={("", "main"): 3}, completed={("other", "main"): [key(job)]})
    assert list(agents(poller)["main"].completed) == []


# -- jobs that somebody else got


def test_a_poll_tells_of_held_jobs_that_are_not_its_own_any_more(active, client, put):
    poller = active()
    done, taken, running = [put(work.answer) for _number in range(3)]
    assert len(poller.poll().jobs) == 3
    complete(client, done)
    # Its books are kept: no agent has it any more.
    poller.poll()
    client.manager.begin()
    held = [(key(job), job.claim_token) for job in (done, taken, running)]
    taken.queue.putBack(taken)
    client.queue.claim()
    client.manager.commit()
    packed = (b"\0" * 7 + b"\xff", "unnamed"), 1
    outcome = poller.poll(held_of={"": [*held, packed]})
    assert outcome.reassigned == {held[1], packed}
    assert poller.poll(held_of={"another": [*held, packed]}).reassigned == set()
