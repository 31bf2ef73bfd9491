"""Code that is not there."""

import pytest
import ZODB.broken

from tests.unit import calls
from zc.async_.interfaces import MissingCallableError
from zc.async_.job import Job
from zc.async_.running import missing
from zc.async_.running.missing import MissingCodeError, delay, find_callable
from zc.async_.storing.callables import from_stored


@pytest.fixture
def broken():
    """An object whose class is gone."""
    kind = ZODB.broken.find_global("gone", "Class")
    return kind.__new__(kind)


class Computed:
    """Has an attribute that fails by a fault of its own."""

    @property
    def method(self):
        return self.nothing


@pytest.mark.parametrize("arguments", [lambda b: ([b], {}), lambda b: ([], {"key": b})])
def test_an_argument_whose_class_is_gone_is_missing_code(broken, arguments):
    args, kwargs = arguments(broken)
    job = Job(calls.echo, *args, **kwargs)
    with pytest.raises(MissingCodeError) as caught:
        find_callable(job)
    assert "gone.Class" in str(caught.value)


def test_nothing_is_missing():
    assert find_callable(Job(calls.echo, 1, key=2)) is calls.echo


@pytest.mark.parametrize("name", ["method", None])
def test_an_object_whose_class_is_gone_has_no_method(broken, name):
    with pytest.raises(MissingCallableError, match=r"gone\.Class"):
        from_stored((broken, name))


def test_a_method_that_was_renamed_is_missing():
    with pytest.raises(MissingCallableError, match="no 'renamed' any more"):
        from_stored((calls.Log(), "renamed"))


def test_an_attribute_that_fails_is_not_missing():
    with pytest.raises(AttributeError) as caught:
        from_stored((Computed(), "method"))
    assert not isinstance(caught.value, MissingCallableError)


def test_delays_grow_and_have_an_end():
    assert [delay(count) for count in (0, 1, 9, 10, 1000)] == [1, 2, 512, 600, 600]
    assert missing.PATIENCE.total_seconds() == 24 * 60 * 60
