"""Proxies that choose a callback by the result."""

import pytest
from ZODB.POSException import ConflictError

import zc.twist
from tests.unit import calls
from tests.unit.job.callables import handle, note, ok, scribble
from zc.async_.interfaces import COMPLETED, NEW, BadStatusError
from zc.async_.job import (
    ConditionalCallbackProxy,
    Job,
    SuccessFailureCallbackProxy,
    success_or_failure,
)
from zc.async_.job.proxies import CallbackProxy
from zc.async_.running.chains import performed
from zc.async_.running.retry import NeverRetry
from zc.async_.storing.storable import UnstorableError

#: Nothing has happened before a test.
pytestmark = pytest.mark.usefixtures("happened")


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
    raised = f"condition {__name__}.is_short of a callback of" in caplog.text
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
