"""A job that put another, committed, and returned it: its callable does not run again."""

import functools
import operator

import pytest
from ZEO.Exceptions import ServerException
from ZODB.POSException import ConflictError

from tests.participants import Bystander
from tests.races.parties import call_hook, done, nothing, set_hook
from zc.async_ import local, utils
from zc.async_.interfaces import ACTIVE, COMPLETED, KEY, NEW
from zc.async_.job import Job


def delegate(*args):
    """Put a job, commit, let another party act, and return the job."""
    done.append("delegate")
    jar = local.getJob()._p_jar
    inner = jar.root()[KEY][""].put(Job(operator.mul, 6, 7))
    jar.transaction_manager.commit()
    call_hook()
    return inner


def delegate_and_change(*args):
    """As `delegate`, and leave something uncommitted."""
    inner = delegate()
    local.getJob()._p_jar.root()["changed"] = True
    return inner


def return_kept(*args):
    """Return a job that is kept in the root."""
    done.append("return_kept")
    return local.getJob()._p_jar.root()["kept"]


class Before:
    """Calls something before a commit of a party, the first time that a condition holds."""

    def __init__(self, party, condition, call):
        self._condition, self._call = condition, call
        party.manager.registerSynch(self)
        # It is referred to weakly there.
        party.before = self

    def newTransaction(self, transaction):
        pass

    def beforeCompletion(self, transaction):
        if self._call is not None and self._condition():
            call, self._call = self._call, None
            call()

    def afterCompletion(self, transaction):
        pass


def is_joining(dispatcher, claimed):
    """Whether a worker is about to commit that its job waits."""

    def joins():
        job = dispatcher.connection.get(claimed.job_id[0])
        return job.status == ACTIVE and job.returned_job is None and job.awaited_job is not None

    return joins


def die():
    raise SystemExit


def put(client, call, *args):
    job = client.queue.put(Job(call, *args))
    client.manager.commit()
    return job


def end(client, *dispatchers):
    for _round in range(3):
        for dispatcher in dispatchers:
            dispatcher.work()
    client.manager.begin()


def claim_or_run(party, claimed, runs_too):
    """Have a party claim the job that was put, and perhaps run it; `claimed` gets the claim."""
    claimed.extend(party.claim())
    if runs_too:
        party.run(claimed[0])


@pytest.mark.parametrize("call", [delegate, delegate_and_change])
@pytest.mark.parametrize("runs_too", [False, True], ids=["claims", "runs"])
def test_somebody_claims_or_runs_the_other_before_it_is_returned(
    client, dispatcher, sibling, call, runs_too
):
    job = put(client, call)
    (claimed,) = dispatcher.claim()
    inner = []
    set_hook(functools.partial(claim_or_run, sibling, inner, runs_too))
    dispatcher.run(claimed)
    if not runs_too:
        client.manager.begin()
        assert job.is_suspended()
        sibling.run(inner[0])
    end(client, dispatcher, sibling)
    assert done == ["delegate"]
    assert (job.status, job.result) == (COMPLETED, 42)
    assert ("changed" in client.root) == (call is delegate_and_change)


@pytest.mark.parametrize("runs_too", [False, True], ids=["claims", "runs"])
def test_somebody_claims_or_runs_the_other_while_the_callback_is_added(
    client, dispatcher, sibling, runs_too
):
    job = put(client, delegate)
    (claimed,) = dispatcher.claim()
    inner = []
    act = functools.partial(claim_or_run, sibling, inner, runs_too)
    Before(dispatcher, is_joining(dispatcher, claimed), act)
    dispatcher.run(claimed)
    assert inner
    if not runs_too:
        sibling.run(inner[0])
    end(client, dispatcher, sibling)
    assert done == ["delegate"]
    assert (job.status, job.result) == (COMPLETED, 42)


@pytest.mark.parametrize("ran", [False, True], ids=["waits", "ran"])
@pytest.mark.parametrize("call", [delegate, delegate_and_change])
def test_a_process_dies_between_the_two_commits(client, dispatcher, sibling, call, ran):
    job = put(client, call)
    (claimed,) = dispatcher.claim()
    Before(dispatcher, is_joining(dispatcher, claimed), die)
    with pytest.raises(SystemExit):
        dispatcher.run(claimed)
    client.manager.begin()
    assert job.status == ACTIVE
    assert not job.is_suspended()
    assert list(dispatcher.agents(client)["main"]) == [job]
    if ran:
        sibling.work()
    dispatcher.agents(client).deactivate()
    client.manager.commit()
    end(client, sibling)
    assert done == ["delegate"]
    assert (job.status, job.result) == (COMPLETED, 42)
    assert ("changed" in client.root) == (call is delegate_and_change)


