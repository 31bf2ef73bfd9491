"""Jobs that are interrupted, lost or removed in unusual places: none of their callbacks is.

Each of these went wrong once.
"""

import operator

import persistent
import pytest
from ZEO.Exceptions import ClientDisconnected

from tests.races.parties import call_hook, done, set_hook, to_raise
from zc.async_ import local
from zc.async_.agent import Agent
from zc.async_.interfaces import CALLBACKS, COMPLETED, NEW, PENDING, ReassignedError
from zc.async_.job import Job, NeverRetry, parallel
from zc.twist import Failure


def let_act(*args):
    """Let another party act."""
    call_hook()
    return "done"


class Interrupted(Job):
    """Raises what is to be raised when it has its turn, whatever its retry policy."""

    def perform_as_callback(self, result):
        if to_raise:
            raise to_raise.pop()
        super().perform_as_callback(result)


class Counter(persistent.Persistent):
    """Counts what took effect in the database."""

    count = 0

    def increase(self, *args):
        self.count += 1
        return self.count


@pytest.fixture
def counter(client):
    counter = client.root["counter"] = Counter()
    client.manager.commit()
    return counter


def statuses(client, job):
    """The statuses of a job and its callbacks, as they are now."""
    client.manager.begin()
    return [job.status, *(callback.status for callback in job.callbacks)]


# -- jobs that are interrupted in their callbacks, or end without having seen all of them


@pytest.mark.parametrize("reason", [SystemExit, ClientDisconnected])
def test_a_job_that_is_lost_in_its_callbacks_has_them_performed_once(
    client, dispatcher, counter, reason
):
    job = Job(operator.mul, 6, 7)
    callbacks = [job.addCallback(kind(counter.increase)) for kind in (Job, Interrupted, Job)]
    client.put(job)
    (claimed,) = dispatcher.claim()
    to_raise.append(reason())
    # The first one's turn is before the interruption.
    with pytest.raises(reason):
        dispatcher.run(claimed)
    assert statuses(client, job) == [CALLBACKS, COMPLETED, NEW, NEW]

    for resumption in dispatcher.poll(lost=[(claimed.job_id, claimed.token)]).jobs:
        dispatcher.run(resumption)
    dispatcher.work()

    assert statuses(client, job) == [COMPLETED] * 4
    assert [callback.result for callback in callbacks] == [1, 2, 3]
    assert len(client.queue) == 0


def test_a_job_that_ends_after_a_stop_and_dies_in_its_callbacks_has_them_performed_once(
    client, dispatcher, sibling, counter
):
    """It was active when the dispatcher stopped: what was put for it is to ask its policy."""
    job = Job(let_act)
    job.addCallback(Interrupted(counter.increase))
    client.put(job)
    (claimed,) = dispatcher.claim()

    def stop_and_die_later():
        dispatcher.leave()
        to_raise.append(SystemExit())

    set_hook(stop_and_die_later)
    with pytest.raises(SystemExit):
        dispatcher.run(claimed)
    assert statuses(client, job) == [CALLBACKS, NEW]

    sibling.work()

    assert statuses(client, job) == [COMPLETED, COMPLETED]
    assert (job.result, counter.count, len(client.queue)) == ("done", 1, 0)


def test_a_callback_that_a_job_did_not_see_is_performed_though_its_dispatcher_has_stopped(
    client, other, dispatcher, sibling, counter
):
    """Who stopped keeps no books any more, by which late callbacks are found."""
    job = client.put(Job(let_act))
    (claimed,) = dispatcher.claim()

    def stop_and_add_callback():
        dispatcher.leave()
        other.manager.begin()
        other.same(job).addCallback(other.root["counter"].increase)
        other.manager.commit()

    set_hook(stop_and_add_callback)
    dispatcher.run(claimed)
    assert statuses(client, job) == [COMPLETED, NEW]

    sibling.work()

    assert statuses(client, job) == [COMPLETED, COMPLETED]
    assert (counter.count, len(client.queue)) == (1, 0)


class HookedNeverRetry(NeverRetry):
    """Does not retry, and lets another party act before it says so."""

    def interrupted(self):
        call_hook()
        return super().interrupted()


def test_a_callback_that_is_added_while_an_interrupted_job_fails_is_performed(
    client, other, dispatcher, sibling, counter
):
    job = client.put(Job(operator.mul, 6, 7), retry_policy_factory=HookedNeverRetry)
    dispatcher.claim()
    dispatcher.leave()

    def add_callback():
        other.manager.begin()
        other.same(job).addCallback(other.root["counter"].increase)
        other.manager.commit()

    set_hook(add_callback)
    sibling.work()

    assert statuses(client, job) == [COMPLETED, COMPLETED]
    assert isinstance(job.result, Failure)
    assert (counter.count, len(client.queue)) == (1, 0)


# -- callbacks of callbacks


def add_directly(job, first):
    return job.addCallback(first)


def add_by_proxy(job, first):
    job.addCallbacks(success=first)
    return first


def add_by_two_proxies(job, first):
    """The callback comes behind a proxy that has nothing to call for a success."""
    job.addCallbacks(failure=let_act).addCallbacks(success=first)
    return first


@pytest.mark.parametrize("add", [add_directly, add_by_proxy, add_by_two_proxies])
def test_callbacks_of_a_callback_that_was_interrupted_in_them_are_performed_at_the_resumption(
    client, dispatcher, sibling, counter, add
):
    job = Job(operator.mul, 6, 7)
    first = add(job, Job(counter.increase))
    second = first.addCallback(Interrupted(counter.increase))
    client.put(job)
    (claimed,) = dispatcher.claim()
    to_raise.append(SystemExit())
    with pytest.raises(SystemExit):
        dispatcher.run(claimed)
    dispatcher.leave()
    client.manager.begin()
    assert (first.status, second.status) == (CALLBACKS, NEW)

    sibling.work()

    client.manager.begin()
    assert [one.status for one in (job, first, second)] == [COMPLETED] * 3
    assert (first.result, second.result, counter.count) == (1, 2, 2)
    assert len(client.queue) == 0


