"""What is promised, where no other test of a single module proves it: see each comment."""

import contextlib
import datetime
import uuid

import pytest
import zope.component

import zc.async_.configure
import zc.async_.testing
from tests import storages
from tests.dispatcher import work
from tests.races import parties
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import (
    ACTIVE,
    CALLBACKS,
    COMPLETED,
    PENDING,
    AbortedError,
    ReassignedError,
)
from zc.async_.job import Job, NeverRetry, parallel
from zc.async_.subscribers import AgentInstaller
from zc.async_.testing import BEGINNING, set_now, virtualtime, wait_for_result

#: Later than any ping keeps a dispatcher alive.
LATER = BEGINNING + datetime.timedelta(hours=1)


@pytest.fixture(autouse=True)
def pinned():
    """Time stands still, and what jobs did before is forgotten."""
    zc.async_.configure.base()
    set_now(BEGINNING)
    work.reset()
    yield
    work.gate.set()


@pytest.fixture(params=storages.KINDS)
def database(request, tmp_path):
    """A database with an empty queue, a counter and a log."""
    with storages.opened(request.param, request, tmp_path) as database:
        parties.make_queue(database)
        work.add_records(database)
        yield database


@pytest.fixture
def client(database):
    """Puts, and looks."""
    with contextlib.closing(parties.Client(database)) as client:
        yield client


@pytest.fixture
def counter(client):
    return client.root["counter"]


@pytest.fixture
def put(client):
    """Puts a job, and commits."""

    def put(*args, **options):
        job = client.queue.put(Job(*args), **options)
        client.manager.commit()
        return job

    return put


