"""Callbacks that several are at, or that are behind others: each once, in order of adding.

Each of these went wrong once.
"""

import operator
from datetime import timedelta

import pytest

from tests.races.parties import Dispatcher, call_hook, done, set_hook, to_raise
from zc.async_ import local
from zc.async_.dispatcher.plans import Plan
from zc.async_.dispatcher.pool import job_id
from zc.async_.interfaces import (
    ACTIVE,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    AbortedError,
    MissingCallableError,
)
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job, NeverRetry, parallel
from zc.twist import Failure


def note(word, *results):
    done.append(word)


def let_act_and_note(word, *results):
    call_hook()
    note(word)


def fail_once(word, *results):
    note(word)
    if to_raise:
        raise to_raise.pop()


class InFiveSeconds(NeverRetry):
    """Tries again, after a while."""

    at_most_once = False
    seconds = 5

    def jobError(self, failure, data_cache):
        return timedelta(seconds=self.seconds)


class FiveSecondsAfterInterruptions(NeverRetry):
    """Has its start committed, and is tried again a while after the end of its process."""

    def interrupted(self):
        return timedelta(seconds=5)


def statuses(client, *jobs):
    client.manager.begin()
    return [job.status for job in jobs]


def test_callbacks_are_called_in_order_of_adding_though_the_job_was_put_back_in_between(
    client, dispatcher, sibling
):
    job = client.put(Job(operator.mul, 6, 7))
    (claimed,) = dispatcher.claim()
    client.manager.begin()
    job.addCallback(Job(note, "first"))
    client.manager.commit()
    dispatcher.poller.deactivate([(claimed.job_id, claimed.token)])
    client.manager.begin()
    job.addCallback(Job(note, "second"))
    client.manager.commit()

    sibling.work()

    assert done == ["first", "second"]


def interrupted_in_its_callbacks(client, dispatcher, job):
    """Put a job that loses its worker at its result; return two claims to resume its callbacks."""
    client.put(job)
    dispatcher.claim()
    client.manager.begin()
    job.end_as_failed()
    client.queue.put(job.resumeCallbacks)
    client.queue.put(job.resumeCallbacks)
    client.manager.commit()
    return dispatcher.claim()


@pytest.fixture
def worker(database, sibling):
    """Another thread of the dispatcher."""
    worker = Dispatcher(database)
    yield worker
    worker.close()


def run_meanwhile(party, claimed, look):
    """Has a party run what it claimed when a job lets it act; returns a list for what it sees."""
    seen = []

    def run_and_look():
        party.run(claimed)
        seen.extend(look())

    set_hook(run_and_look)
    return seen


def test_a_job_is_completed_after_a_callback_that_another_worker_performs(
    client, dispatcher, worker, clock
):
    job = Job(operator.mul, 6, 7)
    # What commits its start: so does a callback that calls `commit` itself.
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    second = job.addCallback(Job(note, "second"))
    one, two = interrupted_in_its_callbacks(client, dispatcher, job)
    seen = run_meanwhile(worker, two, lambda: statuses(client, job, second))
    dispatcher.run(one)

    assert seen == [CALLBACKS, NEW]
    assert done == ["first", "second"]
    assert statuses(client, job, first, second) == [COMPLETED] * 3
    clock.advance(10)
    dispatcher.work()
    assert done == ["first", "second"]
    client.manager.begin()
    assert len(client.queue) == 0


def test_a_job_is_completed_after_what_is_behind_a_callback_that_another_worker_performs(
    client, dispatcher, worker, clock
):
    job = Job(operator.mul, 6, 7)
    first = job.addCallback(Job(note, "first"))
    behind = first.addCallback(Job(let_act_and_note, "behind"), retry_policy_factory=NeverRetry)
    second = job.addCallback(Job(note, "second"))
    one, two = interrupted_in_its_callbacks(client, dispatcher, job)
    seen = run_meanwhile(worker, two, lambda: statuses(client, job, first, second))
    dispatcher.run(one)

    assert seen == [CALLBACKS, CALLBACKS, NEW]
    assert done == ["first", "behind", "second"]
    assert statuses(client, job, first, behind, second) == [COMPLETED] * 4


