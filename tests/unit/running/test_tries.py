"""Running jobs by calling them: tries, commits, failures, results."""

import datetime
import logging
import threading
import uuid

import pytest
import transaction
import ZEO.Exceptions
import ZODB
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.selectreactor import SelectReactor
from ZODB.POSException import ConflictError, POSKeyError

import zc.async_.dispatcher
import zc.async_.running.answers
import zc.twist
from tests.unit import calls
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    AbortedError,
    AsyncError,
    BadStatusError,
    MissingCallableError,
    ReassignedError,
)
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job
from zc.async_.running import awaiting, interruptions
from zc.async_.running import tries as running
from zc.async_.running.awaiting import CannotWaitError
from zc.async_.running.holding import ConnectionClosedError
from zc.async_.running.retry import NeverRetry, RetryCommonForever
from zc.async_.threadlocal import local


@pytest.fixture
def log(client):
    """A `calls.Log` in the database."""
    return client.add("log", calls.Log())


@pytest.fixture
def answers(monkeypatch):
    """Sets what `calls.Policy` answers."""

    def set_answers(*answers):
        monkeypatch.setattr(calls.Policy, "answers", list(answers))

    return set_answers


@pytest.fixture
def failing_commits(client):
    """Makes the next commits of `client` fail with these exceptions."""
    errors = []

    class Synchronizer:
        def newTransaction(self, transaction):
            transaction.addBeforeCommitHook(self.check)

        def check(self):
            if errors:
                raise errors.pop(0)

        def beforeCompletion(self, transaction):
            pass

        def afterCompletion(self, transaction):
            pass

    synchronizer = Synchronizer()

    def failing(*new):
        errors.extend(new)
        client.manager.registerSynch(synchronizer)
        client.begin()
        return errors

    yield failing
    client.manager.unregisterSynch(synchronizer)


def add_job(client, *args, **kwargs):
    """A job in the database, in no queue."""
    job = Job(*args, **kwargs)
    client.root[f"job {len(client.root)}"] = job
    client.commit()
    return job


# -- good ends


def test_the_result_is_returned_and_committed(client, other):
    job = add_job(client, calls.add, 1, 2)
    assert job() == 3
    assert job.result == 3
    assert job.status == COMPLETED
    other.begin()
    assert other.mine(job).result == 3
    assert other.mine(job).status == COMPLETED


def test_the_changes_and_the_result_are_one_transaction(client, other, log):
    job = add_job(client, log.note, "text")
    count = client.connection.db().storage.lastTransaction()
    seen = []
    client.manager.get()
    job()
    for record in client.connection.db().storage.iterator(start=count):
        seen.append(len(list(record)))
    assert len(seen) == 2  # the one of `count`, and one for all the job did
    other.begin()
    assert other.mine(log).entries == (("text",),)


def test_a_job_in_no_database_runs_in_the_transaction_of_the_thread():
    job = Job(calls.add, 1, 2)
    before = transaction.get()
    assert job() == 3
    assert job.status == COMPLETED
    assert transaction.get() is not before


def test_a_job_runs_in_the_transaction_manager_of_its_connection(client, log):
    job = add_job(client, log.note, "text")
    outside = transaction.begin()
    job()
    assert transaction.get() is outside


def test_a_job_knows_when_it_ran(client, clock):
    job = add_job(client, calls.nothing)
    job()
    assert job.active_start == job.active_end == clock.now


def test_the_running_job_is_the_local_one(client):
    outer = add_job(client, find_jobs)
    callback = outer.addCallback(find_jobs)
    client.commit()
    calls.happened.clear()
    assert local.job is None
    outer()
    assert calls.happened == [outer, callback]
    assert local.job is None


def find_jobs(*args):
    calls.happened.append(local.getJob())


def test_a_job_called_in_a_job_hides_it_for_a_while(client):
    inner = Job(find_jobs)
    outer = Job(call_then_look, inner)
    calls.happened.clear()
    outer()
    assert calls.happened == [inner, outer]


def call_then_look(job):
    job()
    find_jobs()


def test_results_of_all_kinds_are_kept(client, other):
    for value in (None, 0, "", [1, {"a": (2,)}], calls.Nested, datetime.timedelta(1)):
        job = add_job(client, calls.identity, value)
        assert job() == value
        other.begin()
        assert other.mine(job).result == value


def test_a_persistent_result_becomes_a_record_of_its_own(client, other):
    job = add_job(client, calls.Counter)
    counter = job()
    counter.increase()
    client.commit()
    other.begin()
    assert other.mine(job).result.count == 1


def test_the_success_is_traced_with_the_result(client, caplog):
    caplog.set_level(logging.INFO, "zc.async.trace")
    add_job(client, calls.add, 1, 2)()
    assert "succeeded with result:\n3" in caplog.text


class BadRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_a_result_that_cannot_be_shown_is_a_result(client, caplog, happened):
    caplog.set_level(logging.DEBUG, "zc.async.trace")
    job = add_job(client, BadRepr)
    job.addCallback(calls.happen)
    client.commit()
    job()
    assert job.status == COMPLETED
    assert len(happened) == 1
    assert "BadRepr" in caplog.text


# -- bad ends


def test_an_exception_becomes_a_failure(client, other, log):
    job = add_job(client, log.note_and_fail)
    result = job()
    assert isinstance(result, zc.twist.Failure)
    assert result.check(ValueError)
    assert job.result is result
    assert job.status == COMPLETED
    assert log.entries == ()
    other.begin()
    assert other.mine(job).result.check(ValueError)
    assert "it failed" in other.mine(job).result.getTraceback()


@pytest.mark.parametrize(
    ("make", "level"),
    [
        pytest.param(lambda job: job, logging.ERROR, id="a job"),
        pytest.param(
            lambda job: Job(calls.nothing).addCallback(job), logging.CRITICAL, id="callback"
        ),
    ],
)
def test_failures_are_logged_among_the_events_with_a_traceback(make, level, caplog):
    caplog.set_level(1)
    job = Job(calls.fail)
    (make(job).parent or job)()
    records = [r for r in caplog.records if r.name == "zc.async.events"]
    assert [record.levelno for record in records] == [level]
    assert "it failed" in records[0].getMessage()
    assert "in fail" in records[0].getMessage() or "fail(" in records[0].getMessage()


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.CRITICAL])
def test_the_level_of_the_log_record_can_be_set(level, caplog):
    caplog.set_level(1, "zc.async.events")
    job = Job(calls.fail)
    job.failure_log_level = level
    job()
    assert [record.levelno for record in caplog.records] == [level]


