"""Attributes of jobs that are set by names that are almost right."""

import pytest

from tests.unit import calls
from zc.async_.job import Job, mistyped


class Titled(Job):
    def __init__(self, *args):
        super().__init__(*args)
        self.begin = "of its own"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("quota_name", "quota_names"),
        ("quotas", "quota_names"),
        ("prioriy", "priority"),
        ("retry_policy", "retry_policy_factory"),
        ("log_level", "failure_log_level"),
        ("error_log_level", "failure_log_level"),
        ("begin_at", "begin_after"),
        ("beginby", "begin_by"),
        ("annotation", "annotations"),
        ("arg", "args"),
        ("need", "needs"),
    ],
)
def test_a_name_that_is_almost_right_is_refused_with_the_right_one(client, name, meant):
    for job in (Job(calls.nothing), client.put(calls.nothing)):
        with pytest.raises(AttributeError) as raised:
            setattr(job, name, 1)
        assert str(raised.value) == (
            f"a job has no attribute '{name}': did you mean '{meant}'? What you want to note of "
            "your own belongs into job.annotations, or into attributes of a subclass of Job"
        )
        assert name not in vars(job)


@pytest.mark.parametrize(
    "name",
    ["title", "name", "user_id", "label", "labels", "feeds", "nodes", "queue_name", "_begin"],
)
def test_attributes_of_ones_own_stay_possible(client, other, name):
    job = client.put(calls.nothing)
    setattr(job, name, "mine")
    client.commit()
    other.begin()
    assert getattr(other.mine(job), name) == "mine"


def test_a_subclass_may_have_what_attributes_it_likes():
    assert Titled(calls.nothing).begin == "of its own"


def test_all_that_can_be_set_is_thought_of():
    settable = {
        name
        for class_ in Job.__mro__
        for name, value in vars(class_).items()
        if isinstance(value, property) and value.fset is not None and not name.startswith("_")
    }
    assert set(mistyped.SETTABLE) == settable - {"parent"} | {"annotations"}
