"""Queues, quotas and agents that go while there are jobs."""

import datetime

from tests.dispatcher import work
from zc.async_.interfaces import COMPLETED, KEY, PENDING
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.queue import Queue


def test_a_quota_that_is_removed_while_its_jobs_run_holds_nobody_back(
    dispatcher, client, put, begun, reactor, completed, goes_on
):
    client.queue.quotas.create("one")
    client.manager.commit()
    running = put(work.wait, quota_names=["one"])
    begun()
    waiting = put(work.thread_id, quota_names=["one"])
    reactor.time_flies(6)
    client.manager.begin()
    assert waiting.status == PENDING
    client.queue.quotas.remove("one")
    client.manager.commit()
    reactor.time_flies(6)
    completed(waiting)
    work.gate.set()
    completed(running)
    goes_on()


def test_a_quota_of_size_0_holds_its_jobs_and_no_others_until_it_grows(
    dispatcher, client, put, reactor, completed, goes_on
):
    client.queue.quotas.create("none", 0)
    client.manager.commit()
    held = put(work.answer, quota_names=["none"])
    late = put(work.answer, quota_names=["none"], begin_by=datetime.timedelta(seconds=30))
    completed(put(work.thread_id))
    reactor.time_flies(31)
    completed(late)
    assert late.result.check(BeginByPassedError)
    assert held.status == PENDING
    client.queue.quotas["none"].size = 1
    client.manager.commit()
    reactor.time_flies(6)
    completed(held)
    goes_on()


def test_a_queue_that_is_removed_with_its_jobs_takes_these_along_and_no_others(
    dispatcher, client, put, begun, reactor, completed, goes_on, settle
):
    client.root[KEY]["other"] = Queue()
    client.manager.commit()
    reactor.time_flies(6)
    client.manager.begin()
    running = client.root[KEY]["other"].put(work.wait)
    waiting = client.root[KEY]["other"].put(work.answer, begin_after=never())
    client.manager.commit()
    begun()
    client.manager.begin()
    del client.root[KEY]["other"]
    client.manager.commit()
    reactor.time_flies(6)
    completed(put(work.thread_id))
    work.gate.set()
    settle(lambda: client.manager.begin() and running.status == COMPLETED)
    assert running.result == "waited"
    assert waiting.status == PENDING
    goes_on()


def never():
    return datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def test_a_dispatcher_that_stops_leaves_its_other_queues_though_one_was_removed(
    dispatcher, client, put, begun, reactor, agents_of, errors_told
):
    client.root[KEY]["another"] = Queue()
    client.manager.commit()
    reactor.time_flies(6)
    client.manager.begin()
    del client.root[KEY]["another"]
    client.manager.commit()
    put(work.wait)
    begun()
    reactor.stop()
    assert agents_of(dispatcher).activated is None
    assert len(client.queue) == 1
    assert "could not deactivate" not in errors_told()


def test_all_queues_can_be_removed_and_made_again(dispatcher, client, reactor, goes_on):
    del client.root[KEY][""]
    client.manager.commit()
    reactor.time_flies(11)
    client.manager.begin()
    client.root[KEY][""] = Queue()
    client.manager.commit()
    reactor.time_flies(11)
    goes_on()