class Strange(Exception):
    """Cannot be pickled, and says so."""

    def __reduce__(self):
        raise TypeError("not me")


def raise_strange():
    raise Strange("the text")


def test_an_exception_that_cannot_be_pickled_is_stored_as_text(client, other):
    job = add_job(client, raise_strange)
    job()
    other.begin()
    result = other.mine(job).result
    assert result.getErrorMessage() == "the text"
    assert result.type_name.endswith("Strange")


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_thread_is_not_swallowed(client, log, error, to_raise, happened):
    job = add_job(client, note_and_raise, log)
    to_raise.append(error())
    with pytest.raises(error):
        job()
    assert log.entries == ()
    assert job.status == NEW
    assert local.job is None


def note_and_raise(log):
    log.note("text")
    calls.raise_next()


# -- results that cannot be stored


def make_generator():
    return (i for i in ())


def change_and_make_lock(log):
    log.note("text")
    return [threading.Lock()]


@pytest.mark.parametrize("factory", [None, NeverRetry, RetryCommonForever])
def test_a_result_that_cannot_be_pickled_fails_the_job_and_names_the_type(
    client, other, log, factory, sleeps
):
    job = add_job(client, change_and_make_lock, log)
    job.retry_policy_factory = factory
    client.commit()
    result = job()
    assert isinstance(result, zc.twist.Failure)
    assert "lock" in result.getErrorMessage()
    assert job.status == COMPLETED
    other.begin()
    assert other.mine(log).entries == ()
    assert "lock" in other.mine(job).result.getErrorMessage()
    assert sleeps == []


def test_a_callback_whose_result_cannot_be_pickled_fails_and_others_go_on(client, happened, sleeps):
    job = add_job(client, calls.nothing)
    bad = job.addCallback(generator_of)
    job.addCallback(calls.happen)
    client.commit()
    job()
    assert "generator" in bad.result.getErrorMessage()
    assert happened == [(None,)]
    assert job.status == COMPLETED
    assert sleeps == []


def generator_of(result):
    return make_generator()


FOREIGN = []


def foreign():
    return FOREIGN[0]


def test_a_result_of_another_connection_fails_the_job(client, other, sleeps):
    client.add("counter", calls.Counter())
    other.begin()
    FOREIGN[:] = [other.root["counter"]]
    job = add_job(client, foreign)
    job.retry_policy_factory = RetryCommonForever
    client.commit()
    result = job()
    FOREIGN.clear()
    assert isinstance(result, zc.twist.Failure)
    assert "tests.unit.calls.Counter" in result.getErrorMessage()
    assert job.status == COMPLETED
    assert sleeps == []


def test_a_job_in_no_database_may_return_anything():
    assert next(Job(make_generator)(), None) is None


# -- retries


def test_a_transaction_error_is_tried_over_five_times_by_default(client, to_raise, happened):
    to_raise += [ConflictError() for _number in range(4)]
    assert add_job(client, calls.raise_next)() == 5
    to_raise += [ConflictError() for _number in range(5)]
    happened.clear()
    assert add_job(client, calls.raise_next)().check(ConflictError)
    assert len(happened) == 5


def test_other_errors_are_not_tried_over_by_default(client, to_raise, happened):
    to_raise.append(ValueError())
    assert add_job(client, calls.raise_next)().check(ValueError)
    assert len(happened) == 1


def test_each_try_begins_with_what_is_in_the_database(client, log, to_raise, happened):
    to_raise += [ConflictError(), ConflictError()]
    add_job(client, note_and_raise, log)()
    assert log.entries == (("text",),)
    assert len(happened) == 3


def conflict(name, log):
    """Change a log that the connection `FOREIGN[0]` changes meanwhile, the first two times."""
    calls.happen()
    log.note(name)
    if len(calls.happened) < 3:
        other = FOREIGN[0]
        other.begin()
        other.mine(log).note("other")
        other.commit()


def test_a_conflict_with_another_connection_is_tried_over(client, other, log, happened):
    FOREIGN[:] = [other]
    job = add_job(client, conflict, "job", log)
    job()
    FOREIGN.clear()
    assert job.status == COMPLETED
    assert len(happened) == 3
    assert log.entries == (("other",), ("other",), ("job",))
    assert job.getRetryPolicy().data["transaction_error"] == 2


def test_a_conflict_without_end_fails_the_job(client, failing_commits, log, happened):
    job = add_job(client, calls.happen)
    failing_commits(*[ConflictError() for _number in range(5)])
    assert job().check(ConflictError)
    assert len(happened) == 5
    assert job.status == COMPLETED


def test_a_commit_that_fails_otherwise_fails_the_job(client, failing_commits, log):
    job = add_job(client, log.note)
    failing_commits(ValueError("bad commit"))
    result = job()
    assert result.check(ValueError)
    assert "bad commit" in result.getErrorMessage()
    assert log.entries == ()


def test_the_failure_is_stored_however_often_that_fails(client, other, failing_commits, sleeps):
    job = add_job(client, calls.fail)
    errors = failing_commits(ConflictError(), ValueError(), ConflictError(), OSError())
    assert job().check(ValueError)
    assert errors == []
    assert len(sleeps) == 2
    other.begin()
    assert other.mine(job).result.getErrorMessage() == "it failed"


def test_other_errors_of_the_commit_are_tried_over_by_the_policy_for_ever(
    client, failing_commits, sleeps, happened
):
    job = add_job(client, calls.happen)
    job.retry_policy_factory = RetryCommonForever
    client.commit()
    failing_commits(*[ValueError() for _number in range(5)])
    assert job() is None
    assert len(happened) == 6
    assert sleeps == [1, 2, 3, 4]


def test_a_database_out_of_reach_is_waited_for(client, to_raise, sleeps, happened):
    to_raise += [ZEO.Exceptions.ClientDisconnected() for _number in range(14)]
    assert add_job(client, calls.raise_next)() == 15
    assert sleeps == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60]


def test_a_policy_that_cannot_be_loaded_for_a_while_is_waited_for(
    client, to_raise, sleeps, monkeypatch
):
    job = add_job(client, calls.raise_next)
    errors = [ZEO.Exceptions.ClientDisconnected(), ConflictError()]
    original = Job.getRetryPolicy

    def get(self):
        if errors:
            raise errors.pop(0)
        return original(self)

    monkeypatch.setattr(Job, "getRetryPolicy", get)
    to_raise.append(ConflictError())
    assert not isinstance(job(), zc.twist.Failure)
    assert errors == []


class LosesDatabase(calls.Policy):
    """Answers when the database is out of reach."""

    def commitError(self, failure, data_cache):
        calls.lose_database()
        return super().commitError(failure, data_cache)


