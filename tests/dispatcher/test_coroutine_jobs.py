"""Coroutine functions as jobs: they have places of their own, and call workers for the database."""

import functools
import threading

import pytest
from twisted.internet.defer import CancelledError, DeferredList
from twisted.internet.task import deferLater
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ConflictError, ReadConflictError

from tests.dispatcher import work
from zc.async_ import local, utils
from zc.async_.dispatcher.ending import join_workers
from zc.async_.dispatcher.pool import Pool
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING, AsyncError, DetachedObjectError
from zc.async_.job import Job, NeverRetry
from zc.async_.storing import detached
from zc.async_.threadlocal import NoJobError
from zc.twist import Failure

#: The threads in which something happened.
threads = []


async def wait():
    """Wait for a Deferred that the test fires."""
    work.happened.append("wait")
    return await work.defer()


async def answer(*args, **kwargs):
    threads.append(threading.current_thread())
    return args, kwargs


def note_thread():
    threads.append(threading.current_thread())
    return local.getJob(), local.getQueue().name, local.getAgentName()


async def look():
    threads.append(threading.current_thread())
    job, *names = await local.in_worker(note_thread)
    threads.append(threading.current_thread())
    return await local.in_worker(is_this_job, job), names


def is_this_job(job):
    return job is local.getJob() and job.status == ACTIVE


def increase(counter, by=1):
    counter.count += by
    return counter.count


async def increase_twice(counter):
    first = await local.in_worker(increase, counter)
    return first, await local.in_worker(increase, counter, by=10)


class AsyncCounter(work.Counter):
    async def increase_by_itself(self):
        return await local.in_worker(increase, self)


async def open_it(counter, deeper=None):
    return counter.count if deeper is None else deeper[0]["it"].count


def raise_conflict(counter):
    increase(counter)
    work.happened.append("conflict")
    if len(work.happened) < 3:
        raise ConflictError


async def conflict(counter, function=raise_conflict):
    await local.in_worker(function, counter)


def always_conflict(counter):
    work.happened.append("conflict")
    raise ConflictError


def fail(counter):
    increase(counter)
    raise ValueError("too bad")


async def survive(counter):
    try:
        await local.in_worker(fail, counter)
    except ValueError as error:
        return str(error), await local.in_worker(increase, counter)


async def put_another(counter):
    return await local.in_worker(put_increase, counter)


def put_increase(counter):
    return local.getQueue().put(Job(increase, counter))


async def change_and_wait(counter):
    await local.in_worker(increase, counter)
    await work.defer()
    return await local.in_worker(increase, counter)


async def in_a_row(counter):
    steps = [local.in_worker(increase, counter) for _step in range(5)]
    return [value for _good, value in await DeferredList(steps)]


async def leave_steps(counter):
    for _step in range(5):
        local.in_worker(increase, counter)


async def end_thread(counter):
    await local.in_worker(exit_thread, counter)


def exit_thread(counter):
    increase(counter)
    raise SystemExit


def wait_for_the_stop(counter):
    """Return when the dispatcher has told its threads to end."""
    work.happened.append("step")
    (pool,) = [pool for pool in local.getDispatcher().pools() if pool.agent_name == "main"]
    while not pool.stopped:
        work.gate.wait(0.001)


async def go_on_for_ever(counter):
    await local.in_worker(wait_for_the_stop, counter)
    while True:
        try:
            await local.in_worker(increase, counter)
        except AsyncError as error:
            work.happened.append(str(error))


async def tidy_up():
    try:
        await work.defer()
    except CancelledError:
        work.happened.append("cancelled")
        raise


async def nest(depth):
    work.happened.append("nest")
    value = []
    for _level in range(depth):
        value = [value]
    return value


class Untidy(Job):
    """Its tearDown fails."""

    def tearDown(self, setup_info):
        raise ValueError("untidy")

    def leave_thread(self):
        work.happened.append("left")


async def go_on_elsewhere(counter):
    await work.defer()
    threads.append(threading.current_thread())
    return await local.in_worker(increase, counter)


def disconnect(counter):
    work.happened.append("disconnected")
    if len(work.happened) < 8:
        raise ClientDisconnected
    return increase(counter)


