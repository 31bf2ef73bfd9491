"""Jobs that end the transaction they run in themselves."""

import pytest
import transaction
import transaction.interfaces

import zc.async_
from tests.dispatcher import work


def root():
    return zc.async_.local.getJob()._p_jar.root()


def step():
    root()["counter"].increase()


def commit_between():
    step()
    transaction.commit()
    step()
    return "both"


def commit_and_fail():
    step()
    transaction.commit()
    step()
    raise ValueError("after the commit")


def abort_between():
    step()
    transaction.abort()
    step()
    return "the second"


def begin_between():
    step()
    transaction.begin()
    step()
    return "the second"


def abort_at_the_end():
    step()
    transaction.abort()
    return "nothing"


def doom():
    step()
    transaction.doom()
    return "doomed"


def doom_and_abort():
    step()
    transaction.doom()
    transaction.abort()
    step()
    return "the second"


def doom_and_commit():
    step()
    transaction.doom()
    transaction.commit()


def roll_back_to_savepoint():
    step()
    savepoint = transaction.savepoint()
    step()
    savepoint.rollback()
    return "the first"


def veto_and_return():
    """A commit that fails is not forgotten by the job that catches it."""
    step()
    transaction.doom()
    try:
        transaction.commit()
    except transaction.interfaces.DoomedTransaction:
        transaction.abort()
    step()
    return "the second"


def end_often():
    for _ in range(20):
        step()
        transaction.commit()
        transaction.abort()
        transaction.begin()
    return "often"


def join_bad_hook():
    step()
    transaction.get().addBeforeCommitHook(raise_in_hook)
    return "hooked"


def add_bad_after_hook():
    """What raises after the commit is logged by the transaction, and changes nothing."""
    step()
    transaction.get().addAfterCommitHook(raise_in_hook)
    return "hooked"


def raise_in_hook(*args):
    raise ZeroDivisionError("in a hook")


@pytest.mark.parametrize(
    ("call", "result", "count"),
    [
        (commit_between, "both", 2),
        (abort_between, "the second", 1),
        (begin_between, "the second", 1),
        (abort_at_the_end, "nothing", 0),
        (doom_and_abort, "the second", 1),
        (roll_back_to_savepoint, "the first", 1),
        (veto_and_return, "the second", 1),
        (end_often, "often", 20),
        (add_bad_after_hook, "hooked", 1),
    ],
)
def test_a_job_may_end_its_transaction_and_completes_with_what_it_did_after_that(
    dispatcher, client, put, completed, goes_on, call, result, count
):
    job = put(call)
    completed(job)
    assert job.result == result
    assert client.root["counter"].count == count
    goes_on()


@pytest.mark.parametrize(
    ("call", "error", "count"),
    [
        (commit_and_fail, ValueError, 1),
        (doom, transaction.interfaces.DoomedTransaction, 0),
        (doom_and_commit, transaction.interfaces.DoomedTransaction, 0),
        (join_bad_hook, ZeroDivisionError, 0),
    ],
)
def test_a_job_whose_transaction_cannot_be_committed_fails(
    dispatcher, client, put, failed, errors_told, call, error, count
):
    job = put(call)
    assert failed(job, error).getTraceback()
    assert client.root["counter"].count == count
    assert f"{job!r} failed:" in errors_told()


@pytest.mark.parametrize(
    "call", [commit_between, abort_between, begin_between, doom_and_abort, end_often]
)
def test_a_callback_may_end_its_transaction_too(dispatcher, client, completed, goes_on, call):
    job = client.queue.put(work.answer)
    callback = job.addCallback(Calling(call))
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    completed(job)
    assert isinstance(callback.result, str)
    assert client.root["log"].entries == ((42,),)
    goes_on()


class Calling:
    """Calls a function of this module without the result."""

    def __init__(self, call):
        self._name = call.__name__

    def __call__(self, result):
        return globals()[self._name]()