@pytest.mark.parametrize("answer", [True, datetime.timedelta(seconds=1)])
def test_a_database_out_of_reach_between_two_tries_is_waited_for(
    client, connect, agent, answers, clock, failing_commits, sleeps, happened, monkeypatch, answer
):
    other = connect()
    storage = client.connection._storage
    load = storage.load
    job = Job(calls.happen)
    job.retry_policy_factory = LosesDatabase
    client.put(job)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    loads = {}

    def lose_database():
        client.abort()
        client.connection.cacheMinimize()
        loads.update({job._p_oid: [change, fail], agent._p_oid: [fail]})

    def change():
        """Has the job be loaded anew in the next transaction."""
        other.begin()
        other.mine(job)._p_changed = True
        other.commit()

    def fail():
        raise ZEO.Exceptions.ClientDisconnected

    def load_or_fail(oid):
        found = load(oid)
        if loads.get(oid):
            loads[oid].pop(0)()
        return found

    monkeypatch.setattr(storage, "load", load_or_fail)
    monkeypatch.setattr(calls, "lose_database", lose_database, raising=False)
    answers(answer)
    failing_commits(OSError())
    running.run_claimed(job, job.claim_token)
    client.begin()
    assert job.status == (COMPLETED if answer is True else PENDING)
    assert happened.count(()) == (2 if answer is True else 1)
    assert sleeps
    assert loads[job._p_oid if answer is True else agent._p_oid] == []


# -- what a policy may answer


def policy_job(client, agent, callable, *args):
    """A job with `calls.Policy`, claimed by an agent."""
    job = client.put(Job(callable, *args), retry_policy_factory=calls.Policy)
    client.begin()
    assert agent.claimJob() is job
    client.commit()
    return job


def test_true_means_now(client, agent, answers, happened, to_raise):
    answers(True, True)
    to_raise += [ValueError(), KeyError()]
    job = policy_job(client, agent, calls.raise_next)
    job()
    assert job.status == COMPLETED
    assert happened == [(), ("jobError", ValueError), (), ("jobError", KeyError), ()]


def test_false_means_give_up(client, agent, answers, happened):
    answers(False)
    assert policy_job(client, agent, calls.fail)().check(ValueError)
    assert happened == [("jobError", ValueError)]


@pytest.mark.parametrize("answer", [None, 0, ""])
def test_what_is_not_true_means_give_up(client, agent, answers, happened, answer):
    answers(answer)
    assert policy_job(client, agent, calls.fail)().check(ValueError)


@pytest.mark.parametrize("as_", ["timedelta", "datetime", "naive datetime"])
def test_a_time_means_then(client, agent, answers, clock, to_raise, happened, as_):
    when = {
        "timedelta": datetime.timedelta(minutes=5),
        "datetime": clock.after(minutes=5),
        "naive datetime": clock.after(minutes=5).replace(tzinfo=None),
    }[as_]
    answers(when)
    to_raise.append(ValueError())
    job = policy_job(client, agent, calls.raise_next)
    assert job() is None
    assert job.status == PENDING
    assert job.begin_after == clock.after(minutes=5)
    assert len(agent) == 0
    assert list(client.queue) == [job]
    assert ("updateData", {}) in happened
    clock.advance(minutes=4)
    assert calls.run_next(agent) is None
    clock.advance(minutes=1)
    assert calls.run_next(agent) is job
    assert job.status == COMPLETED
    assert not isinstance(job.result, zc.twist.Failure)


@pytest.mark.parametrize("delay", [datetime.timedelta(), datetime.timedelta(minutes=-1)])
def test_no_delay_puts_the_job_back_before_all_others(
    client, agent, answers, to_raise, happened, delay
):
    answers(delay)
    to_raise.append(ValueError())
    job = policy_job(client, agent, calls.raise_next)
    client.put(calls.nothing, priority=1000)
    job()
    client.begin()
    assert client.queue[0] is job


def test_a_time_for_a_commit_error_holds_too(client, agent, answers, failing_commits, happened):
    answers(datetime.timedelta(minutes=5))
    job = policy_job(client, agent, calls.happen)
    failing_commits(ValueError())
    job()
    assert happened[:2] == [(), ("commitError", ValueError)]
    assert job.status == PENDING


def test_a_job_in_no_queue_cannot_wait_and_fails(client, answers, happened, caplog, sleeps):
    answers(datetime.timedelta(minutes=5))
    job = add_job(client, calls.fail)
    job.retry_policy_factory = calls.Policy
    client.commit()
    assert job().check(ValueError)
    assert job.status == COMPLETED
    assert "in no queue" in caplog.text


def test_the_arguments_of_the_call_are_kept_for_the_next_try(client, agent, answers, clock):
    answers(datetime.timedelta(minutes=5))
    job = policy_job(client, agent, fail_first, 1)
    calls.happened.clear()
    job(2, key=3)
    assert job.args == [1, 2]
    assert job.kwargs == {"key": 3}
    clock.advance(minutes=5)
    calls.run_next(agent)
    assert job.result == ((1, 2), {"key": 3})


def fail_first(*args, **kwargs):
    calls.happened.append("call")
    if calls.happened.count("call") == 1:
        raise ValueError("it failed")
    return args, kwargs


def test_a_callback_can_wait_and_so_does_what_is_behind_it(
    client, agent, answers, clock, to_raise, happened
):
    answers(datetime.timedelta(minutes=5))
    job = client.put(calls.add)
    callback = job.addCallback(calls.raise_next, retry_policy_factory=calls.Policy)
    behind = job.addCallback(calls.identity)
    client.commit()
    to_raise.append(ValueError())
    calls.run_next(agent)
    assert (job.status, callback.status, behind.status) == (CALLBACKS, NEW, NEW)
    # It holds no place of the agent meanwhile, and no worker.
    assert len(agent) == 0
    assert calls.run_next(agent) is None
    clock.advance(minutes=5)
    client.begin()
    assert calls.run_next(agent.parent.system_agent) is not None
    assert (job.status, callback.status, behind.status) == (COMPLETED,) * 3
    assert happened[0] == happened[-1] == (0,)
    assert callback.kept_policy.parent is callback
    assert len(client.queue) == 0


def test_the_code_of_a_callback_may_be_missing_for_a_while(client, agent, clock, monkeypatch):
    job = client.put(calls.add)
    callback = job.addCallback(calls.identity)
    callback.stored_callable = "tests.unit.calls:installed_later"
    client.commit()
    calls.run_next(agent)
    assert (job.status, callback.status, len(agent)) == (CALLBACKS, NEW, 0)
    clock.advance(seconds=1)
    client.begin()
    calls.run_next(agent.parent.system_agent)
    assert (job.status, callback.status) == (CALLBACKS, NEW)
    monkeypatch.setattr(calls, "installed_later", calls.identity, raising=False)
    clock.advance(seconds=2)
    client.begin()
    calls.run_next(agent.parent.system_agent)
    assert (job.status, callback.result) == (COMPLETED, 0)