# -- callbacks that cannot wait


async def be_coroutine(result):
    return "awaited"


def return_coroutine(result):
    done.append("called")
    return be_coroutine(result)


@pytest.mark.parametrize("callback", [be_coroutine, return_coroutine])
def test_a_coroutine_as_callback_is_run_to_its_end(client, dispatcher, callback):
    job = Job(operator.mul, 6, 7)
    called = job.addCallback(callback)
    client.put(job)
    dispatcher.work()

    assert statuses(client, job) == [COMPLETED, COMPLETED]
    assert (job.result, called.result) == (42, "awaited")


# -- agents that go while jobs wait


def remove_agent(client, dispatcher):
    agents = dispatcher.agents(client)
    del agents["main"]
    agents["another"] = Agent()


def unregister(client, dispatcher):
    dispatcher.agents(client).deactivate()
    client.queue.dispatchers.unregister(dispatcher.uuid)


@pytest.mark.parametrize("leave", [remove_agent, unregister])
def test_a_job_that_waits_goes_on_though_its_agent_is_gone(
    client, dispatcher, sibling, counter, leave
):
    job = parallel(Job(operator.mul, 6, 7), Job(operator.mul, 6, 8))
    job.addCallback(counter.increase)
    client.put(job)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    client.manager.begin()
    assert job.is_suspended()
    leave(client, dispatcher)
    client.manager.commit()

    sibling.work()

    assert statuses(client, job) == [COMPLETED, COMPLETED]
    assert [part.result for part in job.result] == [42, 48]
    assert (job.queue, counter.count, len(client.queue)) == (client.queue, 1, 0)


def test_an_interrupted_job_runs_again_though_its_dispatcher_is_unregistered(
    client, dispatcher, sibling
):
    job = client.put(Job(operator.mul, 6, 7))
    dispatcher.claim()
    client.manager.begin()
    unregister(client, dispatcher)
    client.manager.commit()

    sibling.work()

    assert statuses(client, job) == [COMPLETED]
    assert (job.result, len(client.queue)) == (42, 0)


def test_a_late_callback_is_performed_though_the_dispatcher_of_the_job_is_unregistered(
    client, dispatcher, sibling, counter
):
    job = client.put(Job(operator.mul, 6, 7))
    dispatcher.work()
    client.manager.begin()
    unregister(client, dispatcher)
    job.addCallback(counter.increase)
    client.manager.commit()

    sibling.work()

    assert statuses(client, job) == [COMPLETED, COMPLETED]
    assert counter.count == 1


# -- workers whose jobs were taken from them


def let_act_and_begin_anew():
    """Nothing that was read before is checked against what others did meanwhile."""
    call_hook()
    local.getJob()._p_jar.transaction_manager.begin()
    return "done"


def test_a_worker_whose_job_was_put_back_commits_nothing_though_nobody_has_claimed_it(
    client, dispatcher, make_dispatcher
):
    sibling = make_dispatcher(size=0)
    job = client.put(Job(let_act_and_begin_anew))
    (claimed,) = dispatcher.claim()

    def stop_and_have_it_put_back():
        dispatcher.leave()
        sibling.work()

    dispatcher.run_in_vain(claimed, stop_and_have_it_put_back)

    assert statuses(client, job) == [PENDING]
    assert (list(client.queue), len(client.queue)) == ([job], 1)
    sibling.agents(client)["main"].size = 1
    client.manager.commit()
    sibling.work()
    assert statuses(client, job) == [COMPLETED]
    assert (job.result, len(client.queue)) == ("done", 0)


# -- what is told


def commit_after_others(*args):
    """Commit what a worker must not commit any more."""
    job = local.getJob()
    call_hook()
    root = job._p_jar.root()
    root["written"] = root.get("written", 0) + 1
    job._p_jar.transaction_manager.commit()


def test_a_worker_that_gives_up_a_job_leaves_no_traceback_of_the_transaction(
    client, dispatcher, sibling, caplog
):
    client.put(Job(commit_after_others))
    (claimed,) = dispatcher.claim()

    def reassign():
        dispatcher.leave()
        sibling.work()

    dispatcher.run_in_vain(claimed, reassign)
    assert [record for record in caplog.records if record.name.startswith("txn")] == []
    client.manager.begin()
    assert client.root["written"] == 1


def wait_elsewhere_and_lose_the_connection(other):
    """As with a commit that the server does late, after its worker was told of no answer."""
    done.append("run")
    call_hook()
    raise ClientDisconnected


def test_a_job_whose_commit_is_done_late_and_waits_for_another_does_not_run_again(
    client, other, dispatcher
):
    inner = Job(operator.add, 1, 2)
    job = client.queue.put(Job(wait_elsewhere_and_lose_the_connection, inner))
    client.manager.commit()

    def commit_late():
        other.manager.begin()
        theirs = other.same(job)
        theirs.wait_for_job(other.queue.put(theirs.args[0]))
        other.manager.commit()

    set_hook(commit_late)
    (claimed,) = dispatcher.claim()
    with pytest.raises(ReassignedError):
        dispatcher.run(claimed)
    dispatcher.work()
    client.manager.begin()
    assert done == ["run"]
    assert (job.status, job.result) == (COMPLETED, 3)
