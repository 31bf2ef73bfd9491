"""What is shown of values: short, in one line, without secrets, and in little time."""

import dataclasses
import pickle
import tracemalloc
from collections import OrderedDict, UserList, defaultdict, deque, namedtuple
from types import SimpleNamespace

import persistent.list
import persistent.mapping
import pytest
import twisted.python.failure

import zc.twist
from zc.twist import showing

HUGE = 50_000_000


class Time:
    """A time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    """The time of `showing`, standing."""
    time = Time()
    monkeypatch.setattr(showing, "_seconds", time)
    monkeypatch.setattr(showing, "_avoided", type(showing._avoided)())
    return time


class Text(str):
    """A string by another name."""


class Says:
    """Has the repr that it is told to have."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


class Raises:
    """Raises what it is told to, instead of having a repr."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error


@dataclasses.dataclass
class User:
    """Has a repr that was made for it."""

    name: str
    password: str
    cache: object = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass
class Discreet:
    """Has one of its own."""

    password: str

    def __repr__(self):
        return "<Discreet>"


Pair = namedtuple("Pair", "name api_token")


class Memory:
    """Measures the most bytes that were in use at a time."""

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *error):
        self.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "it's",
        Text("text"),
        b"bytes",
        bytearray(b"bytes"),
        12,
        -(1 << 64),
        True,
        None,
        1.5,
        [],
        [1, [2]],
        (),
        (1,),
        (1, 2),
        set(),
        {1},
        frozenset({1}),
        deque([1]),
        {},
        {"a": {"b": 1}},
        defaultdict(int, {"a": 1}),
        SimpleNamespace(a=1),
        ValueError("text", 1),
        ValueError("text"),
        Pair(1, 2)._replace(api_token=1)[:1],
        Discreet("x"),
        UserList([1]),
        persistent.list.PersistentList([1]),
        persistent.mapping.PersistentMapping(a=1),
        int,
        len,
    ],
    ids=repr,
)
def test_what_is_short_is_shown_as_its_repr(value):
    assert showing.show(value) == repr(value)


@pytest.mark.parametrize(
    "make",
    [
        str,
        Text,
        str.encode,
        lambda text: bytearray(len(text)),
        lambda text: [0] * len(text),
        lambda text: [text],
        lambda text: {"a": text},
        lambda text: {text: 1},
        ValueError,
        lambda text: User(text, ""),
        lambda text: Pair(text, ""),
        lambda text: UserList([text]),
        lambda text: persistent.mapping.PersistentMapping(a=text),
        lambda text: OrderedDict(a=text),
        lambda text: SimpleNamespace(a=text),
    ],
    ids=lambda make: type(make("")).__name__,
)
def test_what_is_long_is_cut_and_not_made_whole(make):
    value = make("x" * HUGE)
    with Memory() as memory:
        text = showing.show(value)
    assert len(text) == showing.MAX_LENGTH
    assert text.endswith(showing.CUT)
    assert memory.peak < 1_000_000


def test_an_own_repr_is_cut():
    text = showing.show(Says("x" * 5000))
    assert len(text) == showing.MAX_LENGTH
    assert text.endswith(showing.CUT)


def test_a_huge_integer_is_told_by_its_size():
    assert showing.show(1 << 10_000_000) == "<an integer of 10000001 bits>"


def test_how_much_is_shown_is_a_setting(monkeypatch):
    monkeypatch.setattr(showing, "MAX_LENGTH", 10)
    assert showing.show("x" * 100) == "'xxxxxx..."


def test_containers_that_contain_themselves_come_to_an_end():
    endless = []
    endless.append({"a": endless})
    assert showing.show(endless) == "[{'a': ...}]"
    deep = []
    for _level in range(10_000):
        deep = [deep]
    assert showing.show(deep).startswith("[[[[")


@pytest.mark.parametrize("error", [ValueError("a"), RecursionError(), SystemExit(), MemoryError()])
def test_a_repr_that_raises_is_told_of(error):
    text = showing.show([1, Raises(error), 2])
    assert text.startswith("[1, <tests.twist.test_showing.Raises at 0x")
    assert text.endswith(f"__repr__ raised {type(error).__name__}>, 2]")


def test_a_repr_that_is_no_text_is_told_of():
    assert "__repr__ raised TypeError" in showing.show(Says(1))


def test_a_value_is_one_line_that_can_be_encoded():
    hostile = "a\r\n2030-01-01 CRITICAL forged\x1b[2J \ud800 \u202e"
    text = showing.show(Says(hostile))
    assert text == "a\\r\\n2030-01-01 CRITICAL forged\\x1b[2J \\ud800 \\u202e"
    assert showing.show(hostile) == repr(hostile)
    text.encode("ascii")


def test_a_text_of_lines_keeps_them_and_nothing_else_that_controls_a_terminal():
    assert showing.text_of(ValueError("a\nb\x1b \ud800")) == "a\nb\\x1b \\ud800"
    assert "__str__ raised" in showing.text_of(NoText())
    assert len(showing.text_of(ValueError("x" * HUGE))) == showing.MAX_LENGTH


class NoText(Exception):
    """Has no text."""

    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Password": "x", "a": 1}, "{'Password': ***, 'a': 1}"),
        ({b"secret": "x"}, "{b'secret': ***}"),
        ([{"a": {"api_KEY": "x"}}], "[{'a': {'api_KEY': ***}}]"),
        (User("a", "x"), "User(name='a', password=***)"),
        (Pair("a", "x"), "Pair(name='a', api_token=***)"),
        (SimpleNamespace(secret="x"), "namespace(secret=***)"),
        (OrderedDict(token="x"), "OrderedDict({'token': ***})"),
        (defaultdict(int, token=1), "defaultdict(<class 'int'>, {'token': ***})"),
        (persistent.mapping.PersistentMapping(token="x"), "{'token': ***}"),
        (ValueError({"token": "x"}), "ValueError({'token': ***})"),
    ],
)
def test_what_belongs_to_the_name_of_a_secret_is_masked(value, text):
    assert showing.show(value) == text


def test_which_names_are_masked_is_a_setting(monkeypatch):
    monkeypatch.setattr(showing, "MASKED_NAMES", ("iban",))
    assert showing.show({"IBAN": 1, "password": 2}) == "{'IBAN': ***, 'password': 2}"


class Slow:
    """Takes its time."""

    def __init__(self, time, seconds):
        self.time, self.seconds = time, seconds

    def __repr__(self):
        self.time.now += self.seconds
        return "<Slow>"


def test_once_the_time_is_used_up_the_rest_goes_without(time):
    slow = Slow(time, 0.4)
    assert showing.show([slow] * 50) == "[<Slow>, <Slow>, <Slow>...]"
    assert time.now < 2 * showing.PATIENCE


def test_values_that_are_shown_together_share_the_time(time):
    shown = showing.Showing()
    texts = [shown.text(Slow(time, 0.4)) for _ in range(50)]
    assert texts == ["<Slow>"] * 3 + ["..."] * 47


def test_a_class_whose_repr_takes_long_is_not_asked_again_for_a_while(time):
    assert showing.show([Slow(time, 20), 1]) == "[<Slow>...]"
    assert time.now == 20
    assert "whose repr takes long" in showing.show([Slow(time, 20), 1])
    assert time.now == 20
    time.now += showing.AVOIDANCE
    assert showing.show(Slow(time, 0)) == "<Slow>"


def test_a_class_is_not_blamed_for_what_is_slow_in_it(time):
    class Holder:
        def __repr__(self):
            return showing.show(Slow(time, 20))

    showing.show(Holder())
    assert showing.show(Holder()).startswith("<tests.twist.test_showing.Slow object at")


# -- failures


def fail(**variables):
    """Raise, with variables that are worth a look."""
    password = variables.get("password")
    data = variables
    raise ValueError("failed", bool(password and data))


def captured(**variables):
    """The failure of `fail`, and its variables."""
    try:
        fail(**variables)
    except ValueError:
        failure = zc.twist.Failure(captureVars=True)
    return failure, dict(failure.frames[-1][3])


def test_what_a_failure_keeps_of_secrets_is_a_mask():
    failure, names = captured(password="hunter2", deep={"api_key": "hunter2"})
    assert names["password"] == showing.MASK
    assert "hunter2" not in failure.getTraceback(detail="verbose")
    assert "hunter2" not in str(failure.__getstate__()["frames"])


def test_the_variables_of_a_failure_are_cut_as_a_whole(monkeypatch):
    def recurse(depth):
        filling = "x" * 5000
        if depth:
            recurse(depth - 1)
        raise ValueError(len(filling))

    try:
        recurse(100)
    except ValueError:
        failure = zc.twist.Failure(captureVars=True)
    texts = [text for frame in failure.frames for _name, text in frame[3]]
    assert sum(map(len, texts)) < showing.MAX_FAILURE_LENGTH + 1000
    # Those that are innermost are there.
    assert dict(failure.frames[-1][3])["depth"] == "0"
    assert failure.frames[0][3] == (("...", "..."),)


def test_the_variables_of_a_failure_share_the_time(time):
    _failure, names = captured(**{f"slow{number}": Slow(time, 0.3) for number in range(50)})
    assert time.now < 2 * showing.PATIENCE
    assert names["data"] == showing.CUT


def test_failures_are_without_variables_if_that_is_switched_off(monkeypatch):
    monkeypatch.setattr(showing, "SHOW_VARIABLES", False)
    failure, names = captured(a=Raises(AssertionError))
    assert not names
    assert not failure.captureVars
    assert "disabled" in failure.getTraceback(detail="verbose")


def test_a_failure_of_twisted_keeps_no_variables_if_that_is_switched_off(monkeypatch):
    monkeypatch.setattr(showing, "SHOW_VARIABLES", False)
    try:
        fail(password="hunter2")
    except ValueError:
        other = twisted.python.failure.Failure(captureVars=True)
    assert "hunter2" not in str(zc.twist.sanitize(other).__getstate__())


def test_the_text_of_an_exception_cannot_look_like_a_record_of_its_own():
    text = zc.twist.Failure(ValueError("a\n2030-01-01 CRITICAL forged")).getTraceback(
        detail="verbose"
    )
    assert "\n    2030-01-01 CRITICAL forged" in text


def test_a_huge_text_in_a_chain_is_cut():
    try:
        try:
            raise KeyError("x" * HUGE)
        except KeyError as error:
            raise ValueError("y" * HUGE) from error
    except ValueError:
        failure = zc.twist.Failure(captureVars=True)
    assert len(failure.getTraceback(detail="verbose")) < 2 * showing.MAX_FAILURE_LENGTH
    assert len(pickle.dumps(failure)) < 2 * showing.MAX_FAILURE_LENGTH
