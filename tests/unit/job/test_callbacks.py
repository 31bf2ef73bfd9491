"""Callbacks and callback proxies."""

import logging

import pytest
from ZODB.POSException import ConflictError, ReadConflictError

import zc.twist
from tests.unit import calls
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    BadStatusError,
)
from zc.async_.job import (
    ConditionalCallbackProxy,
    Job,
    SuccessFailureCallbackProxy,
    success_or_failure,
)
from zc.async_.job.proxies import CallbackProxy
from zc.async_.running import callback_runs
from zc.async_.running import tries as running
from zc.async_.running.chains import performed
from zc.async_.running.retry import NeverRetry
from zc.async_.storing.storable import UnstorableError


def scribble(text):
    return f"{text}: SCRIBBLED"


def handle(failure):
    failure.trap(ValueError)
    return "handled"


def note(name, result):
    calls.happened.append((name, result))


def note_and_fail(name, result):
    note(name, result)
    raise ValueError("it failed")


def ok():
    return "200 OK"


@pytest.fixture
def run(client):
    """Stores a job and calls it; returns the names of what was noted."""

    def run(job):
        client.root["job"] = job
        client.commit()
        job()
        return [entry[0] for entry in calls.happened]

    return run


@pytest.fixture(autouse=True)
def nothing_happened(happened):
    pass


# -- plain callbacks


def test_a_callback_is_called_with_the_result_and_returned_as_a_job(run):
    job = Job(ok)
    callback = job.addCallback(scribble)
    assert isinstance(callback, Job)
    assert callback.parent is job
    assert job.callbacks == (callback,)
    run(job)
    assert job.result == "200 OK"
    assert callback.result == "200 OK: SCRIBBLED"
    assert job.status == callback.status == COMPLETED


def test_a_job_can_be_a_callback_and_has_its_arguments_first(run):
    job, callback = Job(ok), Job(calls.echo, 1, key=2)
    assert job.addCallback(callback) is callback
    run(job)
    assert callback.result == ((1, "200 OK"), {"key": 2})


def test_all_callbacks_get_the_same_result_in_the_order_of_adding(run):
    job = Job(ok)
    for number in range(5):
        job.addCallback(Job(note, number))
    assert run(job) == [0, 1, 2, 3, 4]
    assert {entry[1] for entry in calls.happened} == {"200 OK"}


def test_results_go_down_a_chain(run):
    job = Job(ok)
    first = job.addCallback(scribble)
    second = first.addCallback(scribble)
    run(job)
    assert second.result == "200 OK: SCRIBBLED: SCRIBBLED"


def test_the_callbacks_of_a_callback_come_before_the_next_callback(run):
    job = Job(ok)
    first = job.addCallback(Job(note, "first"))
    job.addCallback(Job(note, "second"))
    first.addCallback(Job(note, "of first"))
    assert run(job) == ["first", "of first", "second"]


def test_a_plain_callback_gets_failures_too(run):
    job = Job(calls.fail)
    callback = job.addCallback(calls.identity)
    run(job)
    assert callback.result.check(ValueError)


def test_a_callback_that_fails_does_not_keep_others_from_their_turn(run, caplog):
    job = Job(ok)
    first = job.addCallback(Job(note_and_fail, "first"))
    job.addCallback(Job(note, "second"))
    assert run(job) == ["first", "second"]
    assert first.result.check(ValueError)
    assert first.status == job.status == COMPLETED
    assert job.result == "200 OK"
    levels = [r.levelno for r in caplog.records if r.name == "zc.async.events"]
    assert levels == [logging.CRITICAL]


def test_each_callback_is_a_transaction_of_its_own(client, run):
    log = client.add("log", calls.Log())
    job = Job(ok)
    job.addCallback(log.note)
    job.addCallback(log.note_and_fail)
    job.addCallback(log.note)
    run(job)
    assert log.entries == (("200 OK",), ("200 OK",))


def test_the_job_is_completed_after_its_callbacks(client, other, clock, run):
    job = Job(ok)
    job.addCallback(Job(look, job))
    run(job)
    assert calls.happened == [(CALLBACKS, "200 OK", ACTIVE)]
    assert job.initial_callbacks_end is not None


