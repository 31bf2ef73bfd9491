"""Retry policies of an application that raise, or answer nonsense."""

import datetime
import threading

import persistent
import pytest
from ZODB.POSException import ConflictError

from tests.dispatcher import work
from zc.async_.interfaces import PENDING
from zc.async_.testing import BEGINNING


class Policy(persistent.Persistent):
    """Answers once as the class says, and then gives up."""

    answer = False

    def __init__(self, job):
        self.parent = job
        self.data = {}

    def jobError(self, failure, data_cache):
        data_cache["errors"] = data_cache.get("errors", 0) + 1
        return self.answer if work.happened.count("fail") < 2 else False

    commitError = jobError

    def interrupted(self):
        return self.answer if work.happened.count("leave") < 2 else False

    def updateData(self, data_cache):
        self.data = dict(data_cache)


class RaisesInConstructor(Policy):
    def __init__(self, job):
        raise ZeroDivisionError("bad policy")


class RaisesInJobError(Policy):
    def jobError(self, failure, data_cache):
        raise ZeroDivisionError("bad policy")


class HasNoMethods:
    def __init__(self, job):
        """Have nothing."""


class WantsNothing(Policy):
    def __init__(self):
        """Take no job."""


def make_none(job):
    return None


class RaisesInInterrupted(Policy):
    def interrupted(self):
        raise ZeroDivisionError("bad policy")


class RaisesInUpdate(Policy):
    def updateData(self, data_cache):
        raise ZeroDivisionError("bad policy")


class CannotBeStored(Policy):
    def updateData(self, data_cache):
        self.data = threading.Lock()


def answering(value):
    """A policy of that answer, which can be imported."""
    name = f"Answers_{len(ANSWERING)}"
    made = type(name, (Policy,), {"answer": value, "__module__": __name__})
    globals()[name] = made
    ANSWERING.append(made)
    return made


ANSWERING = []

NO = [answering(value) for value in (None, 0, "", [], ())]
YES = [answering(value) for value in ("a string", 42, object, datetime.date(2006, 8, 10))]
NOW = [
    answering(value)
    for value in (
        datetime.timedelta(days=-5),
        datetime.timedelta.min,
        BEGINNING - datetime.timedelta(days=365),
        BEGINNING.replace(tzinfo=None) - datetime.timedelta(days=365),
        datetime.datetime(1, 1, 1),
        datetime.datetime(1, 1, 1, tzinfo=datetime.UTC),
    )
]
IN_A_MINUTE = [
    answering(value)
    for value in (
        datetime.timedelta(minutes=1),
        BEGINNING + datetime.timedelta(minutes=1),
        # Naive is in UTC.
        (BEGINNING + datetime.timedelta(minutes=1)).replace(tzinfo=None),
    )
]
NEVER_OVER = [
    answering(value)
    for value in (
        datetime.datetime.max,  # noqa: DTZ901  (naive on purpose)
        datetime.datetime.max.replace(tzinfo=datetime.UTC),
    )
]


def by_answer(policies):
    return pytest.mark.parametrize(
        "policy", policies, ids=[repr(policy.answer) for policy in policies]
    )


def fail():
    work.happened.append("fail")
    raise ValueError("the job")


#: What the next calls of `conflict` raise.
CONFLICTS = []


@pytest.fixture(autouse=True)
def no_conflicts_left():
    CONFLICTS.clear()


def conflict():
    if CONFLICTS:
        raise CONFLICTS.pop(0)
    return 42


TOO_LONG = answering(datetime.timedelta.max)


# -- answers


@by_answer(NO)
def test_what_is_not_true_is_a_no(dispatcher, put, failed, policy):
    failed(put(fail, retry_policy_factory=policy), ValueError)
    assert work.happened == ["fail", "answer"]


@by_answer(YES + NOW)
def test_what_is_true_and_a_time_that_is_past_mean_at_once(dispatcher, put, failed, policy):
    failed(put(fail, retry_policy_factory=policy), ValueError)
    assert work.happened == ["fail", "fail", "answer"]


@by_answer(YES + NOW)
def test_so_they_do_after_an_interruption(dispatcher, put, completed, goes_on, policy):
    job = put(work.leave, retry_policy_factory=policy)
    completed(job)
    assert job.result == "stayed"
    goes_on()


