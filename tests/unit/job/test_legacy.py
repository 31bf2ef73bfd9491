"""What records of old name, found where they say it is."""

import logging
import pickle

import pytest
import ZODB.broken

import zc.async_.job
import zc.twist
from zc.async_.job.partial import Partial
from zc.async_.running.retry import RetryCommonForever


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("zc.async.agent", "chooseFirst"),
        ("zc.async.job", "RetryCommonFourTimes"),
        ("zc.async.job", "callback_retry_policy_factory"),
        ("zc.async.job", "isFailure"),
        ("zc.async.partial", "Partial"),
    ],
)
def test_a_name_in_an_old_record_is_found(module, name):
    found = ZODB.broken.find_global(module, name)
    assert found.__name__ == name
    assert found.__module__.startswith("zc.async_.")


def test_other_names_are_not_found():
    with pytest.raises(AttributeError, match=r"'zc\.async_\.job' has no attribute 'nothing'"):
        zc.async_.job.nothing  # noqa: B018


def test_failures_are_told_from_other_results():
    assert zc.async_.job.isFailure(zc.twist.Failure(ValueError("it failed")))
    assert not zc.async_.job.isFailure(42)


def test_the_policy_of_callbacks_is_the_patient_one():
    job = zc.async_.job.Job(logging.getLogger)
    policy = zc.async_.job.callback_retry_policy_factory(job)
    assert isinstance(policy, RetryCommonForever)
    assert policy.parent is job


def test_a_stored_partial_application_can_be_called():
    partial = pickle.loads(pickle.dumps(Partial(int, "11", base=2)))
    assert partial() == 3
    assert partial(base=8) == 9
    assert Partial(divmod, 7)(2) == (3, 1)
