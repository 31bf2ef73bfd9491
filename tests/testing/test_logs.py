"""Seeing what the library logs."""

import io
import logging

import pytest

import zc.async_.testing


@pytest.fixture
def print_logs():
    """Prints logs, until the end of the test."""
    logger = logging.getLogger("zc.async")
    before = list(logger.handlers)
    yield zc.async_.testing.print_logs
    for handler in set(logger.handlers) - set(before):
        logger.removeHandler(handler)


def test_critical_messages_are_printed(print_logs, capsys):
    print_logs()
    logging.getLogger("zc.async.event").critical("Foo!")
    logging.getLogger("zc.async.event").error("Bar!")
    logging.getLogger("zc.async").critical("Top!")
    logging.getLogger("zc.other").critical("Other!")
    assert capsys.readouterr().out == "Foo!\nTop!\n"


def test_standard_output_is_looked_up_each_time(print_logs, monkeypatch):
    for _ in range(2):
        output = io.StringIO()
        monkeypatch.setattr("sys.stdout", output)
        handler = print_logs()
        logging.getLogger("zc.async.event").critical("Foo!")
        logging.getLogger("zc.async").removeHandler(handler)
        assert output.getvalue() == "Foo!\n"


def test_the_file_and_the_level_can_be_chosen(print_logs):
    output = io.StringIO()
    print_logs(output, logging.ERROR)
    logging.getLogger("zc.async.events").error("Bar!")
    logging.getLogger("zc.async.events").warning("Baz!")
    assert output.getvalue() == "Bar!\n"
