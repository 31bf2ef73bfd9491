"""Callbacks, and jobs called in a worker by hand, that return Deferreds and coroutines."""

import pytest
import transaction
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure as TwistedFailure

import zc.async_
from tests.dispatcher import work
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED, AbortedError
from zc.async_.job import Job, NeverRetry
from zc.twist import Failure


def defer(*args):
    """Take effect in the database, and return a Deferred that the test fires."""
    count()
    return work.defer()


def count():
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()


async def await_deferred(*args):
    return (await work.defer()) + 1


def call_by_hand():
    job = zc.async_.local.getJob()._p_jar.root()["by hand"] = Job(defer)
    return job(), job.status


def return_failure(*args):
    """As code does that catches what it tells."""
    count()
    try:
        raise ValueError("too bad")
    except ValueError:
        return TwistedFailure(captureVars=True)


class UnpicklableError(Exception):
    def __init__(self):
        super().__init__(lambda: None)


def return_unpicklable_failure(*args):
    count()
    return TwistedFailure(UnpicklableError())


def fire_with_failure(*args):
    count()
    return succeed(None).addCallback(return_failure_without_counting)


def return_failure_without_counting(result):
    return TwistedFailure(ValueError("too bad"))


def fire_later_with_failure(*args):
    count()
    return work.defer().addCallback(return_failure_without_counting)


def chain(*args):
    """A Deferred that has fired, and waits for another."""
    return succeed(None).addCallback(lambda result: work.defer())


@pytest.fixture
def put_callback(client, begun):
    """Puts a job with a callback, and waits until that has made its Deferred."""

    def put_callback(call, **options):
        job = client.queue.put(work.answer)
        callback = job.addCallback(call, **options)
        client.manager.commit()
        begun(1, work.deferreds)
        return job, callback

    return put_callback


@pytest.fixture
def fire(reactor):
    """Fires Deferreds in the thread of the reactor."""

    def fire(number, value):
        reactor.callFromThread(work.deferreds[number].callback, value)

    return fire


@pytest.mark.parametrize(("call", "result"), [(defer, 43), (await_deferred, 44), (chain, 43)])
def test_a_callback_waits_for_what_it_returned_and_those_behind_it_come_after_that(
    dispatcher, client, completed, begun, fire, settle, call, result
):
    job = client.queue.put(work.answer)
    callback = job.addCallback(call)
    behind = callback.addCallback(client.root["log"].note)
    last = job.addCallback(client.root["log"].note)
    client.manager.commit()
    begun(1, work.deferreds)

    def is_active():
        client.manager.begin()
        return callback.status == ACTIVE

    settle(is_active)
    assert (job.status, behind.status) == (CALLBACKS, "new-status")
    fire(0, 43)
    completed(job)
    assert callback.result == result
    assert client.root["log"].entries == ((result,), (42,))
    assert last.status == COMPLETED
    assert len(work.deferreds) == 1


def test_what_a_callback_did_before_it_waits_is_committed_once(
    dispatcher, client, completed, put_callback, fire
):
    job, _callback = put_callback(defer)
    fire(0, 43)
    completed(job)
    assert client.root["counter"].count == 1


def test_a_failure_of_what_a_callback_waits_for_is_its_result(
    dispatcher, completed, put_callback, reactor
):
    job, callback = put_callback(defer)
    reactor.callFromThread(work.deferreds[0].errback, ValueError("too bad"))
    completed(job)
    assert callback.result.check(ValueError)


def test_a_value_that_cannot_be_stored_fails_the_callback(
    dispatcher, completed, put_callback, fire
):
    job, callback = put_callback(defer)
    fire(0, (number for number in (1, 2)))
    completed(job)
    assert "generator" in callback.result.getErrorMessage()


def test_a_job_that_a_job_calls_waits_too(dispatcher, put, completed, begun, fire):
    job = put(call_by_hand)
    begun(1, work.deferreds)
    fire(0, 43)
    completed(job)
    assert job.result == (43, COMPLETED)


@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_a_stop_interrupts_a_callback_that_waits(
    start_dispatcher, install_agent, client, completed, put_callback, begun, fire, settle, policy
):
    install_agent()
    first = start_dispatcher()
    job, callback = put_callback(defer, retry_policy_factory=policy)

    def is_active():
        client.manager.begin()
        return callback.status == ACTIVE and client.root["counter"].count == 1

    settle(is_active)
    threads = [thread for pool in first.pools() for thread in pool.threads]
    first.deactivate()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    client.manager.begin()
    assert job.status == CALLBACKS
    fire(0, "old")
    start_dispatcher()
    if policy is None:
        begun(2, work.deferreds)
        fire(1, "new")
    completed(job)
    if policy is None:
        assert callback.result == "new"
    else:
        assert callback.result.check(AbortedError)
    assert client.root["counter"].count == (2 if policy is None else 1)


def test_a_stop_gives_a_callback_that_waits_the_grace_period(
    start_dispatcher, install_agent, client, put_callback, fire, settle
):
    install_agent()
    dispatcher = start_dispatcher(shutdown_grace_period=60)
    job, callback = put_callback(defer)
    stopped = dispatcher.deactivate()
    fire(0, 43)
    settle(lambda: stopped.called)
    client.manager.begin()
    assert (job.status, callback.result) == (COMPLETED, 43)


@pytest.mark.parametrize(
    "call", [return_failure, return_unpicklable_failure, fire_with_failure, fire_later_with_failure]
)
@pytest.mark.parametrize("as_callback", [False, True])
def test_a_failure_that_is_returned_is_the_result_and_what_was_done_stays(
    dispatcher, client, completed, begun, fire, call, as_callback
):
    job = client.queue.put(work.answer if as_callback else call)
    failing = job.addCallback(call) if as_callback else job
    proxy = failing.addCallbacks(failure=client.root["log"].note)
    client.manager.commit()
    if call is fire_later_with_failure:
        begun(1, work.deferreds)
        fire(0, None)
    completed(job)
    assert isinstance(failing.result, Failure)
    name = "UnpicklableError" if call is return_unpicklable_failure else "ValueError"
    assert name in failing.result.type_name
    assert client.root["counter"].count == 1
    assert len(client.root["log"].entries) == 1
    assert proxy.job is proxy.failure


# -- by hand


@pytest.fixture
def by_hand(database):
    """Makes jobs in the connection of this thread's transaction manager."""
    connection = database.open()

    def by_hand(call):
        job = connection.root()["job"] = Job(call)
        return job

    yield by_hand
    transaction.abort()
    connection.close()


def return_deferred():
    work.deferreds.append(Deferred())
    return work.deferreds[-1]


async def answer():
    return 42


def test_a_coroutine_that_waits_for_nothing_is_run_by_who_calls_the_job(by_hand):
    assert by_hand(answer)() == 42
