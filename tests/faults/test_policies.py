"""Errors of a job, and of its commit, under each policy that comes with the library."""

import itertools

import pytest
import ZEO.Exceptions
from persistent.mapping import PersistentMapping
from ZODB.POSException import ConflictError
from ZODB.utils import p64, u64

import zc.async_
import zc.async_.clock
import zc.async_.testing
from tests.dispatcher import work
from tests.dispatcher.looking import idle
from tests.participants import Participant
from zc.async_.interfaces import COMPLETED, PENDING
from zc.async_.job import Job, NeverRetry, RetryCommonForever, RetryCommonFourTimes

#: What happens to the next tries of `fail_as_told` and `commit_as_told`, an error each.
errors = []

#: When they began (virtual seconds).
times = []

#: The last oid that a storage gave.
newest = []


@pytest.fixture(autouse=True)
def no_errors():
    """No error is left from another test."""
    errors.clear()
    times.clear()
    yield
    errors.clear()


@pytest.fixture
def in_time(client, dispatcher, reactor, settle):
    """Lets time pass until a job has completed; between two tries are no more than 60 seconds."""

    def in_time(job):
        def is_idle():
            client.manager.begin()
            return job.status in (PENDING, COMPLETED) and idle(dispatcher)

        while True:
            settle(is_idle)
            if job.status == COMPLETED:
                return
            reactor.time_flies(1)

    return in_time


def note_time():
    times.append(round((zc.async_.clock.now() - zc.async_.testing.BEGINNING).total_seconds()))


def fail_as_told():
    """Count in the database, and raise what the test wants."""
    note_time()
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()
    if errors:
        raise errors.pop(0)
    return "done"


def commit_as_told():
    """Count in the database, and have the commit raise what the test wants."""
    note_time()
    jar = zc.async_.local.getJob()._p_jar
    jar.root()["counter"].increase()
    if errors:
        jar.transaction_manager.get().join(Participant(errors.pop(0)))
    return "done"


FOREVER, FOUR, NEVER = RetryCommonForever, RetryCommonFourTimes, NeverRetry
CONFLICT, DISCONNECT, OTHER = ConflictError, ZEO.Exceptions.ClientDisconnected, ZeroDivisionError


@pytest.mark.parametrize(
    ("factory", "call", "error", "count", "survives"),
    [
        pytest.param(FOUR, fail_as_told, CONFLICT, 4, True, id="four, conflicts in the job"),
        pytest.param(FOUR, fail_as_told, CONFLICT, 5, False, id="four, too many in the job"),
        pytest.param(FOUR, commit_as_told, CONFLICT, 4, True, id="four, conflicts at the commit"),
        pytest.param(FOUR, commit_as_told, CONFLICT, 5, False, id="four, too many at the commit"),
        pytest.param(FOUR, fail_as_told, DISCONNECT, 30, True, id="four, disconnects in the job"),
        pytest.param(FOUR, commit_as_told, DISCONNECT, 30, True, id="four, disconnects at commit"),
        pytest.param(FOUR, fail_as_told, OTHER, 1, False, id="four, another error of the job"),
        pytest.param(FOUR, commit_as_told, OTHER, 1, False, id="four, another error of the commit"),
        pytest.param(FOREVER, fail_as_told, CONFLICT, 30, True, id="forever, conflicts in the job"),
        pytest.param(
            FOREVER, commit_as_told, CONFLICT, 30, True, id="forever, conflicts at commit"
        ),
        pytest.param(FOREVER, fail_as_told, DISCONNECT, 30, True, id="forever, disconnects in it"),
        pytest.param(FOREVER, commit_as_told, DISCONNECT, 30, True, id="forever, at the commit"),
        pytest.param(FOREVER, fail_as_told, OTHER, 1, False, id="forever, another of the job"),
        pytest.param(FOREVER, commit_as_told, OTHER, 30, True, id="forever, another at the commit"),
        pytest.param(NEVER, fail_as_told, CONFLICT, 1, False, id="never, a conflict in the job"),
        pytest.param(NEVER, commit_as_told, CONFLICT, 1, False, id="never, at the commit"),
        pytest.param(NEVER, fail_as_told, DISCONNECT, 1, False, id="never, a disconnect in it"),
        pytest.param(NEVER, commit_as_told, DISCONNECT, 1, False, id="never, at the commit too"),
    ],
)
def test_a_job_is_tried_as_often_as_its_policy_says_and_takes_effect_once_or_not_at_all(
    dispatcher, client, put, in_time, goes_on, factory, call, error, count, survives
):
    errors.extend(error("as told") for _ in range(count))
    job = put(call, retry_policy_factory=factory)
    in_time(job)
    assert errors == []
    assert work.happened == ["increase"] * (count + survives)
    assert client.root["counter"].count == survives
    if survives:
        assert job.result == "done"
    else:
        assert job.result.check(error)
    goes_on()