def look(job, result):
    from zc.async_.threadlocal import local

    calls.happened.append((job.status, job.result, local.getJob().status))


def test_a_callback_that_returns_a_job_waits_and_the_others_do_not(client, run):
    inner = client.add("inner", Job(ok))
    job = Job(ok)
    callback = job.addCallback(Job(returns, inner))
    job.addCallback(Job(note, "second"))
    assert run(job) == ["second"]
    assert job.status == COMPLETED
    assert callback.status == ACTIVE
    inner()
    assert callback.result == "200 OK"


def returns(value, result):
    return value


def test_log_level_and_policy_are_given_to_the_callback():
    callback = Job(ok).addCallback(scribble, 10, NeverRetry)
    assert callback.failure_log_level == 10
    assert callback.retry_policy_factory is NeverRetry


def test_without_values_the_callback_keeps_its_own():
    callback = Job(scribble)
    callback.failure_log_level = 10
    callback.retry_policy_factory = NeverRetry
    Job(ok).addCallback(callback)
    assert callback.failure_log_level == 10
    assert callback.retry_policy_factory is NeverRetry


@pytest.mark.parametrize("status", [PENDING, ASSIGNED, ACTIVE, CALLBACKS, COMPLETED])
def test_only_a_new_job_can_become_a_callback(status):
    callback = Job(scribble)
    callback._set_status(status)
    with pytest.raises(BadStatusError, match="in use already"):
        Job(ok).addCallback(callback)


def test_a_job_can_be_a_callback_once():
    callback = Job(ok).addCallback(scribble)
    with pytest.raises(BadStatusError, match="in use already"):
        Job(ok).addCallback(callback)


def test_callbacks_can_add_callbacks_to_their_job(run):
    job = Job(ok)
    job.addCallback(Job(add_another, job))
    assert run(job) == ["first", "another"]
    assert job.status == COMPLETED


def add_another(job, result):
    note("first", result)
    job.addCallback(Job(note, "another"))


def test_transaction_errors_of_callbacks_are_tried_over_for_ever(run, to_raise):
    to_raise += [ConflictError() for _number in range(20)]
    job = Job(ok)
    callback = job.addCallback(calls.raise_next)
    run(job)
    assert callback.result == 21


# -- resuming


def test_callbacks_that_were_performed_are_not_performed_again(client, run):
    job = Job(ok)
    for number in range(3):
        job.addCallback(Job(note, number))
    client.root["job"] = job
    job.end_with("result")
    client.commit()
    job.callbacks[0]("result")
    job.resumeCallbacks()
    assert [entry[0] for entry in calls.happened] == [0, 1, 2]
    assert job.status == COMPLETED
    job.resumeCallbacks()
    assert len(calls.happened) == 3


def test_a_callback_that_comes_just_before_the_completion_is_performed(
    client, other, agent, clock, monkeypatch
):
    job = Job(ok)
    job.addCallback(Job(note, "first"))
    client.put(job)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    complete = callback_runs._complete

    def add_and_complete(job, *args):
        if len(job.callbacks) == 1:
            other.begin()
            other.mine(job).addCallback(Job(look, other.mine(job)))
            other.commit()
        return complete(job, *args)

    monkeypatch.setattr(callback_runs, "_complete", add_and_complete)
    running.run_claimed(job, job.claim_token)
    assert [entry[0] for entry in calls.happened] == ["first", CALLBACKS]
    assert job.status == COMPLETED


def test_a_callback_added_elsewhere_by_a_callback_is_performed(client, other):
    job = Job(ok)
    job.addCallback(Job(note, "first"))
    client.root["job"] = job
    client.commit()
    SECOND[:] = [other, job]
    job.addCallback(add_from_elsewhere)
    client.commit()
    job()
    SECOND.clear()
    assert [entry[0] for entry in calls.happened] == ["first", "late"]
    assert job.status == COMPLETED


SECOND = []


def add_from_elsewhere(result):
    other, job = SECOND
    other.begin()
    other.mine(job).addCallback(Job(note, "late"))
    other.commit()


# -- late callbacks


def test_a_callback_of_a_completed_job_in_no_queue_is_called_at_once(client, run):
    job = Job(ok)
    run(job)
    callback = job.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED"
    assert callback.status == COMPLETED
    assert job.status == COMPLETED