@by_answer(IN_A_MINUTE)
def test_a_time_without_zone_is_in_utc_and_an_interval_counts_from_now(
    dispatcher, client, put, reactor, settle, failed, policy
):
    job = put(fail, retry_policy_factory=policy)
    settle(lambda: waits(client, job))
    reactor.time_flies(55)
    assert waits(client, job)
    assert work.happened == ["fail"]
    reactor.time_flies(6)
    failed(job, ValueError)
    assert work.happened == ["fail", "fail", "answer"]


def waits(client, job):
    client.manager.begin()
    return job.status == PENDING


@by_answer(NEVER_OVER)
def test_a_time_that_never_comes_holds_up_the_job_and_nobody_else(
    dispatcher, client, put, reactor, settle, soon, policy
):
    job = put(fail, retry_policy_factory=policy)
    soon(put(work.answer))
    # By another worker, which may be slower.
    settle(lambda: waits(client, job))
    reactor.time_flies(11)
    soon(put(work.answer))
    assert waits(client, job)
    assert list(client.queue) == [job]
    client.queue.remove(job)
    client.manager.commit()
    assert len(client.queue) == 0


def test_an_interval_that_leads_beyond_all_times_holds_up_nobody_else(dispatcher, put, soon):
    put(fail, retry_policy_factory=TOO_LONG)
    soon(put(work.answer))
    soon(put(work.answer))


# -- errors


@pytest.mark.parametrize(
    "policy", [RaisesInConstructor, RaisesInJobError, HasNoMethods, WantsNothing, make_none]
)
def test_a_policy_that_raises_when_a_job_fails_is_told_of_and_the_job_fails(
    dispatcher, put, failed, errors_told, policy
):
    job = put(fail, retry_policy_factory=policy)
    failed(job, ValueError)
    assert f"retry policy of {job!r} raised: the job fails" in errors_told()
    assert f"{job!r} failed:" in errors_told()
    assert work.happened == ["fail", "answer"]


@pytest.mark.parametrize(
    "policy", [RaisesInConstructor, RaisesInJobError, HasNoMethods, WantsNothing, make_none]
)
@pytest.mark.parametrize("count", [4, 5])
def test_a_policy_that_raises_loses_no_retry_of_a_conflict(
    dispatcher, put, completed, goes_on, errors_told, policy, count
):
    CONFLICTS.extend(ConflictError(str(number)) for number in range(count))
    job = put(conflict, retry_policy_factory=policy)
    completed(job)
    if count < 5:
        assert job.result == 42
    else:
        assert job.result.check(ConflictError)
    assert f"retry policy of {job!r} raised: the usual one answers" in errors_told()
    assert CONFLICTS == []
    goes_on()


class RaisesAndRunsOnce(RaisesInJobError):
    at_most_once = True


def test_unless_it_has_its_job_run_once(dispatcher, put, failed, errors_told):
    CONFLICTS.append(ConflictError())
    failed(put(conflict, retry_policy_factory=RaisesAndRunsOnce), ConflictError)
    assert "raised: the job fails" in errors_told()


@pytest.mark.parametrize(
    "policy", [RaisesInConstructor, RaisesInInterrupted, HasNoMethods, WantsNothing, make_none]
)
def test_a_policy_that_raises_when_a_job_is_interrupted_is_told_of_and_the_job_fails(
    dispatcher, put, completed, goes_on, errors_told, policy
):
    job = put(work.leave, retry_policy_factory=policy)
    completed(job)
    assert "AbortedError" in job.result.type_name
    assert f"retry policy of {job!r} raised: the job fails" in errors_told()
    goes_on()


@pytest.mark.parametrize("policy", ["no such name", 42, "", object])
def test_a_factory_that_makes_no_policy_is_refused_or_told_of(
    dispatcher, client, put, completed, goes_on, errors_told, policy
):
    try:
        job = put(fail, retry_policy_factory=policy)
    except TypeError:
        client.manager.abort()
    else:
        completed(job)
        assert job.result.check(ValueError)
        assert policy == "" or f"retry policy of {job!r} raised" in errors_told()
    goes_on()


@pytest.mark.parametrize("policy", [RaisesInUpdate, CannotBeStored])
def test_a_policy_that_cannot_note_its_data_is_told_of_and_the_job_fails(
    dispatcher, put, soon, errors_told, policy
):
    job = put(fail, retry_policy_factory=policy)
    soon(job)
    assert job.result.check(ValueError)
    assert "policy" in errors_told()
