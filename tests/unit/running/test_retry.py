"""Retry policies: what becomes of a job that failed, could not commit or was interrupted."""

import datetime
import logging

import pytest
import twisted.python.failure
import ZEO.Exceptions
import zope.component
import zope.interface
from transaction.interfaces import DoomedTransaction, TransactionFailedError, TransientError
from ZODB.POSException import ConflictError, ReadConflictError

import zc.twist
from tests.unit import calls
from zc.async_.interfaces import COMPLETED, IJob, IRetryPolicy
from zc.async_.job import Job
from zc.async_.running.retry import (
    DISCONNECTED,
    NeverRetry,
    RetryCommonForever,
    RetryCommonFourTimes,
    RetrySystem,
)

ClientDisconnected = ZEO.Exceptions.ClientDisconnected

#: What the transaction met, or was.
TRANSACTION = [
    ConflictError,
    ReadConflictError,
    TransientError,
    TransactionFailedError,
    DoomedTransaction,
]

BOTH_METHODS = pytest.mark.parametrize("method", ["jobError", "commitError"])


@pytest.fixture
def ask():
    """Asks a policy `count` times about an error; returns the answers and the data."""

    def ask(policy, method, error, count, data=None):
        data = {} if data is None else data
        failure = zc.twist.Failure(error("the text"))
        return [getattr(policy, method)(failure, data) for _number in range(count)], data

    return ask


def policy_of(factory):
    return factory(Job(calls.nothing))


@pytest.mark.parametrize("factory", [NeverRetry, RetryCommonForever, RetryCommonFourTimes])
def test_a_policy_knows_its_job_and_has_data(factory):
    job = Job(calls.nothing)
    policy = factory(job)
    assert policy.parent is job
    assert policy.__parent__ is job
    assert len(policy.data) == 0


# -- transaction errors


@BOTH_METHODS
@pytest.mark.parametrize("error", TRANSACTION)
def test_four_times_more_for_transaction_errors_and_no_more(ask, method, error):
    answers, data = ask(policy_of(RetryCommonFourTimes), method, error, 5)
    assert answers == [True] * 4 + [False]
    assert data["transaction_error"] == 5
    assert data["last_transaction_error"]


@BOTH_METHODS
@pytest.mark.parametrize("error", TRANSACTION)
def test_for_ever_for_transaction_errors(ask, sleeps, method, error):
    answers, _data = ask(policy_of(RetryCommonForever), method, error, 500)
    assert set(answers) == {True}
    assert sleeps == []


def seconds(*numbers):
    """Answers: after so long."""
    return [datetime.timedelta(seconds=number) for number in numbers]


def test_errors_of_the_job_and_of_the_commit_are_counted_together(ask):
    policy = policy_of(RetryCommonFourTimes)
    answers, data = ask(policy, "jobError", ConflictError, 3)
    answers, data = ask(policy, "commitError", ConflictError, 2, data)
    assert answers == [True, False]


def test_what_earlier_runs_counted_counts(ask):
    """A job that was put off runs again, perhaps in another process."""
    policy = policy_of(RetryCommonFourTimes)
    _answers, data = ask(policy, "jobError", ClientDisconnected, 3)
    policy.updateData(data)
    assert ask(policy, "jobError", ClientDisconnected, 2)[0] == seconds(20, 25)
    _answers, data = ask(policy, "commitError", ConflictError, 4)
    policy.updateData(data)
    assert ask(policy, "commitError", ConflictError, 1)[0] == [False]


# -- a database out of reach


@BOTH_METHODS
@pytest.mark.parametrize("factory", [RetryCommonForever, RetryCommonFourTimes])
def test_a_database_out_of_reach_is_waited_for_ever_longer(ask, sleeps, method, factory):
    answers, data = ask(policy_of(factory), method, ClientDisconnected, 15)
    assert answers == seconds(5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60, 60)
    assert sleeps == []
    assert data["zeo_disconnected"] == 15
    assert "transaction_error" not in data


