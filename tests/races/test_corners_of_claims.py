"""Claims that meet what they cannot claim: the jobs behind it run.

Each of these went wrong once.
"""

import datetime
import operator
import threading

import pytest
import zope.component
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ConflictError, POSKeyError

import zc.async_.interfaces
from tests.races.parties import hooked_chooser, nothing, set_hook, to_raise
from zc.async_ import local
from zc.async_.agent import Agent
from zc.async_.dispatcher.plans import Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.interfaces import COMPLETED, KEY, PENDING, IDispatcherActivated
from zc.async_.job import Job, parallel, serial
from zc.async_.queue import Queue
from zc.twist import Failure

SECOND = datetime.timedelta(seconds=1)


# -- what a claim itself puts into the queue


@pytest.mark.parametrize("count", [1, 7, 15, 40])
def test_what_is_put_into_a_lane_while_it_is_read_is_read_by_the_next_claim(
    client, dispatcher, clock, count
):
    """The callbacks of a job that is too late are for a job of the system."""
    jobs = [Job(nothing) for _number in range(count)]
    callbacks = [job.addCallback(nothing) for job in jobs]
    for job in jobs:
        client.queue.put(job, begin_by=SECOND)
    client.manager.commit()
    clock.advance(2)
    client.manager.begin()
    # It reads its own lane, and puts into that.
    assert client.queue.claim() is None
    client.manager.commit()
    assert len(client.queue) == count

    dispatcher.work()

    client.manager.begin()
    assert {job.status for job in [*jobs, *callbacks]} == {COMPLETED}
    assert len(client.queue) == 0


# -- times that are far away


@pytest.mark.parametrize(
    "options",
    [
        {"begin_by": datetime.timedelta.max},
        {"begin_by": datetime.timedelta.max, "begin_after": datetime.datetime(1, 1, 1)},
    ],
)
def test_a_time_to_begin_that_is_never_over_stops_nothing(client, dispatcher, options):
    jobs = [client.queue.put(Job(operator.mul, 6, 7), **options), client.queue.put(nothing)]
    client.manager.commit()
    assert len(dispatcher.poll().jobs) == 2
    client.manager.begin()
    assert len(client.queue) == 0
    assert jobs[0].begin_by == datetime.timedelta.max


def test_a_time_to_begin_in_the_first_year_stops_nothing(client, dispatcher):
    late = client.queue.put(nothing, datetime.datetime(1, 1, 1), datetime.timedelta())
    job = client.queue.put(nothing)
    client.manager.commit()
    dispatcher.work()
    client.manager.begin()
    assert (late.status, job.status) == (COMPLETED, COMPLETED)
    assert late.result.check(zc.async_.interfaces.TimeoutError)


# -- parts that cannot be put


def append_what_lacks_a_quota(composed):
    job = Job(operator.mul, 6, 7)
    job.quota_names = ("missing",)
    composed.args.append(job)


def append_what_cannot_be_called(composed):
    composed.args.append(5)


@pytest.mark.parametrize("compose", [serial, parallel])
@pytest.mark.parametrize(
    ("append", "error"),
    [(append_what_lacks_a_quota, ValueError), (append_what_cannot_be_called, TypeError)],
)
def test_a_composed_job_fails_whose_next_part_cannot_be_put(
    client, dispatcher, compose, append, error
):
    part = Job(append)
    job = compose(part)
    part.args.append(job)
    callback = job.addCallback(nothing)
    client.queue.put(job)
    client.manager.commit()

    dispatcher.work()

    client.manager.begin()
    assert [one.status for one in (job, part, callback)] == [COMPLETED] * 3
    assert isinstance(job.result, Failure)
    assert job.result.check(error)
    assert len(client.queue) == 0


def test_a_serial_job_fails_if_the_quota_of_its_next_part_is_removed(client, dispatcher):
    client.queue.quotas.create("going")
    last = Job(nothing)
    last.quota_names = ("going",)
    job = client.queue.put(serial(Job(remove_quota, "going"), last))
    client.manager.commit()

    dispatcher.work()

    client.manager.begin()
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert "going" in job.result.getErrorMessage()
    assert len(client.queue) == 0


def remove_quota(name):
    local.getQueue().quotas.remove(name)


# -- conflicts, and errors that say nothing about a job


def test_conflicts_that_leave_nothing_to_do_are_followed_by_no_polls(
    client, database, make_dispatcher, sibling
):
    dispatcher = make_dispatcher(chooser=hooked_chooser)
    for _conflict in range(5):
        client.manager.begin()
        client.queue.put(nothing)
        client.manager.commit()
        set_hook(sibling.work)
        assert dispatcher.poll().again is not None
    assert dispatcher.poller.contention.most_jobs("", 8) < 8
    assert dispatcher.poll().again is None
    assert dispatcher.poller.contention.most_jobs("", 8) == 8
    before = database.lastTransaction()
    assert dispatcher.poll().again is None
    assert database.lastTransaction() == before


