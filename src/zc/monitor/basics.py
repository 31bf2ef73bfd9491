"""The commands that every monitor has."""

import inspect
from collections.abc import Iterator
from typing import Any

import zope.component

from zc.monitor.interfaces import IMonitorPlugin


def help(connection: Any, command: str | None = None) -> None:
    """Get help about server commands

    Without an argument, lists the commands. With the name of a command, tells all about it.
    """
    if command is None:
        connection.write("Supported commands:\n")
        for name, plugin in commands():
            connection.write(f"  {name} -- {_first_line(plugin)}\n")
        return
    plugin = find(command)
    if plugin is None:
        connection.write(unknown(command))
        return
    text = _documentation(plugin) or "There is no documentation of this command."
    connection.write(f"Help for {command}:\n\n{text}\n")


def interactive(connection: Any) -> None:
    """Turn on monitor's interactive mode

    The connection stays open after the answers. An empty line repeats the last command.
    """
    connection.interactive = True
    connection.write('Interactive mode on.  Use "quit" To exit.\n')


def quit(connection: Any) -> None:
    """Quit the monitor

    Closes this connection. The process goes on.
    """
    connection.write("Goodbye.\n")
    connection.quit()


def commands() -> Iterator[tuple[str, Any]]:
    """The names of all commands, sorted, and the commands."""
    yield from sorted(
        (name, plugin) for name, plugin in zope.component.getUtilitiesFor(IMonitorPlugin) if name
    )


def find(name: str) -> Any:
    """The command with that name, or None."""
    return zope.component.queryUtility(IMonitorPlugin, name) if name else None


def unknown(name: str) -> str:
    """The answer to a name that no command has."""
    return f'Unknown command: {name[:100]!r}. Try "help".\n'


def _documentation(plugin: Any) -> str:
    return inspect.getdoc(plugin) or ""


def _first_line(plugin: Any) -> str:
    return _documentation(plugin).strip().partition("\n")[0] or "?"