# -- other errors


@BOTH_METHODS
@pytest.mark.parametrize("error", [ValueError, KeyError, OSError])
def test_other_errors_are_not_tried_over_four_times(ask, method, error):
    assert ask(policy_of(RetryCommonFourTimes), method, error, 1) == ([False], {})


def test_other_errors_of_the_job_are_not_tried_over_for_ever(ask):
    assert ask(policy_of(RetryCommonForever), "jobError", ValueError, 1) == ([False], {})


def test_other_errors_of_the_commit_are_tried_over_with_a_growing_pause(ask, sleeps):
    answers, data = ask(policy_of(RetryCommonForever), "commitError", ValueError, 70)
    # The first try is made at once; then a second more each time, at most a minute.
    assert answers == [True, *seconds(*range(1, 61)), *seconds(60) * 9]
    assert sleeps == []
    assert data["other"] == 70


# -- never


def test_never_is_never(ask, sleeps):
    policy = policy_of(NeverRetry)
    for method in ("jobError", "commitError"):
        for error in (ConflictError, ClientDisconnected, ValueError):
            assert ask(policy, method, error, 1) == ([False], {})
    assert policy.interrupted() is False
    assert policy.updateData({"key": 1}) is None
    assert policy.data == {}
    assert sleeps == []


# -- interruptions


def test_nine_interruptions_are_survived_and_the_tenth_is_not():
    policy = policy_of(RetryCommonFourTimes)
    assert [policy.interrupted() for _number in range(11)] == [True] * 9 + [False, False]
    assert policy.data["interruptions"] == 11


def test_interruptions_are_survived_for_ever():
    policy = policy_of(RetryCommonForever)
    assert {policy.interrupted() for _number in range(100)} == {True}


# -- log records


@pytest.mark.parametrize(
    ("error", "level"),
    [(ConflictError, logging.WARNING), (ClientDisconnected, logging.WARNING)],
)
def test_one_of_five_tries_is_logged(ask, sleeps, caplog, error, level):
    caplog.set_level(logging.WARNING)
    ask(policy_of(RetryCommonForever), "jobError", error, 11)
    assert [record.levelno for record in caplog.records] == [level] * 3
    assert "tests.unit.calls.nothing()" in caplog.text


def test_other_errors_of_the_commit_are_critical(ask, sleeps, caplog):
    ask(policy_of(RetryCommonForever), "commitError", ValueError, 6)
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL] * 2
    assert "the text" in caplog.text


def test_one_of_five_interruptions_is_logged(caplog):
    policy = policy_of(RetryCommonForever)
    for _number in range(6):
        policy.interrupted()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_giving_up_is_logged(ask, caplog):
    caplog.set_level(logging.INFO)
    policy = policy_of(RetryCommonFourTimes)
    ask(policy, "jobError", ConflictError, 5)
    assert "gave up after 5" in caplog.records[-1].getMessage()
    for _number in range(10):
        policy.interrupted()
    assert "gave up after 10" in caplog.records[-1].getMessage()


# -- data


def test_what_is_worth_keeping_is_stored_with_the_job(client, other):
    job = client.add("job", Job(calls.nothing))
    policy = RetryCommonFourTimes(job)
    policy.updateData({"transaction_error": 3, "note": "text"})
    job.kept_policy = policy
    client.commit()
    policy.updateData({"transaction_error": 3})
    assert not policy.data._p_changed
    other.begin()
    there = other.mine(job).getRetryPolicy()
    assert isinstance(there, RetryCommonFourTimes)
    assert dict(there.data) == {"transaction_error": 3, "note": "text"}
    assert there.parent == other.mine(job)


def test_the_counts_of_a_run_are_stored_with_its_result(client, to_raise, happened):
    to_raise += [ConflictError("first"), ConflictError("second")]
    job = client.add("job", Job(calls.raise_next))
    assert job.kept_policy is None
    job()
    assert job.kept_policy.data["transaction_error"] == 2
    assert job.getRetryPolicy() is job.kept_policy