def test_what_the_caller_did_before_is_committed_with_it(client, other, run):
    job = Job(ok)
    run(job)
    log = client.add("log", calls.Log())
    log.note("before")
    callback = job.addCallback(Job(note_and_fail, "late"))
    client.abort()
    other.begin()
    assert other.mine(log).entries == (("before",),)
    assert other.mine(job).callbacks == (other.mine(callback),)
    assert other.mine(callback).result.check(ValueError)


def test_a_callback_of_a_completed_job_of_a_queue_is_performed_by_a_dispatcher(client, agent):
    job = client.put(ok)
    calls.run_next(agent)
    callback = job.addCallback(Job(note, "late"))
    client.commit()
    assert callback.status == NEW
    assert calls.happened == []
    assert len(client.queue) == 1
    agent.size = 0
    calls.run_all(agent)
    assert calls.happened == [("late", "200 OK")]
    assert callback.status == COMPLETED


@pytest.mark.parametrize("seen", [True, False])
def test_a_callback_of_a_claimed_job_does_not_make_the_job_conflict(
    client, other, agent, clock, seen
):
    job = client.put(ok)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    other.begin()
    callback = other.mine(job).addCallback(Job(note, "late"))
    other.commit()
    if seen:
        client.begin()
    running.run_claimed(job, job.claim_token)
    assert job.status == COMPLETED
    # What the transaction of the job did not see, the bookkeeping of the dispatcher does.
    client.begin()
    agent.keep_books()
    client.commit()
    calls.run_all(agent)
    assert calls.happened == [("late", "200 OK")]
    assert client.mine(callback).status == COMPLETED


def test_a_callback_that_meets_the_completion_conflicts_and_then_finds_it(
    client, other, agent, clock
):
    job = client.put(ok)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    other.begin()
    other.mine(job).addCallback(Job(note, "late"))
    running.run_claimed(job, job.claim_token)
    with pytest.raises(ReadConflictError):
        other.commit()
    other.abort()
    other.begin()
    callback = other.mine(job).addCallback(Job(note, "late"))
    other.commit()
    calls.run_all(agent)
    assert calls.happened == [("late", "200 OK")]
    other.begin()
    assert callback.status == COMPLETED


def test_late_callbacks_come_after_the_earlier_ones(client, agent):
    job = client.put(ok)
    job.addCallback(Job(note, "early"))
    agent.claimJob()
    client.commit()
    job.addCallback(Job(note, "late"))
    client.commit()
    assert [c.args[0] for c in job.callbacks] == ["early", "late"]
    job()
    assert [entry[0] for entry in calls.happened] == ["early", "late"]


# -- proxies


def test_two_callbacks_make_a_proxy():
    job = Job(ok)
    proxy = job.addCallbacks(scribble, handle)
    assert isinstance(proxy, CallbackProxy)
    assert job.callbacks == (proxy,)
    assert proxy.parent is job
    assert proxy.success.callable is scribble
    assert proxy.failure.callable is handle
    assert proxy.success.parent is proxy.failure.parent is proxy
    assert proxy.job is None
    assert proxy.status == NEW
    assert proxy.result is None


def test_a_good_result_goes_to_the_one_for_success(run):
    job = Job(ok)
    proxy = job.addCallbacks(scribble, handle)
    run(job)
    assert proxy.job is proxy.success
    assert proxy.result == "200 OK: SCRIBBLED"
    assert proxy.status == COMPLETED
    assert proxy.failure.status == NEW


def test_a_failure_goes_to_the_one_for_failure(run):
    job = Job(calls.fail)
    proxy = job.addCallbacks(scribble, handle)
    run(job)
    assert proxy.job is proxy.failure
    assert proxy.result == "handled"
    assert proxy.success.status == NEW


def test_the_callbacks_of_a_proxy_get_the_result_of_the_chosen_job(run):
    job = Job(calls.fail)
    proxy = job.addCallbacks(failure=handle)
    callback = proxy.addCallback(scribble)
    run(job)
    assert callback.result == "handled: SCRIBBLED"
    assert proxy.success is None


