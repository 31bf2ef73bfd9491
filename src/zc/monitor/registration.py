"""Registers commands as utilities."""

from collections.abc import Callable
from typing import Any

import zope.component

from zc.monitor import basics
from zc.monitor.interfaces import IMonitorPlugin


def register(command: Callable[..., Any], name: str | None = None) -> None:
    """Make a command known to clients. For any thread.

    Args:
        command: see `IMonitorPlugin`.
        name: one word, by which clients call it; by default its `__name__`.

    Raises ValueError for a name that no client can send.
    """
    if name is None:
        name = command.__name__
    if not name or name.split() != [name]:
        raise ValueError(f"the name of a command is one word, not {name!r}")
    zope.component.provideUtility(command, IMonitorPlugin, name)


def register_basics() -> None:
    """Make `help`, `interactive` and `quit` known to clients."""
    for command in (basics.help, basics.interactive, basics.quit):
        register(command)