def test_the_counts_of_a_run_that_failed_are_stored_too(client, to_raise, happened):
    to_raise += [ConflictError() for _number in range(5)]
    job = client.add("job", Job(calls.raise_next))
    job()
    assert job.result.check(ConflictError)
    assert job.kept_policy.data["transaction_error"] == 5


def test_a_job_that_needed_no_policy_has_none_stored(client):
    job = client.add("job", Job(calls.nothing))
    job()
    assert job.kept_policy is None


@pytest.mark.parametrize("method", ["jobError", "commitError"])
def test_the_last_failure_of_a_kind_is_stored_as_a_failure(client, other, to_raise, method):
    """Wherever it was, in the code or at the commit."""
    to_raise += [ConflictError("first"), ConflictError("second")]
    call = calls.raise_next if method == "jobError" else calls.commit_next
    job = client.add("job", Job(call))
    job()
    other.begin()
    failure = other.mine(job).kept_policy.data["last_transaction_error"]
    assert isinstance(failure, zc.twist.Failure)
    assert failure.check(ConflictError)
    assert "second" in failure.getErrorMessage()


def test_a_failure_of_twisted_s_own_can_be_kept_too(client, other):
    job = client.add("job", Job(calls.nothing))
    try:
        raise ValueError("the text")
    except ValueError:
        failure = twisted.python.failure.Failure()
    job.getRetryPolicy().updateData({"last_own": failure})
    client.commit()
    other.begin()
    assert other.mine(job).getRetryPolicy().data["last_own"].getErrorMessage() == "the text"


def test_a_job_whose_transaction_is_doomed_is_tried_five_times(client, happened):
    job = client.add("job", Job(calls.doom))
    assert job().check(DoomedTransaction)
    assert len(happened) == 5
    assert job.kept_policy.data["transaction_error"] == 5


def test_so_is_one_that_goes_on_after_a_commit_of_its_own_failed(client, happened):
    job = client.add("job", Job(calls.go_on_after_conflict))
    assert job().check(TransactionFailedError)
    assert len(happened) == 5


# -- the policy that is kept


def test_the_policy_that_somebody_got_is_kept(client, other):
    job = client.add("job", Job(calls.nothing))
    assert job._retry_policy is None
    policy = job.getRetryPolicy()
    assert job._retry_policy is policy is job.getRetryPolicy()
    policy.note = "mine"
    client.commit()
    other.begin()
    assert other.mine(job)._retry_policy.note == "mine"
    assert other.mine(job).getRetryPolicy() is other.mine(job)._retry_policy


def test_one_can_be_given_to_a_job(client):
    job = client.add("job", Job(calls.nothing))
    job._retry_policy = NeverRetry(job)
    assert type(job.getRetryPolicy()) is NeverRetry


def test_who_looks_at_a_job_that_another_thread_runs_does_not_write_it(client, agent, other):
    client.put(calls.nothing)
    client.begin()
    job = agent.claimJob()
    client.commit()
    other.begin()
    assert type(other.mine(job).getRetryPolicy()) is RetryCommonFourTimes
    assert not other.mine(job)._p_changed
    assert other.mine(job)._retry_policy is None


def test_the_policy_that_was_asked_is_kept_though_it_had_nothing_to_note(client, other):
    job = client.add("job", Job(calls.fail))
    job()
    other.begin()
    assert type(other.mine(job)._retry_policy) is RetryCommonFourTimes


class Attentive(RetryCommonForever):
    """Notes in itself what happened, besides what it is told to keep."""

    seen = ()

    def jobError(self, failure, data_cache):
        self.seen += (failure.type.__name__,)
        self.data[str(len(self.seen))] = len(self.data)
        return super().jobError(failure, data_cache)

    def interrupted(self):
        self.seen += ("interrupted",)
        return super().interrupted()