@pytest.mark.parametrize(
    ("callable", "kind"), [(ok, "failure"), (calls.fail, "success")], ids=["success", "failure"]
)
def test_without_a_job_for_it_the_result_passes_through(run, callable, kind):
    job = Job(callable)
    proxy = job.addCallbacks(**{kind: scribble})
    callback = proxy.addCallback(calls.identity)
    run(job)
    if callable is ok:
        assert callback.result == proxy.result == "200 OK"
    else:
        assert callback.result.check(ValueError)
        assert proxy.result.check(ValueError)
    assert proxy.status == COMPLETED
    assert getattr(proxy, kind).status == NEW


def test_a_failure_that_passes_through_is_logged_once(run, caplog):
    job = Job(calls.fail)
    job.addCallbacks(success=scribble).addCallbacks(success=scribble)
    run(job)
    events = [r for r in caplog.records if r.name == "zc.async.events"]
    assert len(events) == 1


def test_a_proxy_with_nothing_to_call_is_completed(run):
    job = Job(ok)
    proxy = job.addCallbacks(failure=handle)
    run(job)
    assert proxy.status == COMPLETED
    assert proxy.job is None
    assert proxy.result is None
    assert job.status == COMPLETED


def test_a_proxy_without_any_callback_is_completed(run):
    job = Job(ok)
    proxy = job.addCallbacks()
    run(job)
    assert proxy.status == COMPLETED


def test_proxies_can_have_proxies(run):
    job = Job(calls.fail)
    first = job.addCallbacks(success=scribble)
    second = first.addCallbacks(failure=handle)
    third = second.addCallbacks(scribble, handle)
    run(job)
    assert second.result == "handled"
    assert third.result == "handled: SCRIBBLED"


def test_a_proxy_can_be_added_as_a_callback(run):
    proxy = CallbackProxy(Job(scribble), Job(handle))
    job = Job(ok)
    assert job.addCallback(proxy) is proxy
    run(job)
    assert proxy.result == "200 OK: SCRIBBLED"
    with pytest.raises(BadStatusError, match="in use already"):
        Job(ok).addCallback(proxy)


def is_text(result):
    return isinstance(result, str)


def is_short(result):
    return len(result) < 3


@pytest.mark.parametrize(
    ("result", "called"),
    [
        pytest.param("a text", "text", id="the first that fits"),
        pytest.param((1, 2), "short", id="the second"),
        pytest.param((1, 2, 3), "default", id="none"),
        pytest.param(5, "default", id="one raises"),
    ],
)
def test_a_proxy_can_choose_by_conditions(client, caplog, result, called):
    client.commit()
    choices = {name: Job(calls.identity, name) for name in ("default", "text", "short")}
    proxy = ConditionalCallbackProxy(
        choices["default"], (is_text, choices["text"]), (is_short, choices["short"])
    )
    assert proxy.conditionals == ((is_text, choices["text"]), (is_short, choices["short"]))
    assert proxy.default is choices["default"]
    assert (proxy.success, proxy.failure) == (None, None)
    job = client.add("job", Job(calls.identity, result))
    job.addCallback(proxy, failure_log_level=10)
    client.commit()
    job()
    assert job.status == COMPLETED
    assert proxy.job is choices[called]
    assert [name for name, one in choices.items() if one.status == COMPLETED] == [called]
    assert {one.failure_log_level for one in choices.values()} == {10}
    raised = "condition tests.unit.job.test_callbacks.is_short of a callback of" in caplog.text
    assert raised == (result == 5)


def test_a_proxy_without_a_default_passes_on_what_fits_no_condition(run):
    proxy = ConditionalCallbackProxy(None, (is_text, Job(handle)))
    job = Job(calls.identity, 42)
    behind = job.addCallback(proxy).addCallback(calls.identity)
    run(job)
    assert behind.result == 42


def test_what_the_proxy_of_two_callbacks_chooses_by_is_whether_the_result_is_a_failure():
    proxy = SuccessFailureCallbackProxy(Job(ok), Job(handle))
    assert isinstance(proxy, ConditionalCallbackProxy)
    assert proxy.default is proxy.success
    ((condition, job),) = proxy.conditionals
    assert job is proxy.failure
    assert condition(zc.twist.Failure(ValueError()))
    assert not condition("good")


