"""Filters of agents, and what they refused."""

import pytest

import zc.async_.queue.claim
from tests.unit import calls
from tests.unit.queue.claims import accept, refuse
from zc.async_.agent import Agent
from zc.async_.interfaces import NEW
from zc.async_.job import Job


class Counting:
    """A filter that counts how often it is asked. Global, so that it can be stored."""

    def __init__(self, accepted=()):
        Counting.asked = []
        Counting.accepted = set(accepted)


def counting(job):
    Counting.asked.append(job.args[0])
    return job.args[0] in Counting.accepted


def counting_too(job):
    return counting(job)


@pytest.fixture
def refusing(client, uuid_1):
    """An agent with the filter `counting`."""
    Counting()
    return client.agent(uuid_1, filter=counting)


def put_numbers(client, *numbers):
    jobs = [client.queue.put(Job(calls.echo, number)) for number in numbers]
    client.commit()
    return jobs


def test_a_filter_is_asked_once_about_a_job(client, refusing):
    put_numbers(client, *range(5))
    for _time in range(4):
        assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2, 3, 4]
    put_numbers(client, 5)
    assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2, 3, 4, 5]
    assert len(client.queue) == 6


def test_what_one_filter_refuses_others_may_take_in_order(client, refusing, uuid_2):
    jobs = put_numbers(client, *range(5))
    assert calls.run_next(refusing) is None
    assert client.claim() is jobs[0]
    elsewhere = client.agent(uuid_2)
    assert calls.run_next(elsewhere) is jobs[1]
    client.commit()
    assert [calls.run_next(elsewhere) for _number in range(4)] == [*jobs[2:], None]


def test_jobs_that_are_refused_do_not_hold_back_those_that_are_accepted(client, refusing):
    Counting.accepted = {3, 7}
    jobs = put_numbers(client, *range(9))
    assert calls.run_next(refusing) is jobs[3]
    assert calls.run_next(refusing) is jobs[7]
    assert calls.run_next(refusing) is None
    assert Counting.asked == list(range(9))


def test_an_edited_job_is_offered_again(client, refusing):
    jobs = put_numbers(client, *range(3))
    assert calls.run_next(refusing) is None
    Counting.accepted = {10}
    jobs[1].args[0] = 10
    client.commit()
    Counting.asked.clear()
    assert calls.run_next(refusing) is jobs[1]
    assert Counting.asked == [10]


def test_all_jobs_are_offered_to_a_new_filter(client, refusing):
    put_numbers(client, *range(3))
    assert calls.run_next(refusing) is None
    Counting.asked.clear()
    refusing.filter = counting_too
    client.commit()
    assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2]
    assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2]


def test_jobs_put_back_are_offered_again(client, refusing):
    (job,) = put_numbers(client, 1)
    assert calls.run_next(refusing) is None
    client.claim()
    client.queue.putBack(job)
    Counting.accepted = {1}
    client.commit()
    assert calls.run_next(refusing) is job


def test_the_refusals_of_one_agent_are_not_those_of_another(client, refusing, uuid_2):
    (job,) = put_numbers(client, 1)
    second = client.agent(uuid_2, filter=counting)
    assert calls.run_next(refusing) is None
    assert calls.run_next(second) is None
    assert Counting.asked == [1, 1]
    third = client.agent(uuid_2, name="third", filter=accept)
    assert calls.run_next(third) is job


def test_the_refusals_of_agents_that_are_new_in_the_transaction_are_apart(client, uuid_1):
    agents = client.agent(uuid_1).parent
    job = client.put(calls.nothing)
    refusing = agents["refusing"] = Agent(filter=refuse)
    accepting = agents["accepting"] = Agent(filter=accept)
    assert refusing.claimJob() is None
    assert accepting.claimJob() is job


