"""Jobs of dispatchers that wait for a Deferred."""

import threading

from tests.dispatcher import work
from tests.dispatcher.looking import reported
from zc.async_.interfaces import PENDING
from zc.twist import Failure


def test_a_job_with_a_deferred_holds_no_thread_but_its_place(
    dispatcher, put, set_agent, begun, settle, client, completed, agents_of
):
    set_agent(dispatcher, size=1)
    first, second = put(work.defer), put(work.answer)
    begun()
    pool = dispatcher.queues[""]["main"]
    settle(lambda: pool.waiting)
    assert not pool.working
    assert pool.busy == 1
    assert list(agents_of(dispatcher)["main"]) == [first]
    assert second.status == PENDING
    assert dispatcher.getActiveJobIds() == []
    work.deferreds[0].callback(43)
    completed(first, second)
    assert first.result == 43


def test_the_result_of_a_deferred_is_committed_by_a_worker(dispatcher, begin, settle, completed):
    job = begin(work.defer)
    settle(lambda: dispatcher.queues[""]["main"].waiting)
    work.deferreds[0].callback(43)
    completed(job)
    info = dispatcher.getJobInfo(*reported(job))
    assert info["result"] == "43"
    assert info["thread"] in {thread.ident for thread in dispatcher.queues[""]["main"].threads}


def test_a_deferred_that_fires_in_another_thread_will_do(dispatcher, begin, completed):
    job = begin(work.defer)
    thread = threading.Thread(target=lambda: work.deferreds[0].callback(43))
    thread.start()
    thread.join()
    completed(job)
    assert job.result == 43


def test_a_deferred_that_fails_fails_the_job(dispatcher, begin, completed):
    job = begin(work.defer)
    work.deferreds[0].errback(ValueError("too bad"))
    completed(job)
    assert isinstance(job.result, Failure)
    assert job.result.type is ValueError


def test_the_callbacks_of_a_job_with_a_deferred_get_its_value(dispatcher, client, begun, completed):
    job = client.queue.put(work.defer)
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    begun()
    work.deferreds[0].callback(43)
    completed(job)
    assert client.root["log"].entries == ((43,),)


def test_a_coroutine_is_a_deferred(dispatcher, begin, settle, completed):
    job = begin(work.await_deferred)
    work.deferreds[0].callback(41)
    completed(job)
    assert job.result == 42


def test_a_coroutine_that_raises_fails_the_job(dispatcher, begin, completed):
    job = begin(work.await_deferred)
    work.deferreds[0].errback(ValueError("too bad"))
    completed(job)
    assert job.result.type is ValueError


def test_a_deferred_that_is_pending_at_a_stop_is_interrupted(
    dispatcher, start_dispatcher, begin, begun, settle, reactor, client, completed
):
    job = begin(work.defer)
    settle(lambda: dispatcher.queues[""]["main"].waiting)
    dispatcher.deactivate()
    client.manager.begin()
    assert [waiting.callable for waiting in client.queue] == [job.handleInterrupt]
    # Too late: nobody takes the value.
    work.deferreds[0].callback("old")
    reactor.time_passes()
    start_dispatcher()
    begun(2)
    work.deferreds[1].callback("new")
    completed(job)
    assert job.result == "new"


def test_a_deferred_is_given_the_grace_period(patient, begin, reactor, settle, client):
    job = begin(work.defer)
    settle(lambda: patient.queues[""]["main"].waiting)
    reactor.stop()
    reactor.time_flies(10)
    assert reactor.running
    work.deferreds[0].callback(43)
    settle(lambda: not reactor.running)
    client.manager.begin()
    assert job.result == 43


def test_a_dispatcher_that_begins_again_has_the_places_of_old_deferreds(
    dispatcher, put, begun, settle, reactor, completed
):
    jobs = [put(work.defer) for _ in range(3)]
    begun(3)
    settle(lambda: len(dispatcher.queues[""]["main"].waiting) == 3)
    dispatcher.deactivate()
    dispatcher.activate()
    reactor.time_flies(0)
    begun(6)
    for deferred in work.deferreds:
        deferred.callback("fired")
    completed(*jobs, put(work.answer))