def test_a_policy_that_raises_fails_the_job_and_is_logged(client, agent, answers, happened, caplog):
    answers(RuntimeError("bad policy"))
    assert policy_job(client, agent, calls.fail)().check(ValueError)
    assert "bad policy" in caplog.text
    assert "CRITICAL" in caplog.text


def test_a_policy_that_does_not_exist_fails_the_job_and_is_logged(client, caplog):
    job = add_job(client, calls.fail)
    job.retry_policy_factory = "no such name"
    client.commit()
    assert job().check(ValueError)
    assert "no adapter named 'no such name'" in caplog.text


def test_after_begin_by_there_is_no_retry(client, agent, answers, clock, happened):
    answers(True, True)
    job = client.put(
        take_long_and_fail,
        begin_by=datetime.timedelta(hours=1),
        retry_policy_factory=calls.Policy,
    )
    CLOCKS.append(clock)
    calls.run_next(agent)
    CLOCKS.clear()
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert [event[0] for event in happened] == ["try", "jobError", "try", "jobError"]


#: The clock, for code of jobs.
CLOCKS = []


def take_long_and_fail():
    calls.happened.append(("try",))
    CLOCKS[0].advance(minutes=40)
    raise ValueError("it failed")


def test_a_retry_at_a_time_after_begin_by_is_refused(client, agent, answers, clock, happened):
    answers(datetime.timedelta(hours=2))
    job = client.put(
        calls.fail, begin_by=datetime.timedelta(hours=1), retry_policy_factory=calls.Policy
    )
    calls.run_next(agent)
    assert job.status == COMPLETED
    assert job.result.check(ValueError)


def test_a_retry_at_a_time_does_not_move_the_deadline(client, agent, answers, clock, happened):
    answers(*[datetime.timedelta(minutes=25)] * 10)
    job = client.put(
        calls.happen_and_fail,
        begin_by=datetime.timedelta(hours=1),
        retry_policy_factory=calls.Policy,
    )
    for _number in range(5):
        calls.run_next(agent)
        clock.advance(minutes=25)
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert [event for event in happened if event == ()] == [(), (), ()]


def test_a_retry_that_is_claimed_after_begin_by_times_out(client, agent, answers, clock, happened):
    answers(datetime.timedelta(minutes=50))
    job = client.put(
        calls.fail, begin_by=datetime.timedelta(hours=1), retry_policy_factory=calls.Policy
    )
    calls.run_next(agent)
    assert job.status == PENDING
    clock.advance(minutes=70)
    assert calls.run_next(agent) is None
    assert job.result.check(BeginByPassedError)


# -- interruptions


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        pytest.param(True, None, id="now"),
        pytest.param(datetime.timedelta(), None, id="at once"),
        pytest.param(datetime.timedelta(minutes=5), 5, id="later"),
        pytest.param(datetime.datetime(2030, 1, 1, 12, 5, tzinfo=datetime.UTC), 5, id="then"),
    ],
)
def test_an_interrupted_job_waits_as_its_policy_says(
    client, agent, answers, clock, happened, answer, after
):
    answers(answer)
    job = policy_job(client, agent, calls.nothing)
    job.activate_at(clock.time)
    job.handleInterrupt()
    client.commit()
    assert happened == [("interrupted",)]
    assert job.status == PENDING
    assert len(agent) == 0
    if after:
        assert client.claim() is None
        clock.advance(minutes=after)
    assert client.claim() is job


def test_an_interrupted_job_that_is_not_to_be_retried_was_aborted(
    client, agent, answers, clock, happened
):
    answers(False)
    job = policy_job(client, agent, calls.nothing)
    job.activate_at(clock.time)
    job.handleInterrupt()
    assert job.status == COMPLETED
    assert job.result.check(AbortedError)


def test_an_interrupted_job_whose_policy_raises_fails(
    client, agent, answers, clock, happened, caplog
):
    answers(RuntimeError("bad policy"))
    job = policy_job(client, agent, calls.nothing)
    job.activate_at(clock.time)
    job.handleInterrupt()
    assert job.result.check(AbortedError)
    assert "bad policy" in caplog.text


@pytest.mark.parametrize("error", [ConflictError, ZEO.Exceptions.ClientDisconnected])
def test_the_interruption_is_not_lost_when_the_transaction_fails(
    client, agent, answers, clock, happened, error
):
    answers(error(), True)
    job = policy_job(client, agent, calls.nothing)
    job.activate_at(clock.time)
    with pytest.raises(error):
        job.handleInterrupt()
    assert job.status == ACTIVE
    job.handleInterrupt()
    assert job.status == PENDING


class Exits(calls.Policy):
    def jobError(self, failure, data_cache):
        raise SystemExit


def test_a_policy_may_end_the_thread(client):
    job = add_job(client, calls.fail)
    job.retry_policy_factory = Exits
    client.commit()
    with pytest.raises(SystemExit):
        job()


@pytest.mark.parametrize("answer", [True, datetime.timedelta(minutes=90)])
def test_after_begin_by_an_interrupted_job_is_not_retried(
    client, agent, answers, clock, happened, answer
):
    answers(answer)
    job = client.put(
        calls.nothing, begin_by=datetime.timedelta(hours=1), retry_policy_factory=calls.Policy
    )
    agent.claimJob().activate_at(clock.time)
    if answer is True:
        clock.advance(hours=1)
    job.handleInterrupt()
    assert job.status == COMPLETED
    assert job.result.check(BeginByPassedError)


@pytest.mark.parametrize("status", [NEW, PENDING, COMPLETED])
def test_only_a_job_that_somebody_had_is_interrupted(status, happened):
    job = Job(calls.nothing)
    job.retry_policy_factory = calls.Policy
    job._set_status(status)
    job.handleInterrupt()
    assert happened == []
    assert job.status == status


def test_an_interrupted_job_is_given_a_moment_and_then_runs_before_others(
    client, agent, clock, monkeypatch
):
    monkeypatch.setattr(interruptions, "RESPITE", 250_000)
    job, other = client.put(calls.nothing), client.put(calls.nothing)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    job.handleInterrupt()
    client.commit()
    assert job.status == PENDING
    assert client.queue[0] is job
    assert calls.run_next(agent) is other
    clock.advance(milliseconds=249)
    last = client.put(calls.nothing)
    assert calls.run_next(agent) is last
    clock.advance(milliseconds=1)
    client.put(calls.nothing)
    assert calls.run_next(agent) is job