def test_a_claim_for_several_agents_offers_each_the_jobs_the_others_refused(client, uuid_1):
    Counting({1, 2})
    first = client.agent(uuid_1, name="first", filter=counting)
    second = client.agent(uuid_1, name="second")
    jobs = put_numbers(client, *range(4))
    with client.queue.claiming():
        assert [first.claimJob(), first.claimJob()] == jobs[1:3]
        assert first.claimJob() is None
        assert [second.claimJob(), second.claimJob()] == [jobs[0], jobs[3]]
        assert second.claimJob() is None
    client.commit()
    assert len(client.queue) == 0
    assert list(client.queue) == []


def test_many_refused_jobs_cost_each_claim_a_bounded_number_of_questions(client, refusing):
    count = 5000
    put_numbers(client, *range(count))
    most = zc.async_.queue.claim.FILTER_LIMIT
    claims = 0
    while len(Counting.asked) < count:
        before = len(Counting.asked)
        calls.run_next(refusing)
        assert len(Counting.asked) - before <= most
        claims += 1
        assert claims <= count // zc.async_.queue.claim.SWEEP_LIMIT + 1
    assert len(set(Counting.asked)) == count
    Counting.accepted = {count}
    (job,) = put_numbers(client, count)
    Counting.asked.clear()
    assert calls.run_next(refusing) is job
    assert calls.run_next(refusing) is None
    assert Counting.asked == [count]
    assert len(client.queue) == count


def test_a_changed_filter_is_asked_in_slices(client, refusing, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "FILTER_LIMIT", 10)
    put_numbers(client, *range(25))
    for asked in (10, 20, 25, 25):
        assert calls.run_next(refusing) is None
        assert len(Counting.asked) == asked
    refusing.filter = counting_too
    client.commit()
    Counting.asked.clear()
    Counting.accepted = {24}
    assert calls.run_next(refusing) is None
    assert calls.run_next(refusing) is None
    assert calls.run_next(refusing).args[0] == 24
    assert len(Counting.asked) == 25


def test_a_slice_that_was_cut_off_says_that_there_is_more(client, refusing, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "FILTER_LIMIT", 2)
    put_numbers(client, *range(3))
    with client.queue.claiming() as claim:
        assert refusing.claimJob() is None
    assert claim.more
    client.commit()
    with client.queue.claiming() as claim:
        assert refusing.claimJob() is None
    assert not claim.more


def test_a_filter_and_quotas_hold_together(client, refusing):
    client.queue.quotas.create("a")
    Counting.accepted = {1, 2}
    jobs = [Job(calls.echo, number) for number in range(4)]
    for job in jobs:
        job.quota_names = ["a"]
        client.put(job)
    client.begin()
    with client.queue.claiming():
        assert refusing.claimJob() is jobs[1]
        assert refusing.claimJob() is None
    client.commit()
    jobs[1]()
    assert calls.run_next(refusing) is jobs[2]
    assert Counting.asked == [0, 1, 2]


def test_jobs_of_the_system_are_offered_to_no_filter_and_no_usual_claim(client, refusing):
    job = Job(calls.echo, 1)
    system = client.put(job.make_system_job(job.handleInterrupt))
    assert client.claim() is None
    assert calls.run_next(refusing) is None
    assert Counting.asked == []
    assert calls.run_next(refusing.parent.system_agent) is system


def test_a_chooser_that_looks_at_the_queue_sees_all_waiting_jobs(client, uuid_1, settle, clock):
    agent = client.agent(uuid_1)
    jobs = put_numbers(client, *range(3))
    jobs.append(client.put(Job(calls.echo, 3), clock.after(seconds=1)))
    settle()
    clock.advance(seconds=2)
    with client.queue.claiming():
        assert agent.claimJob() is jobs[0]
        assert len(client.queue) == 3
        assert list(client.queue) == jobs[1:]
        assert agent.claimJob() is jobs[1]
        client.queue.remove(jobs[2])
        assert list(client.queue) == jobs[3:]
        assert agent.claimJob() is jobs[3]
    client.commit()
    assert len(client.queue) == 0
    assert jobs[2].status == NEW