def accept(job):
    if to_raise:
        raise to_raise.pop()
    return True


@pytest.mark.parametrize("error", [ConflictError, ClientDisconnected, POSKeyError(b"\0" * 8)])
def test_an_error_that_passes_is_no_refusal_of_a_filter(client, dispatcher, error):
    client.manager.begin()
    dispatcher.agents(client)["main"].filter = accept
    job = client.queue.put(nothing)
    client.manager.commit()
    to_raise.append(error)

    assert dispatcher.poll().jobs == []
    client.manager.begin()
    assert job.status == PENDING
    (claimed,) = dispatcher.claim()
    assert claimed.job_id[0] == job._p_oid


@pytest.mark.parametrize("error", [ConflictError, SystemExit])
def test_a_job_stays_in_its_queue_if_a_filter_raises_and_the_claim_is_committed(
    client, dispatcher, error
):
    job = client.queue.put(nothing)
    client.manager.commit()
    to_raise.append(error)
    client.manager.begin()
    with pytest.raises(error):
        client.queue.claim(accept)
    assert list(client.queue) == [job]
    client.manager.commit()

    assert (list(client.queue), len(client.queue)) == ([job], 1)
    assert len(dispatcher.claim()) == 1


def test_another_error_is_a_refusal_of_a_filter(client, dispatcher):
    client.manager.begin()
    dispatcher.agents(client)["main"].filter = accept
    client.queue.put(nothing)
    client.manager.commit()
    to_raise.append(ZeroDivisionError)
    assert dispatcher.poll().jobs == []
    assert dispatcher.claim() == []


# -- dispatchers that are not wanted in a queue


def test_a_live_dispatcher_that_was_unregistered_registers_at_its_next_poll(client, dispatcher):
    zope.component.provideHandler(add_agent, (IDispatcherActivated,))
    client.manager.begin()
    dispatcher.agents(client).deactivate()
    client.queue.dispatchers.unregister(dispatcher.uuid)
    job = client.queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()

    outcome = dispatcher.poll()

    assert not outcome.failed
    assert [claimed.job_id[0] for claimed in outcome.jobs] == [job._p_oid]
    client.manager.begin()
    assert dispatcher.agents(client).activated


def add_agent(event):
    event.object["main"] = Agent()


def test_an_error_in_one_queue_does_not_keep_a_dispatcher_from_the_others(
    client, database, dispatcher, told
):
    other_queue = client.root[KEY]["other"] = Queue()
    job = other_queue.put(nothing)
    other_queue.dispatchers.register(dispatcher.uuid)
    other_queue.dispatchers[dispatcher.uuid]["main"] = Agent()
    client.manager.commit()
    zope.component.provideHandler(refuse_first_queue, (IDispatcherActivated,))
    poller = Poller(database, dispatcher.uuid, Listener(lambda: None))
    dispatcher.agents(client).deactivate()
    client.manager.commit()

    outcome = poller.poll(Plan(busy={}, lost=set(), completed={}))

    assert outcome.failed
    assert [claimed.job_id[0] for claimed in outcome.jobs] == [job._p_oid]
    assert any("queue ''" in message for message in told())
    zope.component.getGlobalSiteManager().unregisterHandler(
        refuse_first_queue, (IDispatcherActivated,)
    )
    assert not poller.poll(Plan(busy={}, lost=set(), completed={})).failed
    client.manager.begin()
    assert dispatcher.agents(client).activated
    poller.close()


def refuse_first_queue(event):
    if event.object.queue.name == "":
        # The commit fails.
        event.object.cannot_be_stored = threading.Lock()


# -- places in quotas of jobs that were put back


@pytest.fixture
def put_back(client, dispatcher, sibling):
    """A job that was claimed, had a place in a quota, and was handed back by a graceful stop."""
    client.manager.begin()
    client.queue.quotas.create("one")
    job = client.queue.put(Job(nothing))
    job.quota_names = ["one"]
    client.manager.commit()
    (claimed,) = dispatcher.claim()
    dispatcher.poller.deactivate([(claimed.job_id, claimed.token)])
    client.manager.begin()
    return job


def test_a_job_that_was_put_back_and_removed_has_no_place_in_a_quota(client, put_back, sibling):
    client.queue.remove(put_back)
    other = client.queue.put(Job(nothing))
    other.quota_names = ["one"]
    client.manager.commit()

    sibling.work()

    client.manager.begin()
    assert len(client.queue.quotas["one"]) == 0
    assert other.status == COMPLETED


def test_a_job_that_was_put_back_and_edited_has_no_place_that_it_does_not_need(
    client, put_back, sibling
):
    put_back.quota_names = ()
    client.manager.commit()
    assert len(sibling.claim()) == 1
    client.manager.begin()
    assert len(client.queue.quotas["one"]) == 0
