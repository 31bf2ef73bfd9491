"""The reactor whose time passes when a test says so."""

import datetime
import threading

import pytest
import transaction
import zope.interface.verify
from twisted.internet.defer import Deferred

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.testing
from tests.dispatcher.looking import seconds
from tests.testing import work
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, parallel
from zc.async_.testing import BEGINNING, Reactor, set_now, setUpDatetime
from zc.async_.testing.reactor import LOOK


def in_thread(call):
    """Have another thread make a call, and wait for it."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


# -- as a reactor


def test_it_is_a_reactor():
    zope.interface.verify.verifyClass(zc.async_.interfaces.IReactor, Reactor)
    zope.interface.verify.verifyObject(zc.async_.interfaces.IReactor, Reactor())


def test_calls_are_made_in_order_each_at_its_time(reactor, calls):
    reactor.callLater(3, lambda: calls.note(("third", seconds())))
    reactor.callLater(1, lambda: calls.note(("first", seconds())))
    reactor.callLater(1, lambda: calls.note(("second", seconds())))
    reactor.callLater(7, calls.note, "later")
    assert reactor.time_flies(5) == 3
    assert calls.made == [("first", 1), ("second", 1), ("third", 3)]
    assert seconds() == 5


def test_a_call_that_asks_for_another_has_it_made_in_the_same_flight(reactor, calls):
    def again():
        calls.note(seconds())
        reactor.callLater(2, again)

    reactor.callLater(1, again)
    assert reactor.time_flies(6) == 3
    assert calls.made == [1, 3, 5]


def test_arguments_are_passed_on(reactor, calls):
    def call(*args, **kwargs):
        calls.note((args, kwargs))

    reactor.callLater(0, call, 1, a=2)
    reactor.callFromThread(call, 3, b=4)
    reactor.callWhenRunning(call, 5, c=6)
    reactor.time_flies(0)
    assert sorted(calls.made, key=str) == [((1,), {"a": 2}), ((3,), {"b": 4}), ((5,), {"c": 6})]


def test_a_call_can_be_cancelled(reactor, calls):
    call = reactor.callLater(1, calls.note, "cancelled")
    assert call.active()
    call.cancel()
    assert not call.active()
    assert reactor.time_flies(2) == 0
    assert calls.made == []


def test_a_call_is_not_active_any_more_when_it_is_made(reactor, calls):
    call = reactor.callLater(1, lambda: calls.note(call.active()))
    reactor.time_flies(1)
    assert calls.made == [False]


def test_a_call_cannot_be_made_in_the_past(reactor):
    with pytest.raises(ValueError, match="at least 0"):
        reactor.callLater(-1, print)


def test_an_error_in_a_call_reaches_the_test_and_the_reactor_goes_on(reactor, calls):
    reactor.callLater(1, lambda: 1 / 0)
    reactor.callLater(2, calls.note, "made")
    with pytest.raises(ZeroDivisionError):
        reactor.time_flies(5)
    assert seconds() == 1
    reactor.time_flies(1)
    assert calls.made == ["made"]


def test_what_a_thread_asks_for_is_done_by_the_thread_of_the_test(reactor, calls):
    in_thread(lambda: reactor.callFromThread(lambda: calls.note(threading.current_thread())))
    assert calls.made == []
    assert reactor.time_passes()
    assert calls.made == [threading.current_thread()]
    assert not reactor.time_passes()


def test_what_threads_asked_for_is_not_counted(reactor, calls):
    in_thread(lambda: reactor.callFromThread(calls.note, "asked"))
    reactor.callLater(1, calls.note, "due")
    assert reactor.time_flies(1) == 1
    assert calls.made == ["asked", "due"]


def test_what_a_thread_asks_for_meanwhile_is_done_when_time_has_flown(reactor, calls):
    def meanwhile():
        in_thread(lambda: reactor.callFromThread(lambda: calls.note(("asked", seconds()))))

    reactor.callLater(1, meanwhile)
    reactor.callLater(2, calls.note, "due")
    reactor.time_flies(5)
    assert calls.made == ["due", ("asked", 5)]


def test_what_a_call_asks_for_as_from_a_thread_is_done_at_once(reactor, calls):
    def call():
        reactor.callFromThread(reactor.callFromThread, lambda: calls.note(("asked", seconds())))
        calls.note("call")

    reactor.callLater(1, call)
    reactor.callLater(2, calls.note, "due")
    reactor.time_flies(5)
    assert calls.made == ["call", ("asked", 1), "due"]


def test_a_call_in_a_thread_is_made_by_another_thread(reactor, calls):
    done = threading.Event()

    def call(value, word):
        calls.note((value, word, threading.current_thread() is not threading.main_thread()))
        done.set()

    reactor.callInThread(call, 1, word="a")
    assert done.wait(10)
    assert calls.made == [(1, "a", True)]


def test_time_passes_makes_what_is_due_now_and_nothing_else(reactor, calls):
    reactor.callLater(0, calls.note, "now")
    reactor.callLater(0.1, calls.note, "later")
    assert reactor.time_passes() is True
    assert reactor.time_passes() is False
    assert calls.made == ["now"]
    assert seconds() == 0


# -- time that is set


def test_time_set_forward_makes_calls_due_and_keeps_the_rhythm_of_periodic_ones(reactor, calls):
    def again():
        calls.note(seconds())
        reactor.callLater(5, again)

    reactor.callLater(5, again)
    set_now(BEGINNING + datetime.timedelta(hours=1, seconds=2))
    reactor.time_flies(10)
    # Once late, and then at multiples of five again; what was missed is left out.
    assert calls.made == [3602, 3605, 3610]


def test_a_late_call_that_asks_for_something_else_gets_it_after_its_time(reactor, calls):
    reactor.callLater(5, lambda: reactor.callLater(3, lambda: calls.note(seconds())))
    set_now(BEGINNING + datetime.timedelta(seconds=100))
    reactor.time_flies(10)
    assert calls.made == [103]


def test_time_never_goes_back_by_itself(reactor, calls):
    reactor.callLater(1, lambda: calls.note(seconds()))
    set_now(BEGINNING + datetime.timedelta(seconds=100))
    reactor.time_passes()
    assert calls.made == [100]


# -- life


def test_it_pins_time_while_it_runs():
    reactor = Reactor()
    plain = datetime.datetime
    reactor.start()
    assert reactor.running
    assert datetime.datetime.now(datetime.UTC) == BEGINNING
    reactor.stop()
    assert not reactor.running
    assert datetime.datetime is plain
    assert zc.async_.clock.now() > BEGINNING + datetime.timedelta(days=5000)


def test_it_goes_on_from_a_time_that_is_pinned():
    setUpDatetime()
    set_now(BEGINNING + datetime.timedelta(1))
    reactor = Reactor()
    reactor.start()
    assert zc.async_.clock.now() == BEGINNING + datetime.timedelta(1)
    reactor.stop()


def test_two_of_them_share_the_time(reactor, calls):
    other = Reactor()
    other.start()
    other.callLater(3, calls.note, "other")
    reactor.time_flies(5)
    assert calls.made == []
    other.time_passes()
    assert calls.made == ["other"]
    other.stop()
    assert datetime.datetime.now(datetime.UTC) == BEGINNING + datetime.timedelta(seconds=5)


def test_it_cannot_be_started_twice(reactor):
    with pytest.raises(ValueError, match="already"):
        reactor.start()


def test_what_waits_for_it_to_run_is_called_then(calls):
    reactor = Reactor()
    reactor.callWhenRunning(calls.note, "waiting")
    assert reactor.time_flies(1) == 0
    reactor.start()
    assert calls.made == []
    assert reactor.time_flies(1) == 1
    reactor.callWhenRunning(calls.note, "at once")
    assert reactor.time_flies(1) == 1
    assert calls.made == ["waiting", "at once"]
    reactor.stop()


def test_triggers_are_pulled_in_order_once(calls):
    reactor = Reactor()
    for phase in ("after", "during", "before"):
        reactor.addSystemEventTrigger(phase, "shutdown", calls.note, phase)
    reactor.start()
    reactor.stop()
    reactor.stop()
    assert calls.made == ["before", "during", "after"]
    reactor.start()
    reactor.stop()
    assert calls.made == ["before", "during", "after"]


def test_a_stop_waits_for_what_triggers_wait_for(calls):
    reactor = Reactor()
    waited_for = Deferred()
    reactor.addSystemEventTrigger("before", "shutdown", lambda: waited_for)
    reactor.addSystemEventTrigger("during", "shutdown", calls.note, "during")
    reactor.start()
    reactor.callLater(3, waited_for.callback, None)
    reactor.stop()
    reactor.time_flies(2)
    assert reactor.running
    assert calls.made == []
    reactor.time_flies(1)
    assert not reactor.running
    assert calls.made == ["during"]


def test_a_crash_tells_nobody_and_makes_no_call(calls):
    reactor = Reactor()
    waited_for = Deferred()
    for phase in ("before", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", calls.note, phase)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: waited_for)
    reactor.start()
    reactor.callLater(1, calls.note, "due")
    reactor.callFromThread(calls.note, "asked")
    reactor.crash()
    reactor.crash()
    reactor.time_flies(5)
    assert not reactor.time_passes()
    assert calls.made == []


def test_a_crash_while_it_stops_ends_it(calls):
    reactor = Reactor()
    waited_for = Deferred()
    reactor.addSystemEventTrigger("before", "shutdown", lambda: waited_for)
    reactor.addSystemEventTrigger("after", "shutdown", calls.note, "after")
    reactor.start()
    reactor.stop()
    reactor.crash()
    waited_for.callback(None)
    assert calls.made == []


def test_a_call_may_stop_it(reactor, calls):
    reactor.callLater(1, reactor.stop)
    reactor.callLater(2, calls.note, "due")
    assert reactor.time_flies(5) == 1
    assert not reactor.running
    assert calls.made == []


@pytest.mark.parametrize(
    ("phase", "event"), [("before", "startup"), ("whenever", "shutdown")], ids=str
)
def test_there_are_no_other_events(reactor, phase, event):
    with pytest.raises(ValueError, match="there is no event"):
        reactor.addSystemEventTrigger(phase, event, print)


# -- with a dispatcher


def test_a_job_is_waited_for(on_virtual, reactor, put, capsys):
    job = put(work.answer)
    reactor.wait_for(job)
    assert job.status == COMPLETED
    assert job.result == 42
    assert seconds() == 5
    assert capsys.readouterr().out == ""


def test_several_jobs_are_waited_for(on_virtual, reactor, put):
    jobs = [put(work.answer) for _ in range(7)]
    reactor.wait_for(*jobs)
    assert [job.result for job in jobs] == [42] * 7


def test_a_wait_in_vain_says_so_and_lets_time_pass(on_virtual, reactor, put, capsys):
    job = put(work.answer, begin_after=BEGINNING + datetime.timedelta(seconds=8))
    reactor.wait_for(job, attempts=1)
    assert capsys.readouterr().out == "TIME OUT\n"
    assert seconds() == 5
    reactor.wait_for(job)
    assert capsys.readouterr().out == ""
    assert job.result == 42
    assert seconds() == 10


def test_work_begins_at_its_virtual_time(on_virtual, reactor, put):
    due = BEGINNING + datetime.timedelta(seconds=8)
    job = put(work.now, begin_after=due)
    reactor.time_flies(10)
    reactor.wait_for(job)
    assert job.active_start == due


def test_a_time_set_forward_is_a_time_to_begin(on_virtual, reactor, put):
    due = BEGINNING + datetime.timedelta(days=400)
    job = put(work.answer, begin_after=due)
    reactor.wait_for(job, attempts=1)
    set_now(due)
    reactor.wait_for(job)
    assert job.result == 42


def test_when_a_wait_is_over_the_books_are_kept(on_virtual, queue, reactor, put, identity):
    job = put(work.answer)
    reactor.wait_for(job)
    agent = queue.dispatchers[identity]["main"]
    assert len(agent) == 0
    assert list(agent.completed) == [job]


def test_a_worker_that_only_has_to_tell_of_its_job_is_waited_for(
    on_virtual, reactor, put, monkeypatch
):
    """Though it takes longer than a look, as on a machine that has much to do."""
    report = on_virtual.report

    def report_late(*args):
        threading.Event().wait(3 * LOOK)
        report(*args)

    monkeypatch.setattr(on_virtual, "report", report_late)
    reactor.wait_for(put(work.answer))
    assert on_virtual.jobs_ended == 1


def test_changes_that_were_not_committed_outlive_a_flight(on_virtual, queue, reactor):
    job = queue.put(Job(work.answer))
    reactor.time_flies(5)
    assert job in queue
    transaction.commit()
    reactor.wait_for(job)
    assert job.result == 42


def test_a_job_that_waits_for_an_annotation_sees_it_in_virtual_time(on_virtual, reactor, put):
    job = put(work.annotate)
    reactor.time_flies(1)
    zc.async_.testing.wait_for_annotation(job, "begun")
    job.annotations["answer"] = "yes"
    transaction.commit()
    reactor.wait_for(job)
    assert job.result == "yes"


def test_a_graceful_stop_gives_virtual_time(on_virtual, reactor, put, gate):
    on_virtual.shutdown_grace_period = 30
    job = put(work.wait)
    reactor.time_flies(1)
    zc.async_.testing.wait_for_start(job)
    reactor.stop()
    reactor.time_flies(10)
    assert reactor.running
    gate.set()
    zc.async_.testing.wait_for_deactivation(on_virtual)
    assert not reactor.running
    transaction.begin()
    assert job.result == "waited"


def test_a_job_that_ended_with_another_s_result_counts_as_ended(on_virtual, reactor, put):
    job = put(parallel(work.answer, work.answer, postprocess=work.add))
    reactor.wait_for(job)
    assert job.result == 84
    statistics = on_virtual.getStatistics()
    # The parallel job itself, its two parts, and the postprocessing.
    assert (statistics["started"], statistics["successful"]) == (4, 4)
    info = on_virtual.getJobInfo(int.from_bytes(job._p_oid, "big"))
    assert info["result"] == "84"
    assert info["completed"] >= info["started"]
