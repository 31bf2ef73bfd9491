"""What a job can call, and how it remembers it."""

import functools
import math
import operator
import os.path
import time
import types

import pytest
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

from tests.unit import calls
from zc.async_.interfaces import MissingCallableError
from zc.async_.job import Job
from zc.async_.storing import callables

LAMBDA = lambda: 1  # noqa: E731


def decorator(function):
    @functools.wraps(function)
    def inner(*args):
        return ["decorated", function(*args)]

    return inner


@decorator
def decorated(value):
    return value


class Plain:
    """A class whose instances can be called and stored, but are not persistent."""

    def __init__(self, value):
        self.value = value

    def __call__(self, other):
        return [self.value, other]

    def method(self, other):
        return [self.value, other, "method"]

    def __eq__(self, other):
        return type(other) is Plain and other.value == self.value

    __hash__ = None


class WithPrivate(calls.Counter):
    """Has a method whose name is mangled, and one under a second name."""

    def __increase(self):
        return self.increase(100)

    def private(self):
        return self.__increase

    second_name = calls.Counter.increase

    hidden = (lambda function: lambda self: function(self, 7))(calls.Counter.increase)


#: Callables that are found by name, with their arguments and results.
GLOBALS = [
    pytest.param(calls.add, (1, 2), 3, id="function"),
    pytest.param(decorated, (1,), ["decorated", 1], id="decorated function"),
    pytest.param(os.path.join, ("a", "b"), os.path.join("a", "b"), id="function of the library"),
    pytest.param(operator.mul, (5, 2), 10, id="built-in function"),
    pytest.param(len, ("abc",), 3, id="built-in function of the builtins"),
    pytest.param(math.sqrt, (4,), 2.0, id="built-in function of an extension"),
    pytest.param(dict, ([(1, 2)],), {1: 2}, id="built-in type"),
    pytest.param(calls.Nested.static, (1,), ["static", 1], id="static method"),
]

#: Callables that are kept as an object and perhaps the name of a method.
OBJECTS = [
    pytest.param(calls.Nested.of_class, (1,), ["Nested", 1], id="class method"),
    pytest.param(dict.fromkeys, ("a",), {"a": None}, id="built-in class method"),
    pytest.param(functools.partial(calls.add, 1), (2,), 3, id="partial"),
    pytest.param(Plain(1), (2,), [1, 2], id="callable object"),
    pytest.param(Plain(1).method, (2,), [1, 2, "method"], id="method of an object"),
    pytest.param("a,b".split, (",",), ["a", "b"], id="built-in method"),
    pytest.param([1, 2].__len__, (), 2, id="method wrapper"),
    pytest.param(operator.itemgetter(0), ([7],), 7, id="callable object of an extension"),
]


def run_elsewhere(client, connect, job):
    """Store a job, load it in another connection, call it there."""
    client.root["job"] = job
    client.commit()
    elsewhere = connect()
    job = elsewhere.root["job"]
    return job, job()


@pytest.mark.parametrize(("callable", "args", "result"), GLOBALS)
def test_global_callables_are_kept_by_name(client, connect, callable, args, result):
    job = Job(callable, *args)
    assert isinstance(job.stored_callable, str)
    assert job.callable is callable
    there, there_result = run_elsewhere(client, connect, job)
    assert there_result == result
    assert there.callable is callable


@pytest.mark.parametrize(("callable", "args", "result"), OBJECTS)
def test_other_callables_are_kept_with_their_object(client, connect, callable, args, result):
    job = Job(callable, *args)
    _there, there_result = run_elsewhere(client, connect, job)
    assert there_result == result


def test_the_time_is_told_by_the_function_and_not_by_a_method_of_its_module(client, connect):
    job = Job(time.time)
    assert job.stored_callable == "time:time"
    assert isinstance(run_elsewhere(client, connect, job)[1], float)


def test_a_class_is_called_to_make_an_instance(client, connect):
    assert run_elsewhere(client, connect, Job(Plain, 3))[1] == Plain(3)


def test_a_persistent_class_makes_an_object_of_the_database(client, connect):
    _job, counter = run_elsewhere(client, connect, Job(calls.Counter))
    client.begin()
    assert client.mine(counter).count == 0


def test_a_method_of_a_persistent_object_changes_it(client, connect):
    counter = client.add("counter", calls.Counter())
    run_elsewhere(client, connect, Job(counter.increase, 5))
    client.begin()
    assert counter.count == 5


def test_a_persistent_object_can_be_called(client, connect):
    counter = client.add("counter", calls.Counter())
    job = Job(counter, by=3)
    assert job.callable is counter
    run_elsewhere(client, connect, job)
    client.begin()
    assert counter.count == 3


