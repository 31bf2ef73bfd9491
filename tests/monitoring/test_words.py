"""What words mean, and what is said of those that mean nothing."""

import datetime
import uuid

import pytest

from zc.async_.commands import BadQuestionError, words
from zc.async_.commands.words import Span
from zc.async_.interfaces import NotConfiguredError

HOUR = datetime.timedelta(hours=1)

#: What no reader takes, and what is to be seen of it.
GARBAGE = ["", " ", "x", "\x00\x1b[2J", "é", "\udcff", "9" * 100_000, "-1", "1H;DROP", "\u0661"]


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1H", HOUR),
        ("1D2H3M4S", datetime.timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("90M", 1.5 * HOUR),
        ("1.5s", datetime.timedelta(seconds=1.5)),
        ("0S", datetime.timedelta()),
    ],
)
def test_an_interval(text, interval):
    assert words.interval(text) == interval


@pytest.mark.parametrize("text", [*GARBAGE, "1M1H", "H", "5", "1H ", "999999999999999D", "1.1.1S"])
def test_what_is_no_interval_is_told(text):
    with pytest.raises(BadQuestionError, match="interval") as caught:
        words.interval(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("251606568116056434", 251606568116056434),
        ("1H", HOUR),
        ("2030-01-31T12:00:00Z", datetime.datetime(2030, 1, 31, 12, tzinfo=datetime.UTC)),
        ("2030-01-31T12:00:00.5", datetime.datetime(2030, 1, 31, 12, 0, 0, 500_000, datetime.UTC)),
        ("2030-01-31", datetime.datetime(2030, 1, 31, tzinfo=datetime.UTC)),
    ],
)
def test_a_moment_is_a_key_an_interval_or_a_time(text, moment):
    assert words.moment(text) == moment


@pytest.mark.parametrize("text", [*GARBAGE, "2030-13-01"])
def test_what_is_no_moment_is_told(text):
    with pytest.raises(BadQuestionError, match=r"2030-01-31T12:00:00Z"):
        words.moment(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("since1H", Span(HOUR, None)),
        ("before1H", Span(None, HOUR)),
        ("since2H,before1H", Span(2 * HOUR, HOUR)),
        ("before1H,since2H", Span(2 * HOUR, HOUR)),
    ],
)
def test_a_span(text, span):
    assert words.span(text) == span


@pytest.mark.parametrize("text", [*GARBAGE, "since", "since1H,", "since1H,since2H", "1H"])
def test_what_is_no_span_is_told(text):
    with pytest.raises(BadQuestionError, match=r"interval|span"):
        words.span(text)


def test_a_uuid_may_be_that_of_this_process(identity):
    import zc.async_.configure

    assert words.uuid(str(identity)) == identity
    with pytest.raises(NotConfiguredError):
        words.uuid("THIS")
    zc.async_.configure.base()
    assert words.uuid("THIS") == words.uuid("this") == identity
    assert isinstance(words.uuid("THIS"), uuid.UUID)


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_no_uuid_oid_or_number_is_told(text):
    for read in (words.uuid, words.oid, words.number):
        with pytest.raises(BadQuestionError, match="is no") as caught:
            read(text)
        assert len(str(caught.value)) < 250


def test_oids_and_numbers_have_limits():
    assert words.oid("0") == 0
    assert words.oid(str((1 << 64) - 1)) == (1 << 64) - 1
    assert words.number("1") == 1
    with pytest.raises(BadQuestionError):
        words.oid(str(1 << 64))
    with pytest.raises(BadQuestionError):
        words.number("0")


def test_choices_and_names():
    assert words.one_of("a", "b")("b") == "b"
    with pytest.raises(BadQuestionError, match="'c' is none of a, b"):
        words.one_of("a", "b")("c")
    assert words.name("") == ""
    with pytest.raises(BadQuestionError, match="nothing behind the colon"):
        words.some_name("")