def test_callbacks_go_on_though_the_worker_that_was_at_one_is_gone(
    client, dispatcher, worker, clock
):
    job = Job(operator.mul, 6, 7)
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    second = job.addCallback(Job(note, "second"))
    one, two = interrupted_in_its_callbacks(client, dispatcher, job)

    def resume_as_well_and_die():
        worker.run(two)
        raise SystemExit

    set_hook(resume_as_well_and_die)
    with pytest.raises(SystemExit):
        dispatcher.run(one)
    clock.advance(10)
    dispatcher.work()
    # Whoever had the callback has its job still.
    assert statuses(client, job, second) == [CALLBACKS, NEW]

    dispatcher.leave()
    clock.advance(10)
    worker.work()
    clock.advance(10)
    worker.work()

    assert statuses(client, job, first, second) == [COMPLETED] * 3
    assert first.result.type is AbortedError
    assert done == ["second"]


@pytest.mark.parametrize("dies", [False, True])
def test_what_is_behind_a_callback_holds_up_the_next_one_until_it_is_tried_again(
    client, dispatcher, sibling, clock, dies
):
    job = Job(note, "job")
    first = job.addCallback(Job(note, "first"))
    behind = first.addCallback(Job(fail_once, "behind"), retry_policy_factory=InFiveSeconds)
    second = job.addCallback(Job(note, "second"))
    to_raise.append(ValueError())
    client.put(job)

    dispatcher.work()

    assert done == ["job", "first", "behind"]
    assert statuses(client, job, first, behind, second) == [CALLBACKS, CALLBACKS, NEW, NEW]
    # Nobody holds a place meanwhile.
    assert len(dispatcher.agents(client)["main"]) == 0
    clock.advance(4)
    dispatcher.work()
    assert done == ["job", "first", "behind"]
    if dies:
        dispatcher.leave()
    clock.advance(2)
    (sibling if dies else dispatcher).work()

    assert done == ["job", "first", "behind", "behind", "second"]
    assert statuses(client, job, first, behind, second) == [COMPLETED] * 4
    assert len(client.queue) == 0


def put_another(*results):
    return local.getJob().queue.put(Job(note, "inner"))


def test_a_callback_that_waits_for_a_job_holds_up_nothing_and_has_its_own_performed_once(
    client, dispatcher, sibling
):
    job = Job(note, "job")
    first = job.addCallback(put_another)
    behind = first.addCallback(Job(let_act_and_note, "behind"), retry_policy_factory=NeverRetry)
    second = job.addCallback(Job(let_act_and_note, "second"))
    client.put(job)
    (claimed,) = dispatcher.claim()
    # The other job ends, and somebody is at what is behind, while this worker goes on.
    set_hook(lambda: [set_hook(None), sibling.work()])
    dispatcher.run(claimed)
    dispatcher.work()

    assert done == ["job", "inner", "behind", "second"]
    assert statuses(client, job, first, behind, second) == [COMPLETED] * 4


def test_what_is_behind_a_callback_that_fails_by_an_interruption_comes_before_the_next_one(
    client, dispatcher, sibling, clock
):
    job = Job(note, "job")
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    behind = first.addCallbacks(failure=Job(note, "behind"))
    second = job.addCallback(Job(note, "second"))
    client.put(job)
    (claimed,) = dispatcher.claim()
    dispatcher.die_in(claimed)
    clock.advance(10)
    sibling.work()

    assert done == ["job", "behind", "second"]
    assert statuses(client, job, first, behind, second) == [COMPLETED] * 4


@pytest.mark.parametrize("make", [lambda: Job(put_another), lambda: parallel(Job(note, "inner"))])
def test_a_job_that_was_failed_while_it_waited_keeps_its_failure_and_its_callbacks(
    client, dispatcher, worker, make
):
    job = make()
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    client.put(job)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    client.manager.begin()
    job.fail()
    client.manager.commit()
    resume, inner = sorted(dispatcher.claim(), key=lambda claimed: claimed.agent[1] == "main")
    seen = run_meanwhile(worker, inner, lambda: statuses(client, job, first))
    dispatcher.run(resume)

    assert seen == [CALLBACKS, ACTIVE]
    assert done == ["inner", "first"]
    assert statuses(client, job, first) == [COMPLETED] * 2
    assert job.result.type is BeginByPassedError


def test_a_callback_of_a_job_that_was_handed_back_in_its_call_is_nobodys_once_its_thread_is_gone(
    client, dispatcher, sibling, clock
):
    job = Job(let_act_and_note, "job")
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    client.put(job)
    (claimed,) = dispatcher.claim()

    def die():
        raise SystemExit

    def stop_and_die_later():
        dispatcher.leave()
        set_hook(die)

    set_hook(stop_and_die_later)
    with pytest.raises(SystemExit):
        dispatcher.run(claimed)
    assert statuses(client, job, first) == [CALLBACKS, ACTIVE]

    sibling.work()

    assert done == ["job"]
    assert statuses(client, job, first) == [COMPLETED] * 2
    assert first.result.type is AbortedError


