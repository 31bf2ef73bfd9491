"""The dispatchers of a process."""

import uuid

import pytest

import zc.async_.dispatcher
from zc.async_.process import registry


@pytest.fixture
def make(make_dispatcher):
    """A dispatcher that is not activated."""
    return make_dispatcher


def test_a_dispatcher_is_found_by_its_uuid(make):
    dispatcher = make()
    assert zc.async_.dispatcher.get(dispatcher.UUID) is dispatcher


def test_without_a_uuid_that_of_the_process_is_meant(make, identity):
    assert zc.async_.dispatcher.get() is None
    dispatcher = make(uuid=identity)
    assert zc.async_.dispatcher.get() is dispatcher
    assert zc.async_.dispatcher.pop() is dispatcher
    assert zc.async_.dispatcher.get() is None


def test_by_default_a_dispatcher_has_the_uuid_of_the_process(make, identity):
    dispatcher = make(uuid=None)
    assert identity == dispatcher.UUID


def test_a_default_is_returned_for_an_unknown_uuid():
    assert zc.async_.dispatcher.get(uuid.uuid4(), "none") == "none"


def test_two_dispatchers_of_one_uuid_are_refused_with_the_remedy(make):
    first = make()
    with pytest.raises(ValueError, match=r"stop it and call zc\.async_\.dispatcher\.pop first"):
        make(uuid=first.UUID)
    assert zc.async_.dispatcher.get(first.UUID) is first
    zc.async_.dispatcher.pop(first.UUID)
    assert zc.async_.dispatcher.get(make(uuid=first.UUID).UUID) is not first


def test_what_looks_like_a_uuid_will_do(make):
    class Identity:
        bytes = uuid.uuid4().bytes

    dispatcher = make(uuid=Identity())
    assert type(dispatcher.UUID) is uuid.UUID
    assert zc.async_.dispatcher.get(Identity()) is dispatcher


def test_an_unknown_dispatcher_cannot_be_removed():
    with pytest.raises(KeyError):
        zc.async_.dispatcher.pop(uuid.uuid4())


def test_all_dispatchers_are_told_and_can_be_forgotten(make):
    dispatchers = [make(), make()]
    told = registry.dispatchers()
    assert sorted(told, key=id) == sorted(dispatchers, key=id)
    zc.async_.dispatcher.clear()
    assert registry.dispatchers() == []
    # What was told is a copy.
    assert len(told) == 2
