"""When a dispatcher polls: in time, on time, and when it is woken."""

import datetime
import threading

import pytest

from tests.dispatcher import choosers, work
from tests.dispatcher.conftest import PATIENCE
from tests.dispatcher.looking import SECOND, nothing_written, seconds
from tests.races.parties import Client
from zc.async_.dispatcher import schedule, wakeup
from zc.async_.dispatcher.records import Records
from zc.async_.dispatcher.returns import Returns
from zc.async_.interfaces import PENDING
from zc.async_.testing import BEGINNING

# -- when polls are due


def test_it_polls_every_poll_interval(start_dispatcher, reactor):
    dispatcher = start_dispatcher(poll_interval=7)
    reactor.time_flies(21)
    times = [poll.utc_timestamp.replace(tzinfo=datetime.UTC) for poll in dispatcher.polls]
    assert times == [BEGINNING + number * SECOND for number in (21, 14, 7, 0)]


def test_a_put_wakes_the_dispatcher_before_the_next_poll(dispatcher, put, completed):
    job = put(work.answer)
    completed(job)
    assert seconds() == 0
    assert job.result == 42
    assert len(dispatcher.polls) == 1


def test_what_another_connection_of_another_thread_puts_wakes_it_too(
    dispatcher, database, completed, client
):
    def put_in_thread():
        other = Client(database)
        other.root["job"] = other.queue.put(work.answer)
        other.manager.commit()
        other.close()

    thread = threading.Thread(target=put_in_thread)
    thread.start()
    thread.join()
    client.manager.begin()
    completed(client.root["job"])
    assert seconds() == 0


def test_what_is_put_before_the_dispatcher_listens_is_found(
    make_dispatcher, install_agent, reactor, put, completed
):
    """The first poll does not see it, and no invalidation is heard yet."""
    install_agent(chooser=choosers.choose_after_hook)
    jobs = []
    work.hooks.append(lambda: jobs.append(put(work.answer)))
    make_dispatcher().activate()
    reactor.time_flies(0)
    completed(*jobs)
    assert seconds() == 0


def test_a_job_due_later_starts_on_time(dispatcher, put, reactor, completed):
    due = [put(work.answer, begin_after=BEGINNING + after * SECOND) for after in (3, 8, 63)]
    reactor.time_flies(64)
    completed(*due)
    assert [(job.active_start - BEGINNING).total_seconds() for job in due] == [3, 8, 63]


def test_a_deadline_is_kept_on_time(dispatcher, put, reactor, client, completed, set_agent):
    set_agent(dispatcher, size=0)
    job = put(work.answer, begin_by=3 * SECOND)
    reactor.time_flies(4)
    completed(job)
    assert job.result.type.__name__ == "TimeoutError"
    # Times of puts are made unique by some microseconds.
    assert (job.active_end - BEGINNING).total_seconds() == pytest.approx(3, abs=0.001)


# -- waiting for workers that may soon be idle


@pytest.fixture
def returns():
    """Tasks that workers give back to nobody's dispatcher."""
    return Returns(None, Records(1, 1))


@pytest.fixture
def waiting(returns):
    """Starts a thread that waits for a number of them. Returns a function: whether it is woken."""

    def waiting(number):
        thread = threading.Thread(target=returns.wait, args=(PATIENCE, number), daemon=True)
        thread.start()

        def is_woken():
            thread.join(PATIENCE / 2)
            return not thread.is_alive()

        while returns._enough != number:
            assert thread.is_alive() or returns._enough == number
        return is_woken

    return waiting


@pytest.fixture
def give_back(returns):
    """Gives a number of them back; returns whether who waits for them is told."""

    def give_back(number):
        for _task in range(number):
            returns.add(None, None, None)
        return returns._are_enough.is_set()

    return give_back


def test_who_waits_for_several_tasks_is_woken_once_they_are_there(waiting, give_back):
    is_woken = waiting(3)
    assert not give_back(2)
    give_back(1)
    assert is_woken()


def test_tasks_that_were_given_back_before_are_counted(waiting, give_back):
    give_back(2)
    assert waiting(2)()


