"""Jobs of odd classes, and jobs that act on themselves."""

import pytest

import zc.async_
from tests.dispatcher import work
from zc.async_.interfaces import COMPLETED, NEW, AbortedError, BadStatusError
from zc.async_.job import Job
from zc.async_.queue import Queue, Queues


class RaisesInSetUp(Job):
    def setUp(self):
        raise ZeroDivisionError("in setUp")


class LeavesInSetUp(Job):
    def setUp(self):
        raise SystemExit


class RaisesInTearDown(Job):
    def tearDown(self, setup_info):
        raise ZeroDivisionError("in tearDown")


class LeavesInTearDown(Job):
    def tearDown(self, setup_info):
        work.leave()


class ChangesInTearDown(Job):
    def tearDown(self, setup_info):
        self._p_jar.root()["counter"].increase()


class RaisesInInit(Job):
    def __init__(self, callable):
        raise ZeroDivisionError("in __init__")


class RaisesInRepr(Job):
    def __repr__(self):
        # Once, lest the log of the test raise as well.
        if work.happened:
            return "shown"
        work.happened.append("repr")
        raise ZeroDivisionError("in __repr__")


class RaisesInCallable(Job):
    @property
    def callable(self):
        raise ZeroDivisionError("in callable")

    @callable.setter
    def callable(self, value):
        self.stored_callable = "tests.dispatcher.work:answer"


class CallableIsNone(RaisesInCallable):
    @property
    def callable(self):
        return None

    @callable.setter
    def callable(self, value):
        self.stored_callable = "tests.dispatcher.work:answer"


class RaisesInPolicy(Job):
    def getRetryPolicy(self):
        raise ZeroDivisionError("in getRetryPolicy")


class HasNoInit(Job):
    def __init__(self, *args):
        """Leave out what a job needs."""


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (RaisesInSetUp, ZeroDivisionError),
        (RaisesInCallable, ZeroDivisionError),
        (CallableIsNone, TypeError),
        (HasNoInit, AttributeError),
    ],
)
def test_a_job_of_a_class_that_raises_fails_with_that(
    dispatcher, put, failed, errors_told, kind, error
):
    job = put(kind(work.answer))
    failed(job, error)
    assert f"{job!r} failed:" in errors_told()


def test_a_job_class_that_raises_when_a_job_is_made_puts_nothing(dispatcher, client, goes_on):
    with pytest.raises(ZeroDivisionError):
        client.queue.put(RaisesInInit(work.answer))
    client.manager.commit()
    goes_on()


def test_a_policy_that_a_job_cannot_give_fails_it(dispatcher, put, failed, errors_told):
    job = RaisesInPolicy(work.fail)
    job = put(job)
    failed(job, ValueError)
    assert "in getRetryPolicy" in errors_told()


def test_an_error_of_tear_down_is_told_of_and_the_job_has_taken_effect(
    dispatcher, client, put, completed, goes_on, errors_told
):
    job = put(RaisesInTearDown(client.root["counter"].increase))
    completed(job)
    assert job.result == 1
    assert client.root["counter"].count == 1
    assert f"tearDown of {job!r} failed" in errors_told()
    goes_on()


def test_a_tear_down_that_ends_the_thread_does_not_have_the_job_run_again(
    dispatcher, client, put, completed, goes_on
):
    job = put(LeavesInTearDown(client.root["counter"].increase))
    completed(job)
    goes_on()
    client.manager.begin()
    assert job.result == 1
    assert client.root["counter"].count == 1


def test_a_set_up_that_ends_the_thread_is_an_interruption(dispatcher, put, failed):
    failed(put(LeavesInSetUp(work.answer)), AbortedError)


def test_what_tear_down_changes_is_not_committed(dispatcher, client, put, completed, goes_on):
    completed(put(ChangesInTearDown(work.answer)))
    goes_on()
    client.manager.begin()
    assert client.root["counter"].count == 0


def test_a_job_whose_repr_raises_runs(dispatcher, client, put, settle):
    job = put(RaisesInRepr(client.root["counter"].increase))

    def ended():
        client.manager.begin()
        return job.status == COMPLETED

    # Not `completed`, which would tell of the job.
    settle(ended)
    assert job.result == 1


# -- what jobs do to themselves


def own():
    return zc.async_.local.getJob()


def put_itself():
    own().queue.put(own())


def put_itself_into_another():
    queues = own()._p_jar.root()["other"] = Queues()
    queues["other"] = Queue()
    queues["other"].put(own())


