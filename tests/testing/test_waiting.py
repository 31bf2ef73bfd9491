"""Waiting for dispatchers, on both kinds of reactor."""

import datetime
import uuid

import pytest
import transaction
import ZODB.POSException

import zc.async_.testing
from tests.testing import work
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING
from zc.async_.testing.looking import look_anew, see_news


def test_a_result_is_waited_for(dispatcher, put):
    assert zc.async_.testing.wait_for_result(put(work.answer)) == 42


def test_a_failure_is_a_result(dispatcher, put):
    result = zc.async_.testing.wait_for_result(put(work.fail))
    assert result.type is ValueError


def test_a_job_that_does_not_complete_is_an_error(dispatcher, put):
    with pytest.raises(AssertionError, match="job never completed"):
        zc.async_.testing.wait_for_result(put(work.wait), seconds=0.2)


def test_a_start_is_that_of_a_thread(dispatcher, put):
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job)
    assert job.status == ACTIVE
    assert [oid for oid, _name in dispatcher.getActiveJobIds()] == [
        int.from_bytes(job._p_oid, "big")
    ]


def test_a_job_that_has_completed_has_started(dispatcher, put):
    job = put(work.answer)
    zc.async_.testing.wait_for_result(job)
    zc.async_.testing.wait_for_start(job)


def test_a_job_that_is_not_due_does_not_start(dispatcher, put):
    later = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    job = put(work.answer, begin_after=later)
    with pytest.raises(AssertionError, match="job never started"):
        zc.async_.testing.wait_for_start(job, seconds=0.2)
    assert job.status == PENDING


def test_a_job_of_another_process_has_started_when_it_is_active(dispatcher, put):
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job)
    zc.async_.dispatcher.clear()
    zc.async_.testing.wait_for_start(job)


def test_an_annotation_is_waited_for(dispatcher, put):
    job = put(work.annotate)
    assert zc.async_.testing.wait_for_annotation(job, "begun") is True
    assert job.annotations["begun"] is True
    job.annotations["answer"] = 1
    transaction.commit()
    assert zc.async_.testing.wait_for_result(job) == 1


def test_an_annotation_that_does_not_come_is_an_error(dispatcher, put):
    with pytest.raises(AssertionError, match="annotation 'nothing' never set"):
        zc.async_.testing.wait_for_annotation(put(work.answer), "nothing", seconds=0.2)


def test_the_first_poll_is_waited_for(dispatcher):
    poll = zc.async_.testing.get_poll(dispatcher, 0)
    assert poll == {
        "": {"main": {"active jobs": [], "error": None, "len": 0, "new jobs": [], "size": 3}}
    }
    assert dispatcher.activated


def test_the_next_poll_is_waited_for(dispatcher):
    first = zc.async_.testing.get_poll(dispatcher, 0)
    second = zc.async_.testing.get_poll(dispatcher)
    assert second.key < first.key


def test_more_polls_are_waited_for(dispatcher):
    zc.async_.testing.get_poll(dispatcher, 2, seconds=20)
    assert len(dispatcher.polls) > 2


def test_a_dispatcher_that_does_not_poll_is_an_error(db, queue, reactor):
    dispatcher = zc.async_.dispatcher.Dispatcher(db, reactor)
    with pytest.raises(AssertionError, match="dispatcher never polled"):
        zc.async_.testing.get_poll(dispatcher, seconds=0.2)


def test_a_stop_is_waited_for(on_real, put, queue, gate):
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job)
    on_real.reactor.callFromThread(on_real.reactor.stop)
    zc.async_.testing.wait_for_deactivation(on_real)
    transaction.begin()
    # All is handed back: the interruption of the job waits to be dealt with.
    assert len(queue) == 1
    assert job.status == ACTIVE


def test_a_dispatcher_that_does_not_stop_is_an_error(dispatcher):
    zc.async_.testing.get_poll(dispatcher, 0)
    with pytest.raises(AssertionError, match="dispatcher never deactivated"):
        zc.async_.testing.wait_for_deactivation(dispatcher, seconds=0.2)


def test_a_death_is_waited_for(dispatcher, queue):
    zc.async_.testing.get_poll(dispatcher, 0)
    transaction.begin()
    silent = uuid.uuid4()
    queue.dispatchers.register(silent)
    agents = queue.dispatchers[silent]
    agents.ping_death_interval = datetime.timedelta(seconds=1)
    agents.activate()
    transaction.commit()
    zc.async_.testing.wait_for_death(agents)
    assert agents.dead


def test_a_dispatcher_that_lives_is_an_error(dispatcher, queue, identity):
    zc.async_.testing.get_poll(dispatcher, 0)
    transaction.begin()
    with pytest.raises(AssertionError, match="dispatcher never died"):
        zc.async_.testing.wait_for_death(queue.dispatchers[identity], seconds=0.2)


def test_it_is_waited_for_worker_threads_also_when_virtual_time_is_used_up(
    on_virtual, put, gate, monkeypatch
):
    # One virtual step; the gate is opened only after that.
    steps = []
    original = zc.async_.testing.waiting._pass_virtual_time

    def pass_virtual_time(seconds):
        steps.append(seconds)
        if len(steps) == 3:
            gate.set()
        original(seconds)

    monkeypatch.setattr(zc.async_.testing.waiting, "_pass_virtual_time", pass_virtual_time)
    job = put(work.wait)
    on_virtual.reactor.time_flies(0)
    monkeypatch.setattr(zc.async_.testing.waiting, "STEP", 6)
    assert zc.async_.testing.wait_for_result(job, seconds=6) == "waited"
    assert steps[:3] == [6, 0, 0]


def test_a_sleep_is_real_whatever_becomes_of_the_time_module(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("not this one"))
    zc.async_.testing.time_sleep(0)


# -- looks


class Conflicting:
    """A persistent object in a storage without MVCC."""

    _p_jar = None


def test_a_read_conflict_is_no_answer():
    looks = iter([ZODB.POSException.ReadConflictError("changed meanwhile"), COMPLETED])

    def look():
        answer = next(looks)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert look_anew(Conflicting(), look) is False
    assert look_anew(Conflicting(), look) == COMPLETED


def test_other_errors_of_a_look_are_raised():
    with pytest.raises(ZeroDivisionError):
        look_anew(Conflicting(), lambda: 1 / 0)


def test_a_look_begins_a_transaction_of_an_explicit_manager_too(db):
    manager = transaction.TransactionManager(explicit=True)
    connection = db.open(manager)
    other = db.open()
    manager.begin()
    root = connection.root()
    assert "news" not in root
    other.root()["news"] = 1
    transaction.commit()
    other.close()
    assert look_anew(root, lambda: root.get("news")) == 1
    manager.abort()
    connection.close()


def test_news_are_not_seen_by_a_thread_with_changes(db):
    connection = db.open()
    connection.root()["change"] = 1
    see_news()
    assert connection.root()["change"] == 1
    transaction.abort()
    see_news()
    assert "change" not in connection.root()
    connection.close()