def test_a_wait_for_more_does_not_end_by_what_ended_the_last_one(returns, waiting, give_back):
    assert give_back(1)
    returns.wait(PATIENCE)
    returns._added.clear()
    is_woken = waiting(2)
    assert not give_back(1)
    give_back(1)
    assert is_woken()


def test_a_poll_waits_for_workers_but_not_for_those_that_are_busy_for_long(
    dispatcher, begin, monkeypatch
):
    monkeypatch.setattr(schedule, "BUSY_FOR_LONG", PATIENCE)
    begin(work.wait)
    begin(work.wait)
    assert dispatcher._schedule._awaited() == 2
    monkeypatch.setattr(schedule, "BUSY_FOR_LONG", 0)
    assert dispatcher._schedule._awaited() == 0


def test_a_poll_does_not_wait_if_most_workers_are_idle(
    dispatcher, begin, set_agent, reactor, monkeypatch
):
    monkeypatch.setattr(schedule, "BUSY_FOR_LONG", PATIENCE)
    set_agent(dispatcher, size=10)
    reactor.time_flies(5)
    begin(work.wait)
    begin(work.wait)
    assert dispatcher._schedule._awaited() == 0
    begin(work.wait)
    assert dispatcher._schedule._awaited() == 2


# -- waking


def test_while_a_poll_finds_nothing_to_do_it_is_not_followed_by_another(
    dispatcher, reactor, database, settle
):
    settle(lambda: not reactor.time_passes())
    with nothing_written(database):
        made = reactor.time_flies(4)
        assert made == 0


def test_wishes_to_poll_are_merged(dispatcher, reactor, settle, monkeypatch):
    settle(lambda: not reactor.time_passes())
    polls = []
    counted = count_polls(dispatcher._session.poll, polls)
    monkeypatch.setattr(dispatcher._session, "poll", counted)
    for _ in range(50):
        dispatcher._schedule.wake()
    reactor.time_passes()
    assert len(polls) == 1


def count_polls(make_poll, polls):
    def count(plan):
        polls.append(plan)
        return make_poll(plan)

    return count


def test_a_freed_place_of_a_quota_wakes_every_dispatcher(
    dispatcher, start_dispatcher, client, put, begun, completed, set_agent
):
    """The sibling has nothing to do of its own when the place is freed."""
    client.queue.quotas.create("one")
    client.manager.commit()
    sibling = start_dispatcher(poll_interval=1000)
    first = put(work.wait, quota_names=["one"])
    begun()
    holder = dispatcher if dispatcher.getActiveJobIds() else sibling
    other = sibling if holder is dispatcher else dispatcher
    set_agent(holder, size=0)
    second = put(work.thread_id, quota_names=["one"])
    work.gate.set()
    completed(first, second)
    assert second.result in {thread.ident for thread in other.queues[""]["main"].threads}
    assert seconds() == 0


def test_a_storage_that_does_not_tell_is_looked_at_often(
    start_dispatcher, install_agent, reactor, put, monkeypatch, client
):
    monkeypatch.setattr(wakeup, "_METHODS", ("method of another storage",))
    install_agent()
    dispatcher = start_dispatcher(poll_interval=100)
    reactor.time_flies(1)
    job = put(work.answer)
    reactor.time_flies(0)
    client.manager.begin()
    assert job.status == PENDING
    reactor.time_flies(schedule.LOOK_INTERVAL)
    client.manager.begin()
    assert job.status != PENDING
    # Looks are not polls to be told of.
    assert len(dispatcher.polls) == 1


def test_after_a_conflict_it_polls_again_soon(
    dispatcher, make_dispatcher, put, reactor, set_agent, completed
):
    set_agent(dispatcher, chooser=choosers.choose_with_hook)
    client_job = put(work.answer, begin_after=BEGINNING + 2 * SECOND)
    work.hooks.append(lambda: touch(dispatcher))
    reactor.time_flies(2.2)
    completed(client_job)
    assert work.hooks == []
    assert 2 < (client_job.active_start - BEGINNING).total_seconds() <= 2.2


def touch(dispatcher):
    """Make the present claim conflict, without waking the dispatcher."""
    client = Client(dispatcher.db)
    client.queue.dispatchers[dispatcher.UUID]["main"].running._p_changed = True
    client.manager.commit()
    client.close()