def remove_itself_from_queue():
    own().queue.remove(own())


def leave_agent():
    own().agent.remove(own())
    return "left"


def delete_agent():
    del own().agent.parent[own().agent.name]


def unregister_dispatcher():
    agents = own().agent.parent
    agents.queue.dispatchers.unregister(agents.UUID)


def deactivate_dispatcher():
    own().agent.parent.deactivate()
    return "deactivated"


def call_itself():
    return own()()


def return_itself():
    return own()


def add_itself_as_callback():
    own().addCallback(own())


def set_own_callable():
    own().callable = work.wait


def complete_itself():
    own().fail()
    return "failed"


def put_itself_back():
    if work.happened.count("back") == 0:
        work.happened.append("back")
        own().queue.putBack(own())
    return "back"


def remove_quota():
    own().queue.quotas.remove("own")
    return "removed"


def shrink_quota():
    own().queue.quotas["own"].size = 0
    return "shrunk"


def shrink_agent():
    own().agent.size = 0
    return "shrunk"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (put_itself, BadStatusError),
        (put_itself_into_another, BadStatusError),
        (remove_itself_from_queue, LookupError),
        (delete_agent, ValueError),
        (unregister_dispatcher, ValueError),
        (call_itself, BadStatusError),
        (add_itself_as_callback, BadStatusError),
        (set_own_callable, BadStatusError),
    ],
)
def test_what_a_job_may_not_do_to_itself_fails_it_and_says_why(
    dispatcher, put, failed, errors_told, call, error
):
    job = put(call)
    assert failed(job, error).getErrorMessage()
    assert f"{job!r} failed:" in errors_told()


def test_a_job_that_leaves_its_agent_completes(dispatcher, put, completed, goes_on):
    job = put(leave_agent)
    completed(job)
    assert job.result == "left"
    goes_on()


def test_a_job_that_returns_itself_ends(dispatcher, put, soon):
    soon(put(return_itself))


def test_a_job_that_puts_itself_back_leaves_the_queue_intact(
    dispatcher, client, put, soon, reactor
):
    job = put(put_itself_back)
    soon(job, put(work.answer))
    reactor.time_flies(11)
    client.manager.begin()
    assert len(client.queue) == 0


def test_a_job_that_fails_itself_ends(dispatcher, put, completed, goes_on):
    job = put(complete_itself)
    completed(job)
    assert job.result == "failed" or job.result.check(AbortedError)
    goes_on()


def test_a_job_that_deactivates_its_dispatcher_completes_and_that_comes_back(
    dispatcher, put, completed, reactor, goes_on, agents_of
):
    job = put(deactivate_dispatcher)
    reactor.time_flies(11)
    completed(job)
    goes_on()
    assert agents_of(dispatcher).activated


@pytest.mark.parametrize("call", [remove_quota, shrink_quota])
def test_a_job_may_remove_or_shrink_its_own_quota(
    dispatcher, client, put, completed, goes_on, call
):
    client.queue.quotas.create("own")
    client.manager.commit()
    job = put(call, quota_names=["own"])
    completed(job)
    assert isinstance(job.result, str)
    goes_on()


def test_a_job_that_shrinks_its_agent_to_nothing_is_the_last(
    dispatcher, client, put, completed, reactor, agents_of, goes_on
):
    completed(put(shrink_agent))
    other = put(work.answer)
    reactor.time_flies(11)
    client.manager.begin()
    assert len(client.queue) == 1
    agents_of(dispatcher)["main"].size = 1
    client.manager.commit()
    completed(other)
    goes_on()


# -- jobs that are nowhere, or in two places


def test_a_job_can_be_put_into_one_queue_only(dispatcher, client, completed, goes_on):
    queues = client.root["other"] = Queues()
    queues["other"] = Queue()
    job = client.queue.put(work.answer)
    for queue in (client.queue, queues["other"]):
        with pytest.raises(BadStatusError, match="only a new job can be put"):
            queue.put(job)
    client.manager.commit()
    assert (len(client.queue), len(queues["other"])) == (1, 0)
    completed(job)
    with pytest.raises(BadStatusError, match="only a new job can be put"):
        queues["other"].put(job)
    goes_on()


def test_a_job_whose_put_was_aborted_says_that_it_cannot_be_put_again(dispatcher, client, goes_on):
    job = client.queue.put(work.answer)
    client.manager.abort()
    with pytest.raises(BadStatusError, match="only a new job can be put"):
        client.queue.put(job)
    goes_on()
    assert Job(work.answer).status == NEW
