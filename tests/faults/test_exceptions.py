"""Exceptions of jobs that are hard to store, to show or to describe."""

import threading

import persistent
import pytest

import zc.async_
from tests.dispatcher import work
from zc.async_.job import Job


class Unpicklable(Exception):
    """Holds what cannot be stored."""

    def __init__(self):
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class TwoArguments(Exception):
    """Can be pickled, and not be loaded."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class BadStr(Exception):
    """Raises for who wants its text."""

    def __str__(self):
        raise ZeroDivisionError("no text")


class BadRepr(Exception):
    """Raises for who wants to see it."""

    def __repr__(self):
        raise ZeroDivisionError("no repr")


class Neither(BadStr, BadRepr):
    """Raises for both."""


class NotText(Exception):
    """Its text is no text."""

    def __str__(self):
        return 42


class Leaving(Exception):
    """Wants to end the thread of who shows it."""

    def __str__(self):
        raise SystemExit

    __repr__ = __str__


class BadReduce(Exception):
    """Raises when it is pickled."""

    def __reduce__(self):
        raise ZeroDivisionError("no pickle")


class Shown:
    """A local variable whose repr raises."""

    def __repr__(self):
        raise ZeroDivisionError("not to be shown")


class Record(persistent.Persistent):
    """A persistent object that is new."""


def raise_class(name):
    raise globals()[name]()


def raise_two_arguments():
    raise TwoArguments("one", "two")


def raise_with_record():
    raise ValueError(Record())


def raise_with_counter():
    raise ValueError(zc.async_.local.getJob()._p_jar.root()["counter"])


def raise_among_variables():
    variable = Shown()  # noqa: F841
    raise ValueError("among variables")


def raise_with_huge_text():
    raise ValueError("x" * 1_000_000)


def raise_with_long_chain():
    error = ValueError("the first")
    for number in range(5000):
        following = ValueError(f"number {number}")
        following.__cause__ = error
        error = following
    raise error


def raise_with_cycle():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def raise_with_own_cause():
    error = ValueError("its own cause")
    error.__cause__ = error
    error.__context__ = error
    raise error


def raise_with_bad_cause():
    raise ValueError("with a bad cause") from Neither()


def raise_group():
    raise ExceptionGroup("several", [ValueError("one"), Unpicklable(), Neither()])


def raise_local_class():
    class Local(Exception):
        pass

    raise Local("of a class that cannot be imported")


def raise_with_note():
    error = ValueError("with a note")
    error.add_note(Shown.__name__)
    error.__notes__ = Shown()
    raise error


def raise_class_with_odd_name():
    raise type("Odd\n<name> \N{SNOWMAN}", (Exception,), {})("odd")


CALLS = [
    *(
        pytest.param(Job(raise_class, kind.__name__), kind.__name__, id=kind.__name__)
        for kind in (Unpicklable, BadStr, BadRepr, Neither, NotText, Leaving, BadReduce)
    ),
    *(
        pytest.param(Job(call), type_name, id=call.__name__)
        for call, type_name in (
            (raise_two_arguments, "TwoArguments"),
            (raise_with_record, "ValueError"),
            (raise_with_counter, "ValueError"),
            (raise_among_variables, "ValueError"),
            (raise_with_huge_text, "ValueError"),
            (raise_with_long_chain, "ValueError"),
            (raise_with_cycle, "ValueError"),
            (raise_with_own_cause, "ValueError"),
            (raise_with_bad_cause, "ValueError"),
            (raise_group, "ExceptionGroup"),
            (raise_local_class, "Local"),
            (raise_with_note, "ValueError"),
            (raise_class_with_odd_name, "Odd"),
        )
    ),
]


@pytest.mark.parametrize(("job", "type_name"), CALLS)
def test_whatever_a_job_raises_becomes_a_failure_that_names_the_type(
    dispatcher, client, connect, put, completed, goes_on, errors_told, job, type_name
):
    job = client.queue.put(Job(job.callable, *job.args))
    job.addCallback(note_type)
    client.manager.commit()
    completed(job)
    # As another process loads it.
    result = connect().connection.get(job._p_oid).result
    assert type_name in result.type_name
    assert result.getTraceback()
    assert result.getTraceback(detail="verbose")
    assert isinstance(result.getErrorMessage(), str)
    assert repr(result)
    assert f"{job!r} failed:" in errors_told()
    assert type_name in errors_told()
    assert any(type_name in str(told) for told in work.happened)
    goes_on()


def note_type(failure):
    """A callback: it is given a failure that it can use."""
    work.happened.append(failure.type_name)


def test_a_long_chain_of_causes_is_stored_in_a_record_of_bounded_size(
    dispatcher, size_of, client, completed, put
):
    job = put(raise_with_long_chain)
    completed(job)
    assert size_of(job) < 20_000


def test_the_text_of_an_exception_is_stored_in_a_record_of_bounded_size(
    dispatcher, size_of, put, completed
):
    job = put(raise_with_huge_text)
    completed(job)
    assert size_of(job) < 200_000