def test_the_policy_of_an_interrupted_job_is_kept(client, agent, clock):
    job = client.put(calls.nothing)
    for number in range(1, 4):
        agent.claimJob().activate_at(clock.time)
        job.handleInterrupt()
        client.commit()
        assert job.getRetryPolicy().data["interruptions"] == number


def test_a_job_in_no_queue_cannot_be_rescheduled():
    job = Job(calls.nothing)
    with pytest.raises(AsyncError, match="has no queue"):
        zc.async_.running.answers.reschedule(job, True)


# -- setUp and tearDown


class Breaks(calls.LoggedJob):
    """Fails where it is told to."""

    breaks = ()

    def setUp(self):
        super().setUp()
        if "setUp" in self.breaks:
            raise ValueError("setUp failed")
        return "info"

    def tearDown(self, setup_info):
        super().tearDown(setup_info)
        if "tearDown" in self.breaks:
            raise ValueError("tearDown failed")


def logged(client, class_, *args):
    job = class_(*args)
    client.root["job"] = job
    client.commit()
    return job


def test_set_up_and_tear_down_enclose_the_call(client, happened):
    logged(client, calls.LoggedJob, calls.happen, "call")()
    assert happened == ["setUp", ("call",), ("tearDown", "info")]


class Looks(calls.LoggedJob):
    """Looks in `tearDown` at what others see."""

    def tearDown(self, setup_info):
        other = FOREIGN[0]
        other.begin()
        calls.happened.append(str(other.mine(self).status))


def test_tear_down_comes_after_the_commit(client, other, happened):
    FOREIGN[:] = [other]
    logged(client, Looks, calls.nothing)()
    FOREIGN.clear()
    assert happened == ["setUp", str(COMPLETED)]


def test_tear_down_comes_after_the_abort_of_a_failure(client, log, happened):
    job = logged(client, Remembers, log.note_and_fail)
    job()
    assert happened == ["setUp", ("entries", ())]
    assert job.result.check(ValueError)


class Remembers(calls.LoggedJob):
    """Tells in `tearDown` of the object of its method."""

    def tearDown(self, setup_info):
        calls.happened.append(("entries", self.stored_callable[0].entries))


def test_each_try_has_its_set_up_and_tear_down(client, happened, to_raise):
    to_raise += [ConflictError(), ConflictError()]
    logged(client, calls.LoggedJob, calls.raise_next)()
    assert happened == ["setUp", (), ("tearDown", "info")] * 3


def test_each_failing_commit_has_its_tear_down(client, happened, failing_commits):
    job = logged(client, calls.LoggedJob, calls.happen)
    failing_commits(ConflictError())
    job()
    assert happened == ["setUp", (), ("tearDown", "info")] * 2


def test_callbacks_come_after_tear_down(client, happened):
    job = logged(client, calls.LoggedJob, calls.nothing)
    job.addCallback(calls.happen)
    client.commit()
    job()
    assert happened == ["setUp", ("tearDown", "info"), (None,)]


def test_a_failing_set_up_fails_the_job_without_a_call(client, happened, answers):
    job = Breaks(calls.happen, "call")
    job.breaks = ("setUp",)
    job.retry_policy_factory = calls.Policy
    answers(True, False)
    client.add("job", job)
    assert job().getErrorMessage() == "setUp failed"
    one = ["setUp", ("tearDown", None), ("jobError", ValueError)]
    assert happened == one + one
    assert job.status == COMPLETED


def test_a_failing_tear_down_is_logged_and_changes_nothing(client, happened, caplog):
    job = Breaks(calls.happen, "call")
    job.breaks = ("tearDown",)
    job.addCallback(calls.happen)
    client.add("job", job)
    assert job() is None
    assert job.status == COMPLETED
    assert happened == ["setUp", ("call",), ("tearDown", "info"), (None,)]
    assert [r.levelname for r in caplog.records if "tearDown" in r.getMessage()] == ["CRITICAL"]


class Ends(calls.LoggedJob):
    def tearDown(self, setup_info):
        raise SystemExit


def test_tear_down_may_end_the_thread(client, happened):
    with pytest.raises(SystemExit):
        logged(client, Ends, calls.nothing)()


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt()])
def test_tear_down_is_called_when_the_thread_ends(client, happened, to_raise, error):
    to_raise.append(error)
    with pytest.raises(type(error)):
        logged(client, calls.LoggedJob, calls.raise_next)()
    assert happened == ["setUp", (), ("tearDown", "info")]


def test_tear_down_is_called_when_the_commit_ends_the_thread(client, happened, failing_commits):
    job = logged(client, calls.LoggedJob, calls.happen)
    failing_commits(SystemExit())
    with pytest.raises(SystemExit):
        job()
    assert happened == ["setUp", (), ("tearDown", "info")]
    assert job.status == NEW


# -- jobs that return jobs


def test_the_result_of_a_returned_job_that_is_completed_is_the_result(client):
    inner = add_job(client, calls.add, 1, 2)
    inner()
    job = add_job(client, calls.identity, inner)
    assert job() == 3
    assert job.result == 3
    assert job.status == COMPLETED


def test_a_failure_of_a_returned_job_is_the_failure(client):
    inner = add_job(client, calls.fail)
    inner()
    job = add_job(client, calls.identity, inner)
    job()
    assert job.result.check(ValueError)


def test_a_job_waits_for_the_job_it_returned(client, clock):
    inner = add_job(client, calls.add, 1, 2)
    job = add_job(client, calls.identity, inner)
    assert job() is inner
    assert job.status == ACTIVE
    assert job.result is inner
    clock.advance(minutes=5)
    inner()
    assert job.status == COMPLETED
    assert job.result == 3
    assert job.active_end == clock.now


def test_the_result_of_the_last_of_a_chain_is_that_of_all(client):
    jobs = [add_job(client, calls.add, 1, 2)]
    for _number in range(3):
        jobs.append(add_job(client, calls.identity, jobs[-1]))
    for job in reversed(jobs):
        job()
    assert [job.result for job in jobs] == [3, 3, 3, 3]
    assert {job.status for job in jobs} == {COMPLETED}


