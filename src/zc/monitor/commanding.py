"""Performs the command of one line, in a separate thread."""

import inspect
import logging
from typing import Any

import zope.interface

from zc.monitor import basics
from zc.monitor.interfaces import ConnectionEndedError, IMonitorConnection

log = logging.getLogger("zc.monitor")

#: Characters that are sent to the network in one piece.
PIECE = 1 << 16


@zope.interface.implementer(IMonitorConnection)
class Connection:
    """See `IMonitorConnection`. Lives for one line."""

    def __init__(self, outlet: Any, interactive: bool) -> None:
        """`outlet`: has a method `send`, for any thread; see `zc.monitor.protocol`."""
        self._outlet = outlet
        self.interactive = interactive
        self.ends_with_newline = True

    def write(self, text: str) -> None:
        """See `IMonitorConnection`."""
        if not isinstance(text, str):
            raise TypeError(f"the answer of a command is text (str), not {type(text).__name__}")
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE]
            self._outlet.send(piece.encode("utf-8", "backslashreplace"))
        if text:
            self.ends_with_newline = text.endswith("\n")

    def quit(self) -> None:
        """See `IMonitorConnection`."""
        self.interactive = False


def perform(line: str, connection: Connection) -> None:
    """Perform the command of a line. Raises only `ConnectionEndedError`."""
    name, *args = line.split()
    plugin = basics.find(name)
    if plugin is None:
        connection.write(basics.unknown(name))
        return
    if not _takes(plugin, connection, args):
        connection.write(f'{name} does not take these arguments. Try "help {name}".\n')
        return
    try:
        plugin(connection, *args)
    except ConnectionEndedError:
        raise
    except BaseException as error:
        # Also exceptions that usually end a thread: this thread belongs to the monitor.
        log.error("monitor command %r failed", line[:1000], exc_info=True)
        _end_line(connection)
        connection.write(f"{type(error).__name__}: {_text_of(error)}\n")
    else:
        _end_line(connection)


def _takes(plugin: Any, connection: Any, args: list[str]) -> bool:
    """Whether a command takes this number of arguments, if its signature is known."""
    try:
        signature = inspect.signature(plugin)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(connection, *args)
    except TypeError:
        return False
    return True


def _end_line(connection: Connection) -> None:
    if not connection.ends_with_newline:
        connection.write("\n")


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:
        return f"(its text cannot be told: {type(problem).__name__})"
