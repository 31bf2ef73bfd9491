"""The arguments and annotations of a job: they look like a list and like dicts."""

import pickle

import pytest

from tests.unit import calls
from zc.async_.job import Job


@pytest.fixture
def job(client):
    """A job in the database, with arguments."""
    return client.add("job", Job(calls.echo, 1, 2, a=3))


@pytest.fixture
def seen_by_others(client, other, job):
    """The job as another connection has it after a commit."""

    def see():
        client.commit()
        other.begin()
        return other.mine(job)

    return see


def test_arguments_read_as_a_list(job):
    assert job.args == [1, 2]
    assert job.args == (1, 2)
    assert job.args != [1]
    assert job.args == job.args
    assert job.args == Job(calls.echo, 1, 2).args
    assert repr(job.args) == "[1, 2]"
    assert len(job.args) == 2
    assert job.args[0] == 1
    assert job.args[-1] == 2
    assert job.args[:1] == [1]
    assert list(job.args) == [1, 2]
    assert 2 in job.args
    assert 3 not in job.args
    assert job.args.index(2) == 1
    assert bool(job.args)
    assert not Job(calls.echo).args


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda args: args.append(3), [1, 2, 3], id="append"),
        pytest.param(lambda args: args.extend([3, 4]), [1, 2, 3, 4], id="extend"),
        pytest.param(lambda args: args.insert(0, 0), [0, 1, 2], id="insert"),
        pytest.param(lambda args: args.__setitem__(0, 7), [7, 2], id="item"),
        pytest.param(lambda args: args.__setitem__(slice(1, 2), [8, 9]), [1, 8, 9], id="slice"),
        pytest.param(lambda args: args.__delitem__(0), [2], id="deletion"),
        pytest.param(lambda args: args.pop(), [1], id="pop"),
        pytest.param(lambda args: args.remove(1), [2], id="remove"),
        pytest.param(lambda args: args.reverse(), [2, 1], id="reverse"),
        pytest.param(lambda args: args.clear(), [], id="clear"),
    ],
)
def test_changes_of_arguments_are_stored(job, seen_by_others, change, expected):
    args = job.args
    change(args)
    assert args == expected
    assert job.args == expected
    assert seen_by_others().args == expected


def test_arguments_can_be_replaced_and_added_to_in_place(job, seen_by_others):
    job.args = (5, 6)
    assert job.args == [5, 6]
    job.args += [7]
    assert job.args == [5, 6, 7]
    assert seen_by_others().args == [5, 6, 7]


def test_jobs_without_arguments_do_not_share_them(client):
    first, second = Job(calls.echo), Job(calls.echo)
    first.args.append(1)
    first.kwargs["a"] = 1
    assert second.args == []
    assert second.kwargs == {}
    assert Job(calls.echo).args == []


def test_the_list_given_stays_apart_from_the_arguments(job):
    given = [1]
    job.args = given
    job.args.append(2)
    assert given == [1]
    keywords = {"a": 1}
    job.kwargs = keywords
    job.kwargs["b"] = 2
    assert keywords == {"a": 1}


def test_a_view_stays_valid_when_the_job_is_loaded_anew(client, other, job):
    args, kwargs, annotations = job.args, job.kwargs, job.annotations
    other.begin()
    there = other.mine(job)
    there.args.append(3)
    there.kwargs["b"] = 4
    there.annotations["c"] = 5
    other.commit()
    client.begin()
    assert (args, kwargs, annotations) == ([1, 2, 3], {"a": 3, "b": 4}, {"c": 5})


def test_an_aborted_change_is_gone(client, job):
    job.args.append(3)
    job.kwargs["b"] = 4
    job.annotations["c"] = 5
    client.abort()
    assert (job.args, job.kwargs, job.annotations) == ([1, 2], {"a": 3}, {})


def test_iterating_while_changing_is_safe(job):
    for number in job.args:
        job.args.append(number * 10)
    assert job.args == [1, 2, 10, 20]
    for key in job.kwargs:
        job.kwargs[key + "2"] = 0
    assert job.kwargs == {"a": 3, "a2": 0}


@pytest.mark.parametrize("name", ["kwargs", "annotations"])
def test_keyword_arguments_and_annotations_read_as_a_dict(job, name):
    setattr_view(job, name, {"a": 3})
    view = getattr(job, name)
    assert view == {"a": 3}
    assert view == getattr(job, name)
    assert view != {"a": 4}
    assert repr(view) == "{'a': 3}"
    assert view["a"] == 3
    assert "a" in view
    assert "b" not in view
    assert view.get("b") is None
    assert list(view) == list(view.keys()) == ["a"]
    assert list(view.values()) == [3]
    assert list(view.items()) == [("a", 3)]
    assert len(view) == 1
    with pytest.raises(KeyError):
        view["b"]
    with pytest.raises(KeyError):
        del view["b"]


def setattr_view(job, name, values):
    view = getattr(job, name)
    view.clear()
    view.update(values)


@pytest.mark.parametrize("name", ["kwargs", "annotations"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda view: view.__setitem__("b", 4), {"a": 3, "b": 4}, id="item"),
        pytest.param(
            lambda view: view.update({"b": 4}, c=5), {"a": 3, "b": 4, "c": 5}, id="update"
        ),
        pytest.param(lambda view: view.setdefault("b", 4), {"a": 3, "b": 4}, id="setdefault"),
        pytest.param(lambda view: view.__delitem__("a"), {}, id="deletion"),
        pytest.param(lambda view: view.pop("a"), {}, id="pop"),
        pytest.param(lambda view: view.clear(), {}, id="clear"),
    ],
)
def test_changes_of_mappings_are_stored(client, job, seen_by_others, name, change, expected):
    setattr_view(job, name, {"a": 3})
    client.commit()
    change(getattr(job, name))
    assert getattr(job, name) == expected
    assert getattr(seen_by_others(), name) == expected


def test_an_update_with_nothing_writes_nothing(client, job):
    job.kwargs.update({})
    assert not job._p_changed


def test_keyword_arguments_can_be_replaced(job, seen_by_others):
    job.kwargs = {"z": 1}
    assert seen_by_others().kwargs == {"z": 1}


def test_reading_annotations_writes_nothing(client, job):
    assert job.annotations == {}
    assert job.annotations.get("a") is None
    assert not job._p_changed
    assert job.sidecar_record is None


def test_annotations_are_written_apart_from_the_job(client, other, job):
    job.annotations["a"] = 1
    client.commit()
    other.begin()
    other.mine(job).annotations["b"] = 2
    job.priority = 4
    client.commit()
    other.commit()
    client.begin()
    assert job.annotations == {"a": 1, "b": 2}
    assert job.priority == 4


def test_views_are_pickled_as_what_they_show(job):
    job.annotations["b"] = 4
    for view, kind in [(job.args, list), (job.kwargs, dict), (job.annotations, dict)]:
        copy = pickle.loads(pickle.dumps(view))
        assert type(copy) is kind
        assert view == copy


@pytest.mark.parametrize("name", ["args", "kwargs", "annotations"])
def test_views_cannot_be_keys(job, name):
    with pytest.raises(TypeError):
        hash(getattr(job, name))