@pytest.mark.parametrize("in_queue", [False, True])
def test_the_callbacks_of_a_waiting_job_wait_with_it(client, agent, happened, in_queue):
    inner = add_job(client, calls.add, 1, 2)
    job = add_job(client, calls.identity, inner)
    job.addCallback(calls.happen_and_fail)
    job.addCallback(calls.happen)
    client.commit()
    if in_queue:
        client.put(job)
        calls.run_next(agent)
    else:
        job()
    assert happened == []
    inner()
    calls.run_all(agent)
    assert happened == [(3,), (3,)]
    assert job.status == COMPLETED
    assert job.result == 3


def test_an_interruption_does_not_touch_a_waiting_job(client, agent, happened):
    inner = add_job(client, calls.add)
    job = client.put(Job(calls.identity, inner), retry_policy_factory=calls.Policy)
    calls.run_next(agent)
    job.handleInterrupt()
    assert happened == []
    assert job.status == ACTIVE


def test_a_waiting_job_that_was_failed_does_not_keep_the_other_from_completing(client, happened):
    inner = add_job(client, calls.add)
    job = add_job(client, calls.identity, inner)
    job()
    job.fail()
    client.commit()
    inner.addCallback(calls.happen)
    client.commit()
    inner()
    assert inner.status == COMPLETED
    assert happened == [(0,)]
    assert job.result.check(BeginByPassedError)


def test_a_returned_job_that_is_claimed_meanwhile_is_waited_for(client, agent):
    inner = client.put(calls.add)
    assert agent.claimJob() is inner
    job = add_job(client, calls.identity, inner)
    job()
    assert job.status == ACTIVE
    inner()
    assert job.status == COMPLETED


# -- Deferreds and coroutines


async def coroutine():
    return 42


def deferred_of(kind):
    return {"fired": lambda: succeed(42), "failed": lambda: fail(ValueError("late"))}[kind]()


def test_a_deferred_that_has_fired_is_its_value(client):
    assert add_job(client, deferred_of, "fired")() == 42


def test_a_deferred_that_has_failed_is_a_failure(client):
    job = add_job(client, deferred_of, "failed")
    job()
    assert isinstance(job.result, zc.twist.Failure)
    assert job.result.check(ValueError)
    assert job.status == COMPLETED


def paused():
    deferred = succeed(42)
    deferred.pause()
    return deferred


@pytest.fixture
def short_patience(monkeypatch):
    """Where no reactor runs, nobody waits for long."""
    monkeypatch.setattr(awaiting, "PATIENCE", 0.01)
    monkeypatch.setattr(awaiting, "LOOK", 0.01)


@pytest.mark.parametrize("make", [Deferred, paused])
def test_a_deferred_that_nobody_fires_is_not_waited_for_without_end(client, short_patience, make):
    job = add_job(client, make)
    result = job()
    assert result.check(CannotWaitError)
    assert "run a reactor in another thread" in result.getErrorMessage()
    assert job.status == COMPLETED


def test_a_coroutine_runs_where_it_is_called_if_no_reactor_runs(client):
    assert add_job(client, coroutine)() == 42


def fire_in_thread():
    deferred = Deferred()
    threads.append(threading.Thread(target=deferred.callback, args=(42,)))
    return deferred


threads: list[threading.Thread] = []


def test_a_deferred_that_another_thread_fires_is_waited_for(client, log):
    """It is fired after the changes of the job were committed, which stay."""
    job = add_job(client, fire_in_thread)
    log.note("before")

    class Starter:
        def newTransaction(self, transaction):
            pass

        def beforeCompletion(self, transaction):
            pass

        def afterCompletion(self, transaction):
            if threads:
                threads.pop().start()

    starter = Starter()
    client.manager.registerSynch(starter)
    # Another thread, as most processes have one; else it would be in vain.
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        assert job() == 42
    finally:
        gate.set()
        thread.join()
    client.manager.unregisterSynch(starter)
    assert log.entries == (("before",),)


def test_a_deferred_is_not_waited_for_in_the_thread_of_the_reactor(client):
    reactor = SelectReactor()
    job = add_job(client, Deferred)
    dispatcher = Dispatcher(client.connection.db(), reactor, uuid=uuid.uuid4())
    dispatcher.thread = threading.current_thread()
    try:
        assert "put the job into a queue" in job().getErrorMessage()
    finally:
        zc.async_.dispatcher.pop(dispatcher.UUID)


# -- what the caller did


def test_what_the_caller_did_stays_though_the_job_fails(client, other, log):
    job = add_job(client, log.note_and_fail, "by the job")
    log.note("by the caller")
    assert job().check(ValueError)
    other.begin()
    assert other.mine(log).entries == (("by the caller",),)


def test_what_the_caller_did_stays_though_the_job_is_tried_again(client, other, log, to_raise):
    to_raise.extend([ConflictError(), ConflictError()])
    job = add_job(client, calls.raise_next)
    log.note("by the caller")
    job()
    other.begin()
    assert other.mine(log).entries == (("by the caller",),)


def test_if_what_the_caller_did_conflicts_he_hears_of_it_and_the_job_does_not_run(
    client, other, log, happened
):
    job = add_job(client, calls.happen)
    other.begin()
    other.mine(log).note("first")
    other.commit()
    log.note("by the caller")
    with pytest.raises(ConflictError):
        job()
    assert happened == []
    client.manager.abort()
    assert job.status == NEW
    assert job() is not None or job.status == COMPLETED


def test_a_run_that_committed_itself_is_tried_again_more_than_once(client, to_raise):
    """It does not take its own try for somebody else's."""
    to_raise.extend([ConflictError(), ConflictError(), ConflictError()])
    job = add_job(client, commit_and_raise_next)
    job()
    assert job.status == COMPLETED
    assert not isinstance(job.result, zc.twist.Failure)


def commit_and_raise_next():
    local.getJob()._p_jar.transaction_manager.commit()
    return calls.raise_next()


def test_a_claimed_job_with_a_deferred_stays_active_until_that_is_finished(client, agent, clock):
    job = client.put(Deferred)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    deferred = running.run_claimed(job, job.claim_token)
    assert isinstance(deferred, Deferred)
    assert job.status == ACTIVE
    assert len(agent) == 1
    running.finish_deferred(job, job.claim_token, 42)
    assert job.result == 42
    assert job.status == COMPLETED


def test_the_value_of_a_deferred_that_cannot_be_stored_fails_the_job(client, agent, clock):
    job = client.put(Deferred)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    running.run_claimed(job, job.claim_token)
    running.finish_deferred(job, job.claim_token, make_generator())
    assert "generator" in job.result.getErrorMessage()
    assert job.status == COMPLETED


def test_a_conflict_while_the_value_of_a_deferred_is_stored_is_tried_over(
    client, agent, clock, failing_commits
):
    job = client.put(Deferred)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    running.run_claimed(job, job.claim_token)
    failing_commits(ConflictError(), ConflictError())
    running.finish_deferred(job, job.claim_token, 42)
    assert job.result == 42