def test_a_process_dies_between_the_two_commits_of_a_callback(client, dispatcher, sibling):
    job = client.queue.put(Job(operator.mul, 2, 3))
    callback = job.addCallback(delegate)
    behind = callback.addCallback(operator.neg)
    client.manager.commit()
    (claimed,) = dispatcher.claim()

    def joins():
        same = dispatcher.connection.get(callback._p_oid)
        return same.awaited_job is not None

    Before(dispatcher, joins, die)
    with pytest.raises(SystemExit):
        dispatcher.run(claimed)
    client.manager.begin()
    assert callback.status == ACTIVE
    assert not callback.is_suspended()
    dispatcher.agents(client).deactivate()
    client.manager.commit()
    end(client, sibling)
    assert done == ["delegate"]
    assert (callback.status, callback.result, behind.result) == (COMPLETED, 42, -42)
    assert job.status == COMPLETED


def test_somebody_fails_the_job_before_the_callback_is_added(client, dispatcher, sibling):
    job = put(client, delegate)
    (claimed,) = dispatcher.claim()

    def fail():
        client.manager.begin()
        job.fail()
        client.manager.commit()

    Before(dispatcher, is_joining(dispatcher, claimed), fail)
    with pytest.raises(Exception, match="no longer the business"):
        dispatcher.run(claimed)
    end(client, dispatcher, sibling)
    assert done == ["delegate"]
    assert "TimeoutError" in str(job.result)


def test_a_job_that_was_never_put_is_waited_for(client, dispatcher):
    kept = client.root["kept"] = Job(operator.mul, 6, 7)
    job = put(client, return_kept)
    end(client, dispatcher)
    assert (job.status, kept.status) == (ACTIVE, NEW)
    client.queue.put(kept)
    client.manager.commit()
    end(client, dispatcher)
    assert done == ["return_kept"]
    assert (job.status, job.result) == (COMPLETED, 42)


def test_a_job_that_is_new_is_waited_for_in_one_commit(client, dispatcher):
    """As the parts of a composed job are."""
    job = put(client, put_and_return)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    client.manager.begin()
    assert job.is_suspended()
    (inner,) = client.queue
    assert job._p_serial == inner._p_serial
    end(client, dispatcher)
    assert job.result == 42


def put_and_return():
    return local.getJob()._p_jar.root()[KEY][""].put(Job(operator.mul, 6, 7))


def commit_and_return():
    """Leave nothing to commit, and have somebody change something else meanwhile."""
    done.append("commit_and_return")
    jar = local.getJob()._p_jar
    jar.root()["done"] = True
    jar.transaction_manager.commit()
    return 42


def read_and_return():
    done.append("read_and_return")
    return len(local.getJob()._p_jar.root())


def change_and_return():
    done.append("change_and_return")
    local.getJob()._p_jar.root()["done"] = len(done)
    return 42


def conflict():
    raise ConflictError


@pytest.mark.parametrize(
    ("call", "times"), [(commit_and_return, 1), (read_and_return, 1), (change_and_return, 2)]
)
@pytest.mark.parametrize("as_callback", [False, True])
def test_a_result_that_conflicts_makes_nothing_run_again_of_which_nothing_is_left_to_commit(
    client, dispatcher, call, times, as_callback
):
    job = client.queue.put(Job(Calling(call) if as_callback else call))
    if as_callback:
        job.callable = nothing
        failing = job.addCallback(Calling(call))
    else:
        failing = job
    client.manager.commit()
    (claimed,) = dispatcher.claim()

    def ends():
        return dispatcher.connection.get(failing._p_oid).status == COMPLETED

    Conflicting(dispatcher, ends)
    dispatcher.run(claimed)
    end(client, dispatcher)
    assert done == [call.__name__] * times
    assert failing.status == COMPLETED
    assert isinstance(failing.result, int)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), ServerException("OSError")])
@pytest.mark.parametrize("as_callback", [False, True])
def test_a_storage_that_refuses_to_have_a_job_wait_does_not_fail_it(
    client, dispatcher, monkeypatch, error, as_callback
):
    monkeypatch.setattr(utils, "DISCONNECTED_BACKOFF", (0, 0, 0))
    job = client.queue.put(Job(nothing if as_callback else delegate_and_change))
    returning = job.addCallback(delegate_and_change) if as_callback else job
    client.manager.commit()
    (claimed,) = dispatcher.claim()

    def joins():
        return dispatcher.connection.get(returning._p_oid).awaited_job is not None

    Conflicting(dispatcher, joins, error)
    dispatcher.run(claimed)
    end(client, dispatcher)
    assert done == ["delegate"]
    assert (returning.status, returning.result) == (COMPLETED, 42)
    assert job.status == COMPLETED


class Calling:
    """Calls a function of this module without the result."""

    def __init__(self, call):
        self._name = call.__name__

    def __call__(self, *result):
        return globals()[self._name]()


class Conflicting(Bystander):
    """Has the first commit of a party conflict, or fail, for which a condition holds."""

    def __init__(self, party, condition, error=ConflictError):
        self._condition, self._done = condition, False
        self._error = error
        self._manager = party.manager
        party.manager.registerSynch(self)
        party.kept = self

    def newTransaction(self, transaction):
        pass

    def beforeCompletion(self, transaction):
        if not self._done and transaction._resources and self._condition():
            self._done = True
            transaction.join(self)

    def afterCompletion(self, transaction):
        pass

    def sortKey(self):
        return "\U0010ffff"

    def tpc_begin(self, transaction):
        raise self._error
