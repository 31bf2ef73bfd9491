"""Keeps log records small and safe, whatever values of applications they show."""

import logging
import traceback
from typing import Any

from zc.twist import showing

#: Types whose values stay as they are: formats may need numbers.
_NUMBERS = (float, type(None), bool)

#: `showing` shows integers beyond this.
_LARGEST = 1 << 64


class ShownArguments(logging.Filter):
    """A logging filter that lets all records pass, and shortens how their arguments are shown.

    The arguments of one record share the available time. A long text of an exception is cut too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace arguments, and the text of the exception. Always true."""
        if isinstance(record.args, tuple) and not all(map(_is_harmless, record.args)):
            shown = showing.Showing()
            record.args = tuple(
                arg if _is_harmless(arg) else _Argument(shown, arg) for arg in record.args
            )
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            text = "".join(traceback.format_exception(record.exc_info[1]))
            shown_text = showing.plain_lines(showing.cut_middle(text))
            if shown_text != text:
                # Formatters use this attribute if it is set.
                record.exc_text = shown_text.rstrip("\n")
        return True


def _is_harmless(arg: Any) -> bool:
    kind = type(arg)
    return kind in _NUMBERS or (kind is int and -_LARGEST < arg < _LARGEST)


class _Argument:
    """Replaces an argument of a record, and makes its text once, for all handlers."""

    def __init__(self, shown: showing.Showing, value: Any) -> None:
        self._shown = shown
        self._value = value
        self._repr: str | None = None
        self._str: str | None = None
        if isinstance(value, BaseException):
            # A handler that keeps the record must not keep the objects of the traceback.
            self._repr, self._str = shown.text(value), showing.text_of(value)
            self._value = None

    def __repr__(self) -> str:
        if self._repr is None:
            self._repr = self._shown.text(self._value)
        return self._repr

    def __str__(self) -> str:
        if self._str is None:
            if type(self._value) is str:
                # The text may have several lines.
                self._str = showing.plain_lines(showing.cut_middle(self._value))
            else:
                self._str = showing.text_of(self._value)
        return self._str