async def begin_and_cancel(counter):
    first = local.in_worker(increase, counter)
    second = local.in_worker(increase, counter, by=10)
    third = local.in_worker(increase, counter, by=100)
    second.addErrback(lambda failure: None)
    second.cancel()
    return await first, await third


def look_directly(counter):
    return counter.count


def many(number):
    return [Job(wait) for _job in range(number)]


@pytest.fixture(autouse=True)
def no_threads_noted():
    threads.clear()


@pytest.fixture
def counter(client):
    return client.connection.root()["counter"]


@pytest.fixture
def ended(completed, client):
    """Waits for a job, and returns its result."""

    def ended(job):
        completed(job)
        client.manager.begin()
        return job.result

    return ended


def test_a_coroutine_runs_in_the_thread_of_the_reactor(dispatcher, put, ended):
    job = put(Job(answer, 1, [2], three=3))
    assert job.is_coroutine
    assert ended(job) == ((1, [2]), {"three": 3})
    assert threads == [threading.main_thread()]


def test_a_function_in_a_worker_has_the_context_of_the_job(dispatcher, put, ended):
    assert ended(put(look)) == (True, ["", "main"])
    assert threads[0] is threads[2] is threading.main_thread()
    assert threads[1].name.startswith("zc.async ")


def test_what_a_function_in_a_worker_did_is_committed(dispatcher, put, ended, counter):
    assert ended(put(Job(increase_twice, counter))) == (1, 11)
    assert counter.count == 11


def test_a_method_of_an_object_can_be_one(dispatcher, put, ended, client):
    client.connection.root()["async counter"] = counter = AsyncCounter()
    client.manager.commit()
    job = put(counter.increase_by_itself)
    assert job.is_coroutine
    assert ended(job) == 1
    assert counter.count == 1


@pytest.mark.parametrize("deep", [False, True])
def test_a_coroutine_cannot_look_into_objects(dispatcher, put, ended, counter, deep):
    arguments = (None, [{"it": counter}]) if deep else (counter,)
    result = ended(put(Job(open_it, *arguments)))
    assert isinstance(result, Failure)
    assert result.type is DetachedObjectError
    assert "in_worker" in result.getErrorMessage()
    assert "Counter" in result.getErrorMessage()


def test_a_function_that_conflicts_is_called_again(dispatcher, put, ended, counter):
    assert ended(put(Job(conflict, counter))) is None
    assert work.happened == ["conflict"] * 3
    assert counter.count == 1


def test_after_five_conflicts_the_coroutine_hears_of_it(dispatcher, put, ended, counter):
    result = ended(put(Job(conflict, counter, always_conflict), retry_policy_factory=NeverRetry))
    assert work.happened[:5] == ["conflict"] * 5
    assert result.type is ConflictError


def test_nothing_is_committed_of_a_function_that_raises(dispatcher, put, ended, counter):
    assert ended(put(Job(survive, counter))) == ("too bad", 1)
    assert counter.count == 1


def test_a_coroutine_may_return_a_job_that_it_put(dispatcher, put, ended, counter):
    assert ended(put(Job(put_another, counter))) == 1


def test_steps_are_done_one_after_the_other(dispatcher, put, ended, counter):
    assert ended(put(Job(in_a_row, counter))) == [1, 2, 3, 4, 5]
    assert counter.count == 5


def test_steps_that_nobody_awaits_are_given_up_with_the_coroutine(dispatcher, put, ended, counter):
    assert ended(put(Job(leave_steps, counter))) is None
    assert counter.count <= 1
    assert dispatcher.pools()[0].busy == 0


def test_coroutines_take_no_places_of_threads(dispatcher, client, settle, completed):
    jobs = [client.queue.put(wait) for _job in range(20)]
    plain = [client.queue.put(work.answer) for _job in range(5)]
    client.manager.commit()
    completed(*plain)
    settle(lambda: len(work.deferreds) == 20)
    (pool,) = [pool for pool in dispatcher.pools() if pool.agent_name == "main"]
    assert len(pool.threads) <= 6
    for deferred in work.deferreds:
        deferred.callback(1)
    completed(*jobs)
    assert [job.result for job in jobs] == [1] * 20