def test_a_method_under_a_second_name_is_called(client, connect):
    counter = client.add("counter", WithPrivate())
    assert run_elsewhere(client, connect, Job(counter.second_name, 2))[1] == 2


def test_a_method_with_a_mangled_name_is_called(client, connect):
    counter = client.add("counter", WithPrivate())
    assert run_elsewhere(client, connect, Job(counter.private()))[1] == 100


def test_a_method_whose_decorator_hides_its_name_is_called(client, connect):
    counter = client.add("counter", WithPrivate())
    assert run_elsewhere(client, connect, Job(counter.hidden))[1] == 7


def test_a_function_bound_to_an_object_that_does_not_have_it_is_refused():
    with pytest.raises(TypeError, match="no method of its object"):
        Job(types.MethodType(calls.add, calls.Counter()))


@pytest.mark.parametrize("make", [OOBTree, PersistentMapping])
def test_the_special_methods_of_mappings_can_be_called(client, connect, make):
    tree = client.add("tree", make())
    run_elsewhere(client, connect, Job(tree.__setitem__, "key", "value"))
    client.begin()
    assert tree["key"] == "value"


def test_the_built_in_methods_of_trees_can_be_called(client, connect):
    tree = client.add("tree", OOBTree())
    run_elsewhere(client, connect, Job(tree.update, {"key": "value"}))
    client.begin()
    assert tree["key"] == "value"


def test_a_job_can_be_the_callable_of_a_job(client, connect):
    inner = Job(calls.add, 1)
    assert run_elsewhere(client, connect, Job(inner, 2))[1] == 3


@pytest.mark.parametrize(
    "value",
    [None, 42, "calls.add", calls.Counter().count, [calls.add]],
    ids=["None", "a number", "a name", "an attribute", "a list"],
)
def test_what_cannot_be_called_is_refused(value):
    with pytest.raises(TypeError, match="cannot be called"):
        Job(value)


def local_function():
    def inner():
        return 1

    return inner


@pytest.mark.parametrize(
    ("value", "name"),
    [
        pytest.param(LAMBDA, "lambda", id="a lambda"),
        pytest.param(local_function(), "inner", id="a function within a function"),
        pytest.param(functools.partial(LAMBDA), "lambda", id="a partial of a lambda"),
        pytest.param((i for i in ()).send, "generator", id="a method of what cannot be stored"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_put_and_named(queue, value, name):
    with pytest.raises(TypeError, match=f"the callable .*{name}"):
        queue.put(value)
    assert len(queue) == 0


def test_a_job_that_is_never_stored_may_call_a_lambda():
    assert Job(LAMBDA)() == 1


@pytest.mark.parametrize(
    "name",
    ["zc.async_.no_such_module:function", "tests.unit.calls:no_such_function"],
    ids=["module", "function"],
)
def test_code_that_is_gone_is_told_by_its_dotted_name_when_the_job_is_used(client, connect, name):
    job = Job(calls.nothing)
    job.stored_callable = name
    client.add("job", job)
    there = connect().root["job"]
    dotted = name.replace(":", ".")
    assert dotted in repr(there)
    with pytest.raises(MissingCallableError, match=dotted) as raised:
        there.callable  # noqa: B018
    assert "install or restore" in str(raised.value)
    assert isinstance(raised.value, LookupError)


def test_looking_at_a_stored_callable_imports_nothing():
    assert callables.stored_repr("no.such.module:function") == "no.such.module.function"


def test_the_root_of_a_callable_is_the_object_of_its_method():
    counter = calls.Counter()
    assert callables.root_of(callables.to_stored(counter.increase)) is counter
    assert callables.root_of(callables.to_stored(counter)) is None
    assert callables.root_of(callables.to_stored(calls.add)) is None


@pytest.mark.parametrize(
    ("callable", "name"),
    [
        (calls.add, "tests.unit.calls.add"),
        (calls.Nested.static, "tests.unit.calls.Nested.static"),
        (calls.Nested.of_class, "tests.unit.calls.Nested.of_class"),
        (calls.Counter().increase, "tests.unit.calls.Counter.increase"),
        (calls.Counter(), "tests.unit.calls.Counter"),
        (functools.partial(calls.add, 1), "functools.partial"),
        ([].append, "builtins.list.append"),
        (lambda: None, "tests.unit.storing.test_callables.<lambda>"),
    ],
)
def test_a_callable_has_a_dotted_name(callable, name):
    assert callables.stored_name(callables.to_stored(callable)) == name


def test_the_name_of_code_that_is_missing_is_known():
    assert callables.stored_name("gone.away:Class.method") == "gone.away.Class.method"
