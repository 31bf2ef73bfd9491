"""Keeps log records small and safe, whatever the values of applications are that they show."""

import logging
import traceback
from typing import Any

from zc.twist import showing

#: Shown as they are: formats may ask for them as numbers.
_NUMBERS = (float, type(None), bool)

#: Integers beyond these are shown as `showing` does.
_LARGEST = 1 << 64


class ShownArguments(logging.Filter):
    """A filter of a logger that lets all records pass, and has their arguments shown in short.

    The arguments of one record share the time that there is. An exception whose text is long is
    cut, too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace what is to be shown. Never false."""
        if isinstance(record.args, tuple) and not all(map(_is_harmless, record.args)):
            shown = showing.Showing()
            record.args = tuple(
                arg if _is_harmless(arg) else _Argument(shown, arg) for arg in record.args
            )
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            text = "".join(traceback.format_exception(record.exc_info[1]))
            shown_text = showing.plain_lines(showing.cut_middle(text))
            if shown_text != text:
                # Formatters take this, if it is there.
                record.exc_text = shown_text.rstrip("\n")
        return True


def _is_harmless(arg: Any) -> bool:
    kind = type(arg)
    return kind in _NUMBERS or (kind is int and -_LARGEST < arg < _LARGEST)


class _Argument:
    """Stands in for an argument of a record, and makes its text once, for all handlers."""

    def __init__(self, shown: showing.Showing, value: Any) -> None:
        self._shown = shown
        self._value = value
        self._repr: str | None = None
        self._str: str | None = None
        if isinstance(value, BaseException):
            # Whoever keeps the record must not keep what the traceback refers to.
            self._repr, self._str = shown.text(value), showing.text_of(value)
            self._value = None

    def __repr__(self) -> str:
        if self._repr is None:
            self._repr = self._shown.text(self._value)
        return self._repr

    def __str__(self) -> str:
        if self._str is None:
            if type(self._value) is str:
                # A text of several lines, perhaps.
                self._str = showing.plain_lines(showing.cut_middle(self._value))
            else:
                self._str = showing.text_of(self._value)
        return self._str