def test_there_are_no_more_at_once_than_the_agent_has_places_for(
    install_agent, start_dispatcher, client, settle, completed
):
    install_agent(coroutine_size=2)
    dispatcher = start_dispatcher()
    jobs = [client.queue.put(wait) for _job in range(4)]
    client.manager.commit()
    settle(lambda: len(work.deferreds) == 2)
    dispatcher.reactor.time_flies(20)
    assert len(work.deferreds) == 2
    work.deferreds.pop(0).callback(1)
    settle(lambda: len(work.deferreds) == 2)
    client.manager.begin()
    # (They may have begun in another order than they were put.)
    assert sorted(job.status for job in jobs) == [ACTIVE, ACTIVE, COMPLETED, PENDING]
    for _job in range(3):
        settle(lambda: work.deferreds)
        work.deferreds.pop(0).callback(1)
    completed(*jobs)


@pytest.mark.parametrize("options", [{"coroutine_size": 0}, {"size": 0}])
def test_without_places_they_wait(install_agent, start_dispatcher, client, completed, options):
    install_agent(**options)
    install_agent("other", coroutine_size=0)
    dispatcher = start_dispatcher()
    coroutine, plain = client.queue.put(wait), client.queue.put(work.answer)
    client.manager.commit()
    completed(plain)
    dispatcher.reactor.time_flies(600)
    client.manager.begin()
    assert coroutine.status == PENDING
    assert client.queue.unserved() == {}


def test_threads_that_are_taken_hold_no_coroutine_up(dispatcher, client, completed, settle):
    busy = [client.queue.put(work.wait) for _job in range(3)]
    client.manager.commit()
    settle(lambda: len(work.happened) >= 3)
    job = client.queue.put(answer)
    client.manager.commit()
    completed(job)
    work.gate.set()
    completed(*busy)


def test_labels_and_quotas_hold_for_them_too(
    install_agent, start_dispatcher, client, settle, completed
):
    install_agent(labels=["gpu"])
    start_dispatcher()
    client.queue.quotas.create("one", 1)
    jobs = [client.queue.put(wait, needs=["gpu"], quota_names=["one"]) for _job in range(2)]
    elsewhere = client.queue.put(wait, needs=["eu"])
    client.manager.commit()
    settle(lambda: len(work.deferreds) == 1)
    client.manager.begin()
    assert client.queue.unserved() == {("eu",): 1}
    assert jobs[0].needs == ("gpu",)
    work.deferreds.pop().callback(1)
    settle(lambda: len(work.deferreds) == 1)
    work.deferreds.pop().callback(2)
    completed(*jobs)
    assert [job.result for job in jobs] == [1, 2]
    assert elsewhere.status == PENDING


async def sleep(seconds):
    reactor = local.getReactor()
    await deferLater(reactor, seconds, lambda: None)
    return reactor is local.getDispatcher().reactor


def test_it_gets_the_reactor(dispatcher, put, settle, client, ended):
    job = put(Job(sleep, 10))
    settle(lambda: dispatcher.pools()[0].waiting)
    dispatcher.reactor.time_flies(20)
    assert ended(job) is True


def test_in_worker_is_for_coroutines_of_jobs():
    with pytest.raises(NoJobError, match="put into a queue"):
        local.in_worker(work.answer)


def test_a_coroutine_whose_job_was_given_to_another_commits_nothing(
    dispatcher, put, client, settle, counter
):
    job = put(Job(change_and_wait, counter))
    settle(lambda: len(work.deferreds) == 1)
    client.manager.begin()
    # As somebody who takes the dispatcher for dead.
    agents = client.queue.dispatchers[dispatcher.UUID]
    agents["main"].forget(job)
    client.queue.putBack(job)
    client.manager.commit()
    work.deferreds.pop().callback(None)
    settle(lambda: len(work.deferreds) == 1)
    work.deferreds.pop().callback(None)
    settle(lambda: client.connection.sync() or job.status == COMPLETED)
    # By the second run alone, and the first step of the first one.
    assert counter.count == 3


def test_an_end_of_the_thread_interrupts_the_job(dispatcher, put, ended, counter, caplog):
    job = put(Job(end_thread, counter), retry_policy_factory="never")
    assert ended(job) is not None
    assert counter.count == 0


def test_a_stop_interrupts_coroutines_which_run_again(
    dispatcher, start_dispatcher, put, settle, counter, completed
):
    job = put(Job(change_and_wait, counter))
    settle(lambda: len(work.deferreds) == 1)
    dispatcher.deactivate()
    work.deferreds.clear()
    start_dispatcher()
    settle(lambda: len(work.deferreds) == 1)
    work.deferreds.pop().callback(None)
    completed(job)
    assert job.result == 3