@pytest.mark.parametrize("call", [fail_as_told, commit_as_told])
@pytest.mark.parametrize("factory", [FOUR, FOREVER])
def test_the_pause_before_a_database_out_of_reach_is_tried_again_grows_to_a_minute(
    dispatcher, put, in_time, factory, call
):
    errors.extend(DISCONNECT() for _ in range(14))
    in_time(put(call, retry_policy_factory=factory))
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60]


def test_a_job_that_conflicts_and_fails_logs_an_error_that_names_it(
    dispatcher, client, put, completed, settle, errors_told
):
    errors.extend(CONFLICT() for _ in range(5))
    job = put(fail_as_told)
    completed(job)
    # It is told after the commit that completes the job.
    settle(lambda: f"{job!r} failed:" in errors_told())
    assert "ConflictError" in errors_told()


def test_a_callback_is_tried_over_for_ever_and_one_that_fails_is_critical(
    dispatcher, client, completed, goes_on, caplog
):
    errors.extend([*(CONFLICT() for _ in range(12)), OTHER("at last")])
    job = client.queue.put(work.answer)
    callback = job.addCallback(fail_with_result)
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    completed(job)
    assert callback.result.check(OTHER)
    assert client.root["log"].entries == ((42,),)
    levels = {r.levelname for r in caplog.records if "fail_with_result" in r.getMessage()}
    assert "CRITICAL" in levels
    goes_on()


def fail_with_result(result):
    return fail_as_told()


# -- oids that a server gave twice


def add_object(oids, known):
    """Get the oids that others have first, as from a ZEO server that was killed and restarted.

    Those that the connection knows give other errors than those that it does not.
    """
    jar = zc.async_.local.getJob()._p_jar
    storage = jar.db().storage
    if not times:
        newest.append(storage._oid)
    if known:
        for oid in oids:
            jar.get(oid)
    storage._oid = p64(u64(oids[len(times)]) - 1) if len(times) < len(oids) else newest[0]
    times.append(zc.async_.clock.microseconds())
    jar.root()["added"] = PersistentMapping()
    return len(times)


@pytest.fixture
def used_oids(client):
    """Oids of some objects."""
    newest.clear()
    client.manager.begin()
    others = client.root["others"] = [PersistentMapping() for _ in range(8)]
    client.manager.commit()
    return [other._p_oid for other in others]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("factory", [RetryCommonFourTimes, RetryCommonForever])
def test_a_job_does_not_fail_because_of_oids_that_were_given_twice(
    client, dispatcher, put, completed, goes_on, used_oids, factory, known
):
    job = put(Job(add_object, used_oids, known), retry_policy_factory=factory)
    completed(job)
    assert job.result == 9
    assert client.root["added"]._p_oid not in used_oids
    assert dict(job.getRetryPolicy().data) == {"used_oid": 8}
    goes_on()


def test_not_even_if_they_are_those_of_the_job_and_its_queue(
    client, dispatcher, put, soon, goes_on, used_oids
):
    job = put(Job(add_object, used_oids, True))
    client.manager.begin()
    job.args[0] = [job._p_oid, *(client.queue.lanes[key]._p_oid for key in client.queue.lanes)]
    client.manager.commit()
    soon(job)
    assert job.result == len(times)
    assert client.root["added"]._p_oid not in job.args[0]
    client.connection.db().storage._oid = p64(u64(newest[0]) + 100)
    goes_on()
