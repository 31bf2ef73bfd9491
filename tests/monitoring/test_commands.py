"""Commands and tools: words in, text out, and no traceback."""

import contextlib
import logging

import hypothesis
import hypothesis.strategies as st
import pytest
import ZEO.Exceptions

from tests.monitoring.asking import Answer, ask, error, told
from zc.async_.commands import Command, NotThereError, words
from zc.monitor.interfaces import ConnectionEndedError

opened = []


@contextlib.contextmanager
def opener():
    opened.append("open")
    try:
        yield ("first",)
    finally:
        opened.append("closed")


@pytest.fixture
def command():
    """One with some tools."""
    opened.clear()
    command = Command("test", opener)

    @command.tool(words.any_number, size=words.number, name=words.some_name)
    def echo(first, *given, **options):
        """Say it again.

        With the details.
        """
        return [first, list(given), options]

    @command.tool(words.one_oid)
    def fail(first, oid):
        """Fail."""
        raise [RuntimeError("bad\nluck"), NotThereError("it is gone")][oid]

    @command.tool(words.at_most_one)
    def lists(first, *given):
        """Give one after the other."""
        yield 1
        if given:
            raise ZEO.Exceptions.ClientDisconnected("away")

    return command


def test_a_tool_gets_what_words_mean(command):
    said = told(command, "echo b a size:3 name:x:y")
    assert said == ["first", ["b", "a"], {"name": "x:y", "size": 3}]
    assert opened == ["open", "closed"]


def test_help(command):
    overview = (
        "Usage: test TOOL [WORD...] [MODIFIER:VALUE...]\n"
        'Try "test help TOOL" for all about one of these tools:\n'
        "echo: Say it again.\n"
        "fail: Fail.\n"
        "help: List the tools, or explain one.\n"
        "lists: Give one after the other."
    )
    assert ask(command, "") == ask(command, "help") == overview
    assert ask(command, "help echo") == "Say it again.\n\nWith the details."
    assert "test help [TOOL]" in ask(command, "help help")
    assert ask(command, "help nothing").startswith("[Unknown tool name for this command: nothing]")
    assert not opened


def test_an_unknown_tool(command):
    assert ask(command, "dance") == "[Unknown tool name for this command: dance]"
    assert ask(command, "dance now", interactive=True) == (
        "[Unknown tool name for this command: dance]\n[The tools are: echo, fail, help, lists]"
    )
    assert len(ask(command, "x" * 10_000)) < 200
    assert ask(command, "\x07\x1b") == r"[Unknown tool name for this command: \x07\x1b]"


def test_modifiers_that_are_wrong_are_told_with_what_is_right(command):
    assert "'color:red' is no modifier: echo takes size:, name:" in error(command, "echo color:red")
    assert "size: 'many' is no number" in error(command, "echo size:many")
    assert "name: there is nothing behind the colon" in error(command, "echo name:")
    assert "size: is given twice" in error(command, "echo size:1 size:2")
    assert "fail takes none" in error(command, "fail 1 x:y")
    assert error(command, "echo :").endswith('Try "test help echo"')
    assert not opened


def test_words_that_are_wrong_are_told(command):
    assert "give one oid" in error(command, "fail")
    assert "give one oid" in error(command, "fail 1 2")
    assert "'z' is no oid" in error(command, "fail z")
    assert "'b' is one word too many" in error(command, "lists a b")


def test_errors_are_told_and_not_raised(command, caplog):
    assert error(command, "fail 1") == 'it is gone. Try "test help fail"'
    assert not caplog.records
    assert error(command, "fail 0") == r"fail failed, see the log: builtins.RuntimeError: bad\nluck"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert ask(command, "lists x").endswith(
        "[The database is out of reach: ZEO.Exceptions.ClientDisconnected: away]"
    )
    assert opened == ["open", "closed"] * 3


def test_a_client_that_goes_away_closes_what_was_opened(command):
    class Gone(Answer):
        def write(self, text):
            raise ConnectionEndedError("gone")

    with pytest.raises(ConnectionEndedError) as caught:
        command.perform(Gone(), ["lists"])
    # Though something still refers to where that was.
    assert caught.tb is not None
    assert opened == ["open", "closed"]


@hypothesis.given(st.text(max_size=50))
def test_whatever_is_asked_something_is_answered(command, text):
    assert ask(command, text)
    assert ask(command, f"echo {text}")