def test_one_of_two_functions_is_called_by_the_result():
    failure = zc.twist.Failure(ValueError())
    assert success_or_failure(str.upper, None, "good") == "GOOD"
    assert success_or_failure(None, type, failure) is type(failure)
    assert success_or_failure(None, type, "good") == "good"
    assert success_or_failure(str.upper, None, failure) is failure


def test_what_a_condition_is_to_call_is_checked_when_it_is_put(client):
    job = Job(ok)
    job.addCallback(ConditionalCallbackProxy(None, (is_text, Job(calls.echo, lambda: None))))
    with pytest.raises(UnstorableError):
        client.put(job)


def test_the_logs_name_the_job_of_a_callback(client, caplog):
    caplog.set_level(logging.DEBUG, "zc.async.trace")
    job = client.add("job", Job(ok))
    callbacks = [job.addCallback(calls.identity), job.addCallbacks(calls.fail).success]
    client.commit()
    job()
    said = [record.getMessage() for record in caplog.records]
    for callback, ended in zip(callbacks, ("succeeded with result", "failed"), strict=True):
        assert f"starting callback {callback!r} to {job!r}" in said
        assert any(
            message.startswith(f"{callback!r}, a callback of {job!r}, {ended}:\n")
            for message in said
        )
    assert any(message.startswith(f"{job!r} succeeded with result:\n") for message in said)


def test_a_proxy_of_nobody_takes_no_callbacks():
    with pytest.raises(BadStatusError, match="once it is one itself"):
        CallbackProxy(Job(ok)).addCallback(scribble)
    with pytest.raises(BadStatusError, match="once it is one itself"):
        CallbackProxy(Job(ok)).addCallbacks(scribble)
    assert CallbackProxy(Job(ok)).queue is None


def test_a_proxy_has_the_queue_of_its_job(client):
    job = client.put(ok)
    proxy = job.addCallbacks(scribble)
    assert proxy.queue is client.queue
    assert proxy.success.queue is client.queue
    assert proxy.addCallback(scribble).queue is client.queue


def test_log_level_and_policy_are_given_to_both_jobs():
    proxy = Job(ok).addCallbacks(scribble, handle, 10, NeverRetry)
    for job in (proxy.success, proxy.failure):
        assert job.failure_log_level == 10
        assert job.retry_policy_factory is NeverRetry
    proxy = proxy.addCallbacks(scribble, handle, 20, "name")
    for job in (proxy.success, proxy.failure):
        assert job.failure_log_level == 20
        assert job.retry_policy_factory == "name"
    callback = proxy.addCallback(scribble, 30, "name")
    assert (callback.failure_log_level, callback.retry_policy_factory) == (30, "name")


def test_the_choice_is_made_once(client):
    job = client.add("job", Job(ok))
    proxy = job.addCallbacks(scribble, handle)
    chosen = proxy.getJob("good")
    assert chosen is proxy.success
    assert proxy.getJob(zc.twist.Failure(ValueError())) is chosen
    assert proxy.job is chosen


def test_a_choice_whose_process_ended_before_the_call_is_taken_up(client):
    job = Job(ok)
    proxy = job.addCallbacks(Job(note, "success"))
    client.root["job"] = job
    job.end_with("result")
    proxy.getJob("result")
    client.commit()
    assert not performed(proxy)
    job.resumeCallbacks()
    assert calls.happened == [("success", "result")]
    assert job.status == COMPLETED


def test_a_late_callback_of_a_proxy_goes_to_the_chosen_job(run):
    job = Job(ok)
    proxy = job.addCallbacks(scribble)
    run(job)
    callback = proxy.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED: SCRIBBLED"
    late = proxy.addCallbacks(scribble)
    assert late.result == "200 OK: SCRIBBLED: SCRIBBLED"


def test_a_late_callback_of_a_proxy_that_had_nothing_to_call_gets_the_result(run):
    job = Job(ok)
    proxy = job.addCallbacks(failure=handle)
    run(job)
    callback = proxy.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED"
    assert callback.status == proxy.status == COMPLETED