# -- jobs that became somebody else's


@pytest.fixture
def claimed(client, agent, clock):
    """A job that is claimed and active."""
    job = client.put(calls.happen)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    return job


def test_a_claimed_job_runs_with_its_token(claimed, happened):
    assert running.run_claimed(claimed, claimed.claim_token) is None
    assert claimed.status == COMPLETED
    assert happened == [()]


def test_a_job_with_another_token_is_not_run(claimed, happened):
    with pytest.raises(ReassignedError):
        running.run_claimed(claimed, claimed.claim_token + 1)
    assert happened == []
    assert claimed.status == ACTIVE


def test_a_job_that_is_no_longer_active_is_not_run(client, claimed, happened):
    token = claimed.claim_token
    client.queue.putBack(claimed)
    client.commit()
    with pytest.raises(ReassignedError):
        running.run_claimed(claimed, token)
    assert happened == []
    assert claimed.status == PENDING


def lose(job):
    calls.happen()
    other = FOREIGN[0]
    other.begin()
    there = other.mine(job)
    there.queue.putBack(there)
    other.commit()


def test_a_job_that_was_taken_away_while_it_ran_is_not_tried_again(
    client, other, agent, clock, happened
):
    FOREIGN[:] = [other]
    job = client.put(Job(calls.nothing))
    job.callable = lose
    job.args.append(job)
    client.commit()
    agent.claimJob().activate_at(clock.time)
    client.commit()
    with pytest.raises(ReassignedError):
        running.run_claimed(job, job.claim_token)
    FOREIGN.clear()
    client.begin()
    assert happened == [()]
    assert job.status == PENDING


def reassigned():
    raise ReassignedError("gone")


def test_a_job_that_finds_itself_reassigned_gives_up(client, agent, clock, happened):
    job = client.put(calls.LoggedJob(reassigned))
    agent.claimJob().activate_at(clock.time)
    client.commit()
    with pytest.raises(ReassignedError):
        running.run_claimed(job, job.claim_token)
    assert happened == ["setUp", ("tearDown", "info")]
    assert job.status == ACTIVE


def test_a_commit_that_finds_the_job_reassigned_gives_up(
    client, agent, clock, happened, failing_commits
):
    job = client.put(calls.LoggedJob(calls.happen))
    agent.claimJob().activate_at(clock.time)
    client.commit()
    failing_commits(ReassignedError("gone"))
    with pytest.raises(ReassignedError):
        running.run_claimed(job, job.claim_token)
    assert happened == ["setUp", (), ("tearDown", "info")]
    assert job.status == ACTIVE


def test_a_deferred_of_a_job_that_was_reassigned_is_given_up(client, agent, clock):
    job = client.put(Deferred)
    agent.claimJob().activate_at(clock.time)
    client.commit()
    running.run_claimed(job, job.claim_token)
    with pytest.raises(ReassignedError):
        running.finish_deferred(job, job.claim_token + 1, 42)
    assert job.status == ACTIVE


def test_calling_an_assigned_job_runs_it(client, agent):
    job = client.put(calls.add)
    agent.claimJob()
    client.commit()
    assert job.status == ASSIGNED
    assert job() == 0


def test_a_waiting_job_is_not_called(client, happened):
    job = client.put(calls.happen)
    with pytest.raises(BadStatusError):
        job()
    assert happened == []


def test_jobs_in_a_database_without_a_queue_can_be_called():
    database = ZODB.DB(None)
    client = calls.Client(database)
    assert add_job(client, calls.add, 1)() == 1
    client.close()
    database.close()


def test_a_job_whose_code_is_missing_waits_for_it(client, agent, clock, monkeypatch, caplog):
    job = client.put(calls.add)
    job.stored_callable = "tests.unit.calls:installed_later"
    client.commit()
    for seconds in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600):
        calls.run_next(agent)
        assert job.status == PENDING
        assert len(client.queue) == 1
        assert job.begin_after == clock.after(seconds=seconds)
        clock.advance(seconds=seconds - 1)
        client.begin()
        assert calls.run_next(agent) is None
        clock.advance(seconds=1)
        client.begin()
    assert "tests.unit.calls.installed_later" in caplog.text
    # It did not count as a try.
    assert job.kept_policy is None
    monkeypatch.setattr(calls, "installed_later", calls.add, raising=False)
    calls.run_next(agent)
    assert job.result == 0


def test_a_job_does_not_wait_for_its_code_for_ever(client, agent, clock, caplog):
    job = client.put(calls.add)
    job.stored_callable = "tests.unit.calls:installed_later"
    client.commit()
    calls.run_next(agent)
    clock.advance(hours=24)
    for _try in range(zc.async_.running.missing.LEAST_TRIES):
        assert job.status == PENDING
        client.begin()
        calls.run_next(agent)
        clock.advance(minutes=10)
    assert job.result.check(MissingCallableError)
    assert "and fails" in caplog.text


def test_a_job_whose_code_is_missing_does_not_outlive_its_begin_by(client, agent, clock):
    job = client.put(calls.add, begin_by=datetime.timedelta(minutes=1))
    job.stored_callable = "tests.unit.calls:installed_later"
    client.commit()
    calls.run_next(agent)
    clock.advance(minutes=2)
    client.begin()
    assert calls.run_next(agent) is None
    assert job.result.check(BeginByPassedError)


# -- several databases


@pytest.fixture
def two(clock, connect, uuid_1):
    """A client of a queue whose database has another one beside it, and an agent."""
    databases = {}
    main = ZODB.DB(None, databases=databases, database_name="main")
    ZODB.DB(None, databases=databases, database_name="content")
    client = connect(main)
    calls.make_queue(client)
    yield client, client.agent(uuid_1)
    client.close()
    for database in databases.values():
        database.close()


def run_in_worker(client, agent, clock):
    """Claim and run a job as a dispatcher and its worker do."""
    job = agent.claimJob()
    job.activate_at(clock.time)
    client.commit()
    running.run_claimed(job, job.claim_token)
    client.begin()
    return job


def test_an_object_of_another_database_may_be_on_its_way(two, clock, to_raise):
    """Of two databases, one after the other finishes the commit that put the job."""
    client, agent = two
    job = client.put(calls.raise_next, retry_policy_factory=NeverRetry)
    to_raise[:] = [POSKeyError(b"12345678")] * 2
    for _vain in range(2):
        assert run_in_worker(client, agent, clock) is job
        assert job.status == PENDING
        assert agent.claimJob() is None
        clock.advance(milliseconds=200)
        client.begin()
    run_in_worker(client, agent, clock)
    assert job.status == COMPLETED
    # It counted as nothing: no policy was asked.
    assert job.kept_policy is None