def test_an_edited_job_knows_what_it_calls(client):
    job = Job(work.answer)
    assert not job.is_coroutine
    job.callable = wait
    assert job.is_coroutine
    job.callable = functools.partial
    assert not job.is_coroutine


def test_a_stop_during_a_step_ends_all_threads(dispatcher, put, settle, counter):
    put(Job(go_on_for_ever, counter))
    settle(lambda: work.happened)
    dispatcher.deactivate()
    assert join_workers(dispatcher, 60) == []
    # It is told so once, however often it tries.
    assert len(work.happened) <= 3
    assert counter.count == 0


def test_a_stop_cancels_coroutines(dispatcher, put, settle):
    put(Job(tidy_up))
    settle(lambda: work.deferreds)
    dispatcher.deactivate()
    assert work.happened == ["defer", "cancelled"]


def test_so_does_a_reassignment(dispatcher, put, settle, client, completed):
    job = put(Job(tidy_up))
    settle(lambda: work.deferreds)
    work.deferreds.clear()
    client.manager.begin()
    client.queue.dispatchers[dispatcher.UUID]["main"].forget(job)
    client.queue.putBack(job)
    client.manager.commit()
    settle(lambda: "cancelled" in work.happened and work.deferreds)
    work.deferreds.pop().callback(None)
    completed(job)
    settle(lambda: not any(pool.busy for pool in dispatcher.pools()))


@pytest.mark.parametrize("depth", [3, 100_000])
def test_a_result_is_looked_into_once_the_coroutine_has_ended(
    dispatcher, put, ended, depth, monkeypatch, caplog
):
    """What goes wrong there does not make it run again."""
    attach = detached.attach

    def conflict_first(value, connection):
        monkeypatch.setattr(detached, "attach", attach)
        raise ReadConflictError

    monkeypatch.setattr(detached, "attach", conflict_first)
    result = ended(put(Job(nest, depth)))
    assert work.happened == ["nest"]
    assert (result == [[[[]]]]) == (depth == 3)
    assert isinstance(result, Failure) == (depth != 3)


def test_a_tear_down_that_fails_changes_nothing(dispatcher, put, ended, counter, caplog):
    job = put(Untidy(increase_twice, counter))
    assert ended(job) == (1, 11)
    # After the beginning and after each function.
    assert work.happened == ["left"] * 3
    assert "tearDown of" in caplog.text


def test_outages_are_waited_for(dispatcher, put, ended, counter, monkeypatch):
    monkeypatch.setattr(utils, "DISCONNECTED_BACKOFF", (0, 0, 0))
    assert ended(put(Job(conflict, counter, disconnect))) is None
    assert counter.count == 1


def test_another_thread_may_fire_what_is_awaited(
    dispatcher, put, settle, ended, counter, monkeypatch
):
    job = put(Job(go_on_elsewhere, counter))
    settle(lambda: work.deferreds)
    taking = []
    take_step = Pool.take_step
    monkeypatch.setattr(
        Pool,
        "take_step",
        lambda *args: taking.append(threading.current_thread()) or take_step(*args),
    )
    thread = threading.Thread(target=work.deferreds.pop().callback, args=(None,))
    thread.start()
    thread.join()
    assert ended(job) == 1
    assert threads == [thread]
    assert taking == [threading.main_thread()]


def test_a_function_whose_call_was_cancelled_is_not_called(dispatcher, put, ended, counter):
    assert ended(put(Job(begin_and_cancel, counter))) == (1, 101)


def test_a_function_that_is_no_coroutine_any_more_runs_in_a_worker(
    put, start_dispatcher, install_agent, ended, counter, monkeypatch
):
    job = put(Job(open_it, counter))
    monkeypatch.setitem(globals(), "open_it", look_directly)
    install_agent()
    start_dispatcher()
    assert ended(job) == 0


def test_one_that_has_become_a_coroutine_has_no_objects(
    put, start_dispatcher, install_agent, ended, counter, monkeypatch
):
    job = put(Job(look_directly, counter))
    monkeypatch.setitem(globals(), "look_directly", open_it)
    install_agent()
    start_dispatcher()
    assert "DetachedObjectError" in str(ended(job))