@zope.component.adapter(IJob)
@zope.interface.implementer(IRetryPolicy)
class Plain:
    """As `Attentive`, but no record of its own."""

    def __init__(self, job):
        self.seen = ()

    def jobError(self, failure, data_cache):
        self.seen += (failure.type.__name__,)
        return True

    commitError = jobError

    def interrupted(self):
        self.seen += ("interrupted",)
        return True

    def updateData(self, data_cache):
        raise AssertionError("there is nothing to note")


@pytest.mark.parametrize("factory", [Attentive, Plain])
@pytest.mark.parametrize("stored", [False, True], ids=["new", "stored before"])
def test_what_a_policy_sets_on_itself_stays(client, other, to_raise, factory, stored):
    """Though all that the tries did that failed is undone, and the policy asked again."""
    to_raise += [ConflictError(), ReadConflictError(), ConflictError()]
    job = Job(calls.raise_next)
    job.retry_policy_factory = factory
    client.add("job", job)
    if stored:
        job.getRetryPolicy().interrupted()
        job._p_changed = True
        client.commit()
    job()
    other.begin()
    policy = other.mine(job)._retry_policy
    seen = ("ConflictError", "ReadConflictError", "ConflictError")
    assert policy.seen == ("interrupted",) * stored + seen
    if factory is Attentive:
        assert policy.data["transaction_error"] == 3
        assert all(str(number) in policy.data for number in range(1 + stored, 4 + stored))


def test_what_a_policy_has_forgotten_stays_forgotten(client, other, to_raise):
    to_raise += [ConflictError(), ConflictError()]
    job = Job(calls.raise_next)
    job.retry_policy_factory = Forgetful
    client.add("job", job)
    job.getRetryPolicy().updateData({"old": 1, "older": 2})
    client.commit()
    job()
    other.begin()
    assert dict(other.mine(job)._retry_policy.data) == {}


class Forgetful(RetryCommonForever):
    def jobError(self, failure, data_cache):
        self.data.pop("old" if "old" in self.data else "older")
        return True


# -- which policy


def test_by_default_jobs_are_tried_four_times_more_and_callbacks_for_ever():
    job = Job(calls.nothing)
    callback = job.addCallback(calls.nothing)
    proxy = job.addCallbacks(calls.nothing, calls.nothing)
    assert type(job.getRetryPolicy()) is RetryCommonFourTimes
    assert type(callback.getRetryPolicy()) is RetryCommonForever
    assert type(proxy.success.getRetryPolicy()) is RetryCommonForever


def test_jobs_of_the_system_are_tried_for_ever():
    job = Job(calls.nothing)
    assert type(job.make_system_job(job.handleInterrupt).getRetryPolicy()) is RetrySystem


def test_an_error_of_a_job_of_the_system_is_tried_over(ask):
    assert ask(policy_of(RetrySystem), "jobError", ValueError, 2)[0] == [True, *seconds(1)]


def test_the_defaults_are_the_adapters_of_two_names():
    zope.component.provideAdapter(NeverRetry, name="")
    zope.component.provideAdapter(calls.Policy, (IJob,), IRetryPolicy, "callback")
    job = Job(calls.nothing)
    callback = job.addCallback(calls.nothing)
    assert type(job.getRetryPolicy()) is NeverRetry
    assert type(callback.getRetryPolicy()) is calls.Policy


def test_a_policy_can_be_chosen_by_the_name_of_an_adapter():
    zope.component.provideAdapter(NeverRetry, name="never")
    for job in (Job(calls.nothing), Job(calls.nothing).addCallback(calls.nothing)):
        job.retry_policy_factory = "never"
        assert type(job.getRetryPolicy()) is NeverRetry


def test_a_name_without_adapter_says_so():
    job = Job(calls.nothing)
    job.retry_policy_factory = "never"
    with pytest.raises(LookupError, match="no adapter named 'never'"):
        job.getRetryPolicy()


