"""Labels, and the labels that a job needs."""

import uuid

import pytest

from tests.unit import calls
from zc.async_.agent import Agent
from zc.async_.job import Job, as_labels
from zc.async_.job.labels import LONGEST, MOST
from zc.async_.job.order import GroupKey


class Shouting(str):
    def __str__(self):
        return self.upper()


HERE = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param((), (), id="none"),
        pytest.param(["gpu", "eu", "gpu"], ("eu", "gpu"), id="sorted, each once"),
        pytest.param({"gpu", "eu"}, ("eu", "gpu"), id="a set"),
        pytest.param((label for label in ["eu"]), ("eu",), id="any iterable"),
        pytest.param([HERE, "eu"], (str(HERE), "eu"), id="a UUID is its string"),
        pytest.param([Shouting("gpu")], ("gpu",), id="a string of another class"),
        pytest.param(["größe:ß/2.0", "x" * LONGEST], ("größe:ß/2.0", "x" * LONGEST), id="text"),
        pytest.param(map(str, range(MOST)), tuple(sorted(map(str, range(MOST)))), id="many"),
    ],
)
def test_labels_are_given_by_any_iterable_and_kept_sorted(given, kept):
    labels = as_labels("needs", given)
    assert labels == kept
    assert {type(label) for label in labels} <= {str}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("gpu", r"needs is a collection of labels, such as \('gpu', 'eu'\), not 'gpu': put a"),
        (b"gpu", "needs is a collection of labels"),
        (HERE, "put a single one into a list"),
        (None, r"not None: .* give \(\) for none"),
        (5, "not 5"),
        (["gpu", 5], "a label in needs is a string or a uuid.UUID, not 5"),
        ([b"gpu"], "not b'gpu'"),
        ([None], "not None"),
        ([["gpu"]], "not \\['gpu'\\]"),
    ],
)
def test_what_are_no_labels_is_told_what_to_give(given, text):
    with pytest.raises(TypeError, match=text):
        as_labels("needs", given)


@pytest.mark.parametrize(
    "label",
    ["", " ", "gpu ", "big memory", "gpu,eu", "a\nb", "a\0", "\x1b[0m", "\ud800", "\xa0", "\u200b"],
)
@pytest.mark.parametrize("other", ["eu", HERE])
def test_what_cannot_stand_in_a_configuration_is_no_label(label, other):
    with pytest.raises(ValueError, match="in needs cannot be a label: give 1 to 200 printable"):
        as_labels("needs", [other, label])


def test_labels_are_of_limited_length_and_number():
    with pytest.raises(ValueError, match="cannot be a label: give 1 to 200") as raised:
        as_labels("needs", ["x" * 50_000_000])
    assert len(str(raised.value)) < 2000
    with pytest.raises(ValueError, match="labels has 101 labels, and may have 100: have one"):
        as_labels("labels", map(str, range(MOST + 1)))


@pytest.mark.parametrize("make", [lambda: Job(calls.nothing), Agent], ids=["a job", "an agent"])
def test_bad_labels_change_nothing(make):
    owner = make()
    attribute = "needs" if isinstance(owner, Job) else "labels"
    setattr(owner, attribute, ["eu"])
    for bad, error in [("gpu", TypeError), ([""], ValueError)]:
        with pytest.raises(error, match=attribute):
            setattr(owner, attribute, bad)
    assert getattr(owner, attribute) == ("eu",)


def test_nothing_is_stored_of_a_job_that_needs_nothing():
    job = Job(calls.nothing)
    before = vars(job).copy()
    job.needs = ()
    assert vars(job) == before
    job.needs = ["gpu"]
    assert {**before, "kept_needs": ("gpu",)} == vars(job)


def test_needs_are_stored(client, other):
    job = client.put(calls.nothing, needs=["gpu", HERE])
    other.begin()
    assert other.mine(job).needs == (str(HERE), "gpu")


def test_the_group_of_a_job_knows_its_needs_unless_it_is_of_the_system():
    job = Job(calls.nothing)
    job.needs = ["gpu", "eu"]
    assert job.group_key() == GroupKey(False, (), (), ("eu", "gpu"))
    system = job.make_system_job(job.resumeCallbacks)
    assert system.needs == ()
    system.needs = ["gpu"]
    assert system.group_key() == GroupKey(True, (), ())


def test_an_equal_value_is_no_edit(client):
    job = client.put(calls.nothing, needs=["gpu"])
    job.needs = {"gpu"}
    assert job.entry_key == max(
        entry[0] for lane in client.queue.lanes.values() for entry, _segment, _end in lane.unread()
    )
    assert client.queue.stale_entries() == 0