@pytest.fixture
def make_party(database):
    """Makes dispatchers whose every step is made by hand."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(parties.Dispatcher(database)))


@pytest.fixture
def party(make_party):
    return make_party()


@pytest.fixture
def sibling(make_party):
    return make_party()


@pytest.fixture
def start(database):
    """Starts dispatchers with threads, on one virtual reactor."""
    reactor = zc.async_.testing.Reactor()
    zope.component.provideHandler(AgentInstaller("main", size=3))
    started = []

    def start():
        if not reactor.running:
            reactor.start()
        started.append(Dispatcher(database, reactor, uuid=uuid.uuid4()))
        started[-1].activate()
        reactor.time_flies(0)
        return started[-1]

    yield start
    work.gate.set()
    for dispatcher in started:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


def die(party, sibling):
    """The process of a party is gone, and a sibling finds out."""
    for _second in range(63):
        virtualtime.let_pass(1_000_000)
        sibling.manager.begin()
        sibling.queue.dispatchers.ping(sibling.uuid)
    assert not party.agents(sibling).activated
    sibling.manager.commit()


def claim_and_die(party, client, job):
    """A party claims; where its job lets others act, its process ends; return the status then."""
    (claimed,) = party.claim()
    seen = []

    def end_process():
        client.manager.begin()
        seen.append(job.status)
        raise SystemExit

    work.hooks.append(end_process)
    with pytest.raises(SystemExit):
        party.run(claimed)
    return seen[0]


def replace(party, sibling):
    """A party is taken for dead, and a sibling does its work."""
    die(party, sibling)
    sibling.work()


def claim_in_vain(party, sibling):
    """A party claims, and is taken for dead where its job lets others act: it commits no more."""
    (claimed,) = party.claim()
    work.hooks.append(lambda: replace(party, sibling))
    with pytest.raises(ReassignedError):
        party.run(claimed)


# -- how often


# A transactional job: its changes, its result and its completion are one commit, so they come once
# however often it has to be tried.


def test_a_job_whose_process_is_taken_for_dead_before_the_commit_takes_effect_once(
    put, client, counter, party, sibling
):
    job = put(counter.increase_with_hook)
    claim_in_vain(party, sibling)
    client.manager.begin()
    assert (job.status, counter.count) == (COMPLETED, 1)
    assert work.happened == ["increase", "increase"]


def test_a_job_that_ends_before_somebody_asks_what_is_to_become_of_it_runs_once(
    put, client, counter, party, sibling
):
    job = put(counter.increase_with_hook)
    (claimed,) = party.claim()
    work.hooks.append(lambda: die(party, sibling))
    party.run(claimed)
    sibling.work()
    client.manager.begin()
    assert (job.status, counter.count) == (COMPLETED, 1)
    assert work.happened == ["increase"]


# Under `NeverRetry`: at most once, the effects outside the database included.


def test_a_job_that_is_never_retried_does_not_run_again_after_a_crash(
    put, client, counter, party, sibling
):
    job = put(counter.increase_with_hook, retry_policy_factory=NeverRetry)
    claim_in_vain(party, sibling)
    client.manager.begin()
    assert (job.status, counter.count) == (COMPLETED, 0)
    assert job.result.type is AbortedError
    assert work.happened == ["increase"]


# A job that commits by itself: what was committed before a crash stays, the rest runs again.


def test_what_a_job_committed_itself_before_a_crash_stays_and_it_runs_again(
    put, client, counter, party, sibling
):
    work.gate.set()
    job = put(commit_and_count)
    client.root["steps"] = 0
    client.manager.commit()
    claim_in_vain(party, sibling)
    client.manager.begin()
    assert job.status == COMPLETED
    assert client.root["steps"] == 3


def commit_and_count():
    """A step, a commit of its own, another party that acts, and a second step."""
    job = zc.async_.local.getJob()
    root = job._p_jar.root()
    root["steps"] += 1
    job._p_jar.transaction_manager.commit()
    work.call_hook()
    root["steps"] += 1


# Each of its commits is fenced: only one worker can be making them.


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_commit_that_a_job_makes_itself_is_fenced(put, client, party, sibling, number):
    job = put(commit_three_times, number)
    client.root["steps"] = 0
    client.manager.commit()
    claim_in_vain(party, sibling)
    client.manager.begin()
    assert (job.status, client.root["steps"]) == (COMPLETED, number - 1 + 3)


def commit_three_times(number):
    """Before the commit of that number another party acts."""
    job = zc.async_.local.getJob()
    root = job._p_jar.root()
    for step in (1, 2, 3):
        root["steps"] += 1
        if step == number:
            work.call_hook()
        job._p_jar.transaction_manager.commit()


# Callbacks: exactly once each in the database, in order of adding, before the job is COMPLETED.


def test_two_dispatchers_that_resume_the_callbacks_of_a_job_perform_each_once(
    put, client, counter, party, sibling
):
    job = put(work.answer)
    party.work()
    client.manager.begin()
    # Two late callbacks, and so two jobs of the system that perform whatever is left.
    for callback in (counter.increase_with_hook, client.root["log"].note):
        job.addCallback(callback)
        client.manager.commit()
    first, second = party.claim()
    work.hooks.append(lambda: sibling.run(second))
    party.run(first)
    client.manager.begin()
    assert [callback.status for callback in job.callbacks] == [COMPLETED] * 2
    assert counter.count == 1
    assert client.root["log"].entries == ((42,),)


def test_a_callback_whose_process_dies_is_performed_by_another_and_then_the_job_is_completed(
    put, client, counter, party, sibling
):
    job = client.queue.put(work.answer)
    for callback in (counter.increase_with_hook, client.root["log"].note):
        job.addCallback(callback)
    client.manager.commit()
    assert claim_and_die(party, client, job) == CALLBACKS
    replace(party, sibling)
    client.manager.begin()
    assert job.status == COMPLETED
    assert counter.count == 1
    assert client.root["log"].entries == ((42,),)


def test_a_callback_that_committed_itself_before_a_crash_runs_again(put, client, party, sibling):
    client.root["steps"] = 0
    job = client.queue.put(work.answer)
    callback = job.addCallback(commit_in_callback)
    client.manager.commit()
    assert claim_and_die(party, client, job) == CALLBACKS
    replace(party, sibling)
    client.manager.begin()
    assert callback.status == COMPLETED


def commit_in_callback(result):
    commit_and_count()


def do_nothing(result):
    pass


def test_a_callback_that_must_not_run_twice_does_not_run_after_a_crash(
    put, client, counter, party, sibling
):
    """Its start is committed before, and so known to whoever comes after the crash."""
    job = client.queue.put(work.answer)
    callback = job.addCallback(counter.increase_with_hook, retry_policy_factory=NeverRetry)
    behind = job.addCallback(client.root["log"].note)
    client.manager.commit()
    assert claim_and_die(party, client, callback) == ACTIVE
    replace(party, sibling)
    client.manager.begin()
    assert callback.result.type is AbortedError
    assert (behind.status, job.status) == (COMPLETED, COMPLETED)
    assert counter.count == 0
    assert client.root["log"].entries == ((42,),)


def test_a_callback_that_must_not_run_twice_runs_once(put, client, counter, party):
    job = client.queue.put(work.answer)
    callback = job.addCallback(counter.increase_with_hook, retry_policy_factory=NeverRetry)
    client.manager.commit()
    party.work()
    client.manager.begin()
    assert (callback.status, callback.result, job.status) == (COMPLETED, 1, COMPLETED)
    assert counter.count == 1


@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_a_callback_whose_worker_was_taken_for_dead_has_no_effect_there(
    put, client, counter, party, sibling, policy
):
    job = client.queue.put(work.answer)
    callback = job.addCallback(counter.increase_with_hook, retry_policy_factory=policy)
    client.manager.commit()
    (claimed,) = party.claim()
    work.hooks.append(lambda: replace(party, sibling))
    party.run(claimed)
    client.manager.begin()
    assert (callback.status, job.status) == (COMPLETED, COMPLETED)
    # By the sibling, or not at all.
    assert counter.count == (1 if policy is None else 0)


def test_who_resumes_callbacks_leaves_one_alone_that_runs(put, client, party, sibling):
    """It has committed, so that others see it, but its worker is at it."""
    client.root["steps"] = 0
    job = put(work.answer)
    party.work()
    client.manager.begin()
    for callback in (commit_in_callback, do_nothing):
        job.addCallback(callback)
        client.manager.commit()
    first, second = party.claim()
    work.hooks.append(lambda: sibling.run(second))
    party.run(first)
    client.manager.begin()
    assert client.root["steps"] == 2
    assert [callback.status for callback in job.callbacks] == [COMPLETED] * 2


# -- started, interrupted, waiting


# A claimed job counts as started: after a hard crash it consults its policy, even if its worker
# had not begun.


def test_a_job_that_was_claimed_and_not_begun_asks_its_policy_after_a_crash(
    put, client, party, sibling
):
    never, usual = put(work.answer, retry_policy_factory=NeverRetry), put(work.answer)
    assert len(party.claim()) == 2
    die(party, sibling)
    sibling.work()
    client.manager.begin()
    assert never.result.type is AbortedError
    assert usual.result == 42
    assert usual.getRetryPolicy().data["interruptions"] == 1
    assert work.happened == ["answer"]


# The default policy: interrupted up to nine times, the tenth fails with `AbortedError`.


def test_a_job_that_always_ends_its_thread_is_given_up_at_the_tenth_time(put, start):
    job = put(leave_always)
    start()
    result = wait_for_result(job, 20)
    assert result.type is AbortedError
    assert work.happened == ["left"] * 10


def leave_always():
    work.happened.append("left")
    raise SystemExit


# A job that returned another job: an interruption of any process does not touch it, and the other
# job's completion, wherever it happens, completes it.


def test_a_job_that_waits_is_completed_though_its_process_and_the_next_one_died(
    put, client, make_party
):
    first, second, third = make_party(), make_party(), make_party()
    job = put(work.return_parallel)
    (claimed,) = first.claim()
    first.run(claimed)
    client.manager.begin()
    assert (job.status, job.agent.parent.UUID) == (ACTIVE, first.uuid)
    assert len(job.agent) == 0
    die(first, second)
    (claimed,) = second.claim()
    second.run(claimed)
    third.manager.begin()
    second.agents(third).deactivate()
    third.manager.commit()
    third.work()
    client.manager.begin()
    assert (job.status, job.result) == (COMPLETED, 84)
    assert "interruptions" not in job.getRetryPolicy().data
    assert work.happened == ["answer"] * 2


# `len(agent)` and iteration show what is so at this moment, not as of the last bookkeeping.


def test_a_job_leaves_its_agent_with_its_completion(put, client, party):
    job = put(work.answer)
    (claimed,) = party.claim()
    agent = party.agents(client)["main"]
    client.manager.begin()
    assert (len(agent), list(agent)) == (1, [job])
    party.run(claimed)
    client.manager.begin()
    assert (len(agent), list(agent), job in agent) == (0, [], False)
    # The books come later.
    assert list(agent.completed) == []
    party.poll()
    client.manager.begin()
    assert list(agent.completed) == [job]


# -- system jobs


# What an interruption, callbacks and deadlines need is done by any dispatcher that is active in the
# queue, whatever its agents' filters and sizes.


def test_a_dispatcher_without_any_agent_does_the_jobs_of_the_system(
    put, client, counter, party, sibling
):
    never = put(work.answer, retry_policy_factory=NeverRetry)
    party.claim()
    late = client.queue.put(work.answer, begin_by=datetime.timedelta(minutes=1))
    late.addCallback(client.root["log"].note)
    client.manager.commit()
    client.manager.begin()
    del sibling.agents(client)["main"]
    client.manager.commit()
    other = put(work.answer)
    die(party, sibling)
    sibling.work()
    client.manager.begin()
    assert never.result.type is AbortedError
    assert late.status == COMPLETED
    assert len(client.root["log"].entries) == 1
    assert other.status == PENDING


def test_it_does_so_while_all_its_places_are_taken(put, client, start):
    start()
    running = [put(work.wait) for _ in range(3)]
    for job in running:
        zc.async_.testing.wait_for_start(job)
    done = put(work.answer)
    late = put(work.answer, begin_by=datetime.timedelta(seconds=3))
    late.addCallback(client.root["log"].note)
    client.manager.commit()
    wait_for_result(late, 20)
    assert done.status == PENDING
    assert [job.status for job in running] == [ACTIVE] * 3
    assert len(client.root["log"].entries) == 1
    work.gate.set()
    wait_for_result(done, 20)


# -- liveness


# Two living processes with one UUID: the second says so with the remedy, and does not claim.


def test_a_second_process_with_the_uuid_of_a_living_one_does_not_claim(
    put, database, start, caplog
):
    first = start()
    zc.async_.dispatcher.pop(first.UUID)
    second = Dispatcher(database, first.reactor, uuid=first.UUID)
    second.activate()
    jobs = [put(work.answer) for _ in range(10)]
    for job in jobs:
        wait_for_result(job, 20)
    assert second.getStatistics()["started"] == 0
    assert "already activated in queue" in caplog.text
    assert "don't start a zc.async.dispatcher!" in caplog.text
    second.deactivate()


def test_composed_jobs_of_all_kinds_end_on_the_smallest_agent(put, client, start):
    """Since a job that waits takes no place: else three of them would wait for each other."""
    dispatcher = start()
    client.manager.begin()
    client.queue.dispatchers[dispatcher.UUID]["main"].size = 1
    jobs = [
        client.queue.put(parallel(parallel(work.answer, work.return_job), work.return_job))
        for _ in range(4)
    ]
    client.manager.commit()
    for job in jobs:
        wait_for_result(job, 20)
    assert work.happened == ["answer"] * 12