@pytest.mark.parametrize("factory", [NeverRetry, RetryCommonForever, calls.Policy])
def test_a_policy_can_be_chosen_by_its_factory(factory):
    job = Job(calls.nothing)
    job.retry_policy_factory = factory
    policy = job.getRetryPolicy()
    assert type(policy) is factory
    assert policy.parent is job


def never(job):
    return NeverRetry(job)


def test_a_factory_can_be_a_function(client, connect):
    job = client.add("job", Job(calls.nothing))
    job.retry_policy_factory = never
    client.commit()
    assert type(connect().mine(job).getRetryPolicy()) is NeverRetry


def test_a_stored_policy_holds_though_the_factory_changes(client):
    job = client.add("job", Job(calls.nothing))
    job.kept_policy = RetryCommonForever(job)
    job.retry_policy_factory = NeverRetry
    assert type(job.getRetryPolicy()) is RetryCommonForever


# -- subclasses


class Special(Exception):
    pass


class RetrySpecial(RetryCommonFourTimes):
    """Tries over one more kind of error, with a pause, and other numbers."""

    internal_exceptions = (
        ((Special,), "special", 3, 1, 2, 4),
        *RetryCommonFourTimes.internal_exceptions,
    )
    max_interruptions = 2
    log_every = 1


def test_a_subclass_has_rules_of_its_own(ask, sleeps, caplog):
    policy = policy_of(RetrySpecial)
    answers, data = ask(policy, "jobError", Special, 3)
    assert answers == [*seconds(1, 3), False]
    assert sleeps == []
    assert data.keys() == {"special", "last_special"}
    assert data["special"] == 3
    assert len(caplog.records) == 2
    assert ask(policy, "commitError", Special, 1)[0] == [False]
    assert ask(policy, "jobError", ConflictError, 1)[0] == [True]
    assert [policy.interrupted() for _number in range(3)] == [True, True, False]


class First(RetryCommonForever):
    """Of two rules that fit, the first holds."""

    internal_exceptions = (
        ((KeyError,), "one", 2, 0, 0, 0),
        ((LookupError,), "two", None, 0, 0, 0),
        DISCONNECTED,
    )


def test_the_first_rule_that_fits_holds(ask):
    assert ask(policy_of(First), "jobError", KeyError, 2)[0] == [True, False]
    assert ask(policy_of(First), "jobError", IndexError, 9)[0] == [True] * 9


class Chatty(RetryCommonFourTimes):
    """Redefines how the rules are followed."""

    def _process(self, failure, data_cache, exceptions):
        calls.happened.append([key for _errors, key, *_numbers in exceptions])
        data_cache["asked"] = data_cache.get("asked", 0) + 1
        return super()._process(failure, data_cache, exceptions)


def test_a_subclass_can_redefine_how_the_rules_are_followed(client, happened, to_raise):
    to_raise.append(ConflictError())
    job = Job(calls.raise_next)
    job.retry_policy_factory = Chatty
    client.add("job", job)
    job()
    assert job.status == COMPLETED
    assert happened == [(), ["zeo_disconnected", "transaction_error"], ()]
    assert job.kept_policy.data["asked"] == 1


@zope.component.adapter(IJob)
@zope.interface.implementer(IRetryPolicy)
class Remembers:
    """A policy with nothing in common with the shipped ones."""

    def __init__(self, job):
        self.parent = job
        self.kept = None

    def jobError(self, failure, data_cache):
        data_cache["tries"] = data_cache.get("tries", 0) + 1
        return data_cache["tries"] < 4

    commitError = jobError

    def interrupted(self):
        return True

    def updateData(self, data_cache):
        self.kept = dict(data_cache)


def test_a_policy_of_ones_own_keeps_what_it_likes(client, other, to_raise, happened):
    to_raise += [ValueError() for _number in range(3)]
    job = Job(calls.raise_next)
    job.retry_policy_factory = Remembers
    client.add("job", job)
    assert job() == 4
    other.begin()
    assert other.mine(job).getRetryPolicy().kept == {"tries": 3}