def test_a_callback_is_tried_again_when_its_policy_wants_it_after_an_interruption(
    client, dispatcher, sibling, clock
):
    job = Job(note, "job")
    policy = FiveSecondsAfterInterruptions
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=policy)
    second = job.addCallback(Job(note, "second"))
    client.put(job)
    (claimed,) = dispatcher.claim()
    dispatcher.die_in(claimed)
    clock.advance(1)
    sibling.work()
    assert done == ["job"]
    assert statuses(client, job, first, second) == [CALLBACKS, NEW, NEW]
    clock.advance(5)
    sibling.work()
    assert done == ["job", "first", "second"]
    assert statuses(client, job, first, second) == [COMPLETED] * 3


def test_a_callback_that_was_not_interrupted_is_not_asked_about(client):
    job = Job(note, "job")
    callback = job.addCallback(Job(note, "first"))
    assert callback.handleCallbackInterrupt() is None
    assert callback.status == NEW


def test_callbacks_of_a_job_in_no_queue_wait_in_the_thread_of_the_caller(client, monkeypatch):
    sleeps = []
    monkeypatch.setattr("time.sleep", sleeps.append)
    job = Job(note, "job")
    first = job.addCallback(Job(fail_once, "first"), retry_policy_factory=InFiveSeconds)
    to_raise.append(ValueError())
    client.manager.begin()
    client.root["job"] = job
    client.manager.commit()
    job()
    assert done == ["job", "first", "first"]
    assert [round(seconds) for seconds in sleeps] == [5]
    assert statuses(client, job, first) == [COMPLETED] * 2


# -- called by hand, put into a queue, added late


def missing_code(word, *results):
    """Is not there when it is looked for."""


@pytest.mark.parametrize("wait", [5, 120])
def test_a_callback_that_is_called_by_hand_waits_in_the_thread_of_the_caller_if_not_for_long(
    client, monkeypatch, wait
):
    sleeps = []
    monkeypatch.setattr("time.sleep", sleeps.append)
    monkeypatch.setattr(InFiveSeconds, "seconds", wait)
    job = Job(note, "job")
    first = job.addCallback(Job(fail_once, "first"), retry_policy_factory=InFiveSeconds)
    to_raise.append(ValueError())
    client.put(job)
    first(42)
    assert statuses(client, job, first) == [PENDING, COMPLETED]
    if wait == 5:
        assert [round(seconds) for seconds in sleeps] == [5]
        assert done == ["first", "first"]
    else:
        assert sleeps == []
        assert first.result.type is ValueError


def test_a_callback_without_code_that_is_called_by_hand_fails(client, monkeypatch):
    job = Job(note, "job")
    first = job.addCallback(Job(missing_code, "first"))
    client.put(job)
    monkeypatch.delattr(f"{__name__}.missing_code")
    first(42)
    assert first.result.type is MissingCallableError


@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_a_callback_that_was_put_into_a_queue_and_claimed_is_nobody_elses(
    client, dispatcher, sibling, policy
):
    job = Job(note, "job")
    job.addCallback(Job(let_act_and_note, "first"))
    second = job.addCallback(Job(let_act_and_note, "second"), retry_policy_factory=policy)
    client.put(job)
    (claimed,) = dispatcher.claim()
    client.put(second)
    (claimed_callback,) = sibling.claim()
    # The job goes on.
    seen = run_meanwhile(dispatcher, claimed, lambda: statuses(client, second))
    sibling.run(claimed_callback)

    assert seen == [ACTIVE]
    assert done.count("second") == 1
    assert statuses(client, job, second) == [COMPLETED] * 2
    assert second.result is None


@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("dies", [False, True])
def test_a_callback_that_is_added_to_one_that_committed_its_start_is_performed(
    client, dispatcher, sibling, annotated, dies
):
    job = Job(note, "job")
    first = job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    second = job.addCallback(Job(note, "second"))
    client.put(job)
    if annotated:
        first.annotations["some"] = "thing"
        client.manager.commit()
    (claimed,) = dispatcher.claim()
    late = []

    def add():
        client.manager.begin()
        assert first.status == ACTIVE
        late.append(first.addCallback(Job(note, "late")))
        client.manager.commit()

    if dies:
        dispatcher.die_in(claimed, add)
        sibling.work()
    else:
        set_hook(add)
        dispatcher.run(claimed)

    assert statuses(client, job, first, second, late[0]) == [COMPLETED] * 4
    assert done == (["job", "late", "second"] if dies else ["job", "first", "late", "second"])
    assert isinstance(first.result, Failure) == dies
    dispatcher.work()
    assert done.count("late") == 1