def test_a_late_callback_behind_two_proxies_gets_the_result(run):
    job = Job(ok)
    proxy = job.addCallbacks(failure=handle).addCallbacks(failure=handle)
    run(job)
    callback = proxy.addCallback(scribble)
    assert callback.result == "200 OK: SCRIBBLED"


def test_a_late_callback_of_a_proxy_of_a_queue_is_performed_by_a_dispatcher(client, agent):
    job = client.put(ok)
    proxy = job.addCallbacks(failure=handle)
    client.commit()
    calls.run_next(agent)
    callback = proxy.addCallback(scribble)
    client.commit()
    assert callback.status == NEW
    calls.run_all(agent)
    assert callback.result == "200 OK: SCRIBBLED"


def test_the_chosen_job_of_a_proxy_is_tried_over_like_any_callback(run, to_raise):
    to_raise += [ConflictError() for _number in range(10)]
    job = Job(ok)
    proxy = job.addCallbacks(calls.raise_next)
    run(job)
    assert proxy.result == 11


def test_proxies_are_the_same_for_another_connection(client, other):
    job = Job(ok)
    proxy = job.addCallbacks(scribble, handle)
    client.add("job", job)
    other.begin()
    there = other.mine(proxy)
    assert there.success.callable is scribble
    assert there.failure.callable is handle
    assert there.parent == other.mine(job)
    client.root["job"]()
    other.begin()
    assert there.job == there.success
    assert there.result == "200 OK: SCRIBBLED"


# -- many of them


def loads_of(client, run):
    """How many records `run` loads, with a cache that holds few of them."""
    client.begin()
    client.connection.cacheMinimize()
    client.connection._cache.cache_size = 100
    client.connection.getTransferCounts(clear=True)
    run()
    return client.connection.getTransferCounts()[0]


def many_early(client, count):
    job = client.add(f"many {count}", Job(calls.nothing))
    for _number in range(count):
        job.addCallback(calls.identity)
    return job


def many_proxies(client, count):
    job = client.add(f"many {count}", Job(calls.nothing))
    for _number in range(count):
        job.addCallbacks(failure=calls.identity)
    return job


def many_late(client, count):
    job = client.add(f"many {count}", Job(calls.nothing))
    job.activate_at(0)
    client.commit()
    for _number in range(count):
        job.addCallback(calls.identity)
    job.end_with(None)
    return job


def many_behind_a_proxy(client, count):
    job = client.add(f"many {count}", Job(calls.nothing))
    proxy = job.addCallbacks(success=calls.identity)
    for _number in range(count):
        proxy.addCallback(calls.identity)
    return job


MANY = pytest.mark.parametrize("make", [many_early, many_late, many_proxies, many_behind_a_proxy])


@MANY
def test_a_callback_costs_the_same_among_many(client, make):
    loads = []
    for count in (150, 600):
        job = make(client, count)
        client.commit()
        loads.append(loads_of(client, job if job.status == NEW else job.resumeCallbacks))
        assert job.status == COMPLETED
    few, many = loads
    assert many < 6 * few


@MANY
def test_the_order_of_many_callbacks_is_that_of_adding(client, other, make):
    job = make(client, 100)
    client.commit()
    other.begin()
    there = other.mine(job)
    assert len(there.callbacks) in (1, 100)
    assert there.callbacks == tuple(map(other.mine, job.callbacks))


@pytest.mark.parametrize("status", [NEW, ACTIVE])
def test_to_add_a_callback_to_many_does_not_write_all_of_them(client, db, status):
    job = client.add("job", Job(calls.nothing))
    proxy = job.addCallbacks(success=calls.identity)
    if status == ACTIVE:
        job.activate_at(0)
    client.commit()
    written = []
    for _number in range(300):
        before = db.getSize()
        job.addCallback(calls.identity)
        proxy.addCallback(calls.identity)
        client.commit()
        written.append(db.getSize() - before)
    assert sum(written[200:]) < 2 * sum(written[50:150])


def test_a_chain_of_callbacks_may_be_long(client):
    job = link = Job(calls.nothing)
    for _number in range(1500):
        link = link.addCallback(calls.identity)
    client.put(job)
    client.queue.remove(job)
    client.commit()
    job()
    assert link.status == COMPLETED
    assert job.status == COMPLETED