def test_an_object_that_is_missing_for_ten_seconds_is_missing(two, clock, to_raise):
    client, agent = two
    job = client.put(calls.raise_next)
    clock.advance(seconds=10)
    client.begin()
    to_raise[:] = [POSKeyError(b"12345678")]
    run_in_worker(client, agent, clock)
    assert job.result.check(POSKeyError)


def test_in_a_single_database_a_missing_object_does_not_come(client, agent, clock, to_raise):
    job = client.put(calls.raise_next)
    to_raise[:] = [POSKeyError(b"12345678")]
    run_in_worker(client, agent, clock)
    assert job.result.check(POSKeyError)


# -- what only the commit finds out


def keep(value):
    """Return a new record that refers to the value."""
    log = calls.Log()
    log.value = value
    return log


@pytest.mark.parametrize("policy", [None, RetryCommonForever])
@pytest.mark.parametrize(
    "value", [threading.Lock, lambda: lambda: None, lambda: (n for n in ())], ids="lfg"
)
def test_what_cannot_be_stored_inside_of_a_new_record_fails_at_once(
    client, agent, clock, policy, value, sleeps
):
    job = client.put(make_and_keep, retry_policy_factory=policy)
    calls.make = value
    run_in_worker(client, agent, clock)
    assert job.status == COMPLETED
    assert "pickle" in job.result.getErrorMessage().lower()
    assert sleeps == []


def make_and_keep():
    return keep(calls.make())


# -- commits whose answer is lost


@pytest.fixture
def lose_answer(client, monkeypatch, sleeps):
    """Has the storage store the next transaction of a job, and raise then."""
    storage = client.connection._storage
    finish = storage.tpc_finish

    def lose_answer(error):
        def fail(*args):
            monkeypatch.setattr(storage, "tpc_finish", finish)
            finish(*args)
            raise error

        monkeypatch.setattr(storage, "tpc_finish", fail)

    calls.lose_answer = lose_answer
    yield
    del calls.lose_answer


def lose_answer_and(kind):
    """Count, and have the commit of the job be done without an answer."""
    calls.happened.append(kind)
    calls.lose_answer(
        {"disconnected": ZEO.Exceptions.ClientDisconnected(), "other": OSError()}[kind]
    )


def and_return_job(kind):
    lose_answer_and(kind)
    return local.getJob().queue.put(calls.nothing)


def and_return_deferred(kind):
    lose_answer_and(kind)
    return Deferred()


@pytest.mark.parametrize("kind", ["disconnected", "other"])
@pytest.mark.parametrize(
    ("function", "status"),
    [(lose_answer_and, COMPLETED), (and_return_job, ACTIVE), (and_return_deferred, ACTIVE)],
)
def test_a_job_whose_commit_was_done_without_an_answer_is_not_run_again(
    client, agent, clock, lose_answer, happened, function, status, kind
):
    job = client.put(Job(function, kind))
    callback = job.addCallback(calls.nothing)
    client.commit()
    claimed = agent.claimJob()
    claimed.activate_at(clock.time)
    client.commit()
    deferred = running.run_claimed(job, job.claim_token)
    client.begin()
    assert happened == [kind]
    assert job.status == status
    assert (deferred is not None) == (function is and_return_deferred)
    assert callback.status == (COMPLETED if status == COMPLETED else NEW)


def test_a_callback_whose_commit_was_done_without_an_answer_is_not_run_again(
    client, agent, clock, lose_answer, happened
):
    job = client.put(calls.nothing)
    callback = job.addCallback(return_job_as_callback)
    client.commit()
    agent.claimJob().activate_at(clock.time)
    client.commit()
    running.run_claimed(job, job.claim_token)
    client.begin()
    assert happened == ["disconnected"]
    assert callback.status == ACTIVE


def return_job_as_callback(result):
    lose_answer_and("disconnected")
    return local.getJob().queue.put(calls.nothing)


@pytest.fixture
def finish_late(client, connect, monkeypatch):
    """Has the next commit fail without an answer; another client does it when a policy is asked."""
    storage = client.connection._storage
    finish = storage.tpc_finish
    other = connect()

    def fail(*args):
        monkeypatch.setattr(storage, "tpc_finish", finish)
        raise OSError("no answer")

    def note():
        job = local.getJob()
        calls.noted = job.start_moment, job.runner_claim
        monkeypatch.setattr(storage, "tpc_finish", fail)

    def do(kept):
        other.begin()
        job = other.mine(local.getJob())
        if job.is_callback():
            job.start_moment, job.runner_claim = calls.noted
            job._set_status(ACTIVE)
        job.returned_job = other.mine(kept)
        other.commit()

    calls.note, calls.do = note, do
    yield
    del calls.note, calls.do, calls.noted


class AsksLater(calls.Policy):
    """Is asked when the commit is done."""

    def commitError(self, failure, data_cache):
        calls.do(self.parent._p_jar.root()["kept"])
        return True


def return_kept(*args):
    calls.happened.append("ran")
    jar = local.getJob()._p_jar
    jar.root()["ran"] = len(calls.happened)
    if len(calls.happened) == 1:
        calls.note()
    return jar.root()["kept"]


@pytest.mark.parametrize("as_callback", [False, True])
def test_what_is_committed_only_after_it_was_looked_for_does_not_run_again(
    client, agent, clock, finish_late, happened, as_callback
):
    client.add("kept", Job(calls.nothing))
    returning = Job(return_kept)
    returning.retry_policy_factory = AsksLater
    job = client.put(Job(calls.nothing) if as_callback else returning)
    if as_callback:
        job.addCallback(returning)
        client.commit()
    agent.claimJob().activate_at(clock.time)
    client.commit()
    with pytest.raises(ReassignedError):
        running.run_claimed(job, job.claim_token)
    client.begin()
    assert happened == ["ran"]
    assert returning.status == ACTIVE
    assert returning.returned_job is client.root["kept"]
    job.handleInterrupt()
    client.commit()
    assert returning.is_suspended()
    assert happened == ["ran"]


# -- jobs that close the connection of their caller


def commit_and_close_connection():
    jar = zc.async_.local.getJob()._p_jar
    jar.transaction_manager.commit()
    jar.close()


def test_a_job_that_closes_its_callers_connection_is_told_of_before_a_commit(client):
    job = client.add("job", Job(commit_and_close_connection))
    with pytest.raises(ConnectionClosedError, match="who opened it"):
        job()