def test_a_callback_that_is_added_to_a_completed_one_is_left_to_the_job_of_the_system(
    client, dispatcher, sibling
):
    job = Job(note, "job")
    first = job.addCallback(Job(note, "first"))
    job.addCallback(Job(let_act_and_note, "second"))
    client.put(job)
    (claimed,) = dispatcher.claim()
    late = []

    def add():
        client.manager.begin()
        assert first.status == COMPLETED
        late.append(first.addCallback(Job(let_act_and_note, "late")))
        client.manager.commit()
        # While a worker is at it, the other goes on.
        set_hook(None)

    set_hook(add)
    dispatcher.run(claimed)
    assert done == ["job", "first", "second"]
    assert statuses(client, job, late[0]) == [COMPLETED, NEW]
    sibling.work()
    assert done == ["job", "first", "second", "late"]


@pytest.fixture
def passed(client):
    """A job of which nothing is to be called for a success, with two callbacks behind that."""
    job = Job(note, "job")
    job.addCallbacks(failure=Job(note, "failure"))
    job.addCallback(Job(let_act_and_note, "first"), retry_policy_factory=NeverRetry)
    job.addCallback(Job(note, "second"))
    return client.put(job)


def add_to_passed(client, job):
    client.manager.begin()
    proxy, *_others = client.same(job).callbacks
    assert proxy.is_passed
    proxy.addCallback(Job(note, "late"))
    client.manager.commit()


@pytest.mark.parametrize("dies", [False, True])
def test_something_to_call_that_comes_late_is_called_by_whoever_has_the_job(
    client, dispatcher, sibling, clock, passed, dies
):
    (claimed,) = dispatcher.claim()

    def add():
        add_to_passed(client, passed)

    if dies:
        dispatcher.die_in(claimed, add)
        sibling.work()
    else:
        set_hook(add)
        dispatcher.run(claimed)

    assert done == (["job", "late", "second"] if dies else ["job", "first", "late", "second"])
    assert statuses(client, passed, *passed.callbacks) == [COMPLETED] * 4
    assert len(client.queue) == 0


def test_something_to_call_that_comes_after_the_completion_is_called(
    client, dispatcher, sibling, passed
):
    dispatcher.work()
    add_to_passed(client, passed)
    # The bookkeeping that comes after it has nothing to add.
    dispatcher.work()
    sibling.work()
    assert done == ["job", "first", "second", "late"]
    assert statuses(client, passed, *passed.callbacks) == [COMPLETED] * 4


def test_something_to_call_that_comes_with_the_completion_is_called(
    client, other, dispatcher, passed, monkeypatch
):
    complete = Job.complete

    def complete_when_added(job):
        complete(job)
        monkeypatch.setattr(Job, "complete", complete)
        add_to_passed(other, passed)

    monkeypatch.setattr(Job, "complete", complete_when_added)
    dispatcher.work()
    assert done == ["job", "first", "second", "late"]
    assert statuses(client, passed, *passed.callbacks) == [COMPLETED] * 4


def add_late_to_passed(word, *results):
    note(word)
    job = local.getJob().parent
    job.callbacks[0].addCallback(Job(note, "late"))


def test_a_callback_is_not_performed_inside_of_itself(client):
    job = Job(note, "job")
    job.addCallbacks(failure=Job(note, "failure"))
    first = job.addCallback(Job(add_late_to_passed, "first"))
    client.manager.begin()
    client.root["job"] = job
    client.manager.commit()
    job()
    assert done == ["job", "first", "late"]
    assert statuses(client, job, first) == [COMPLETED] * 2


def test_a_job_that_waited_is_remembered_once_its_callbacks_have_ended(client, dispatcher, clock):
    job = Job(put_another)
    job.addCallback(Job(fail_once, "first"), retry_policy_factory=InFiveSeconds)
    to_raise.append(ValueError())
    client.put(job)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    (inner,) = dispatcher.claim()
    local.completed = []
    try:
        dispatcher.run(inner)
        told = [job_id(one) for one in local.completed]
    finally:
        local.completed = None
    plan = Plan(busy={}, lost=set(), completed={("", "main"): told})
    for resume in dispatcher.poller.poll(plan).jobs:
        dispatcher.run(resume)
    dispatcher.work()
    assert done == ["inner", "first"]
    assert job not in list(dispatcher.agents(client)["main"].completed)
    clock.advance(6)
    dispatcher.work()
    assert done == ["inner", "first", "first"]
