"""The contract between the monitor and its commands."""

from zope.interface import Attribute, Interface


class IMonitorPlugin(Interface):
    """A command: a callable, registered as a utility under the name that clients use.

    The first line of its documentation is shown in the list of commands, all of it by `help NAME`.
    """

    def __call__(connection, *args):  # type: ignore[no-untyped-def]
        """Do what the command is for, and write the answer.

        `connection` is an `IMonitorConnection`; `args` are the words that the client gave (str).
        Called in a thread of its own, several at the same time: a command that takes long keeps
        nobody waiting but its own client. What it raises is shown to the client and logged.
        """


class IMonitorConnection(Interface):
    """The connection of a client, as a command has it. For the command's thread."""

    interactive = Attribute("Whether the connection stays open after the answer. May be set.")

    def write(text: str) -> None:
        """Send text to the client.

        Waits for a client that reads slowly. Raises `ConnectionEndedError` if it is gone, or has
        read nothing for a minute.
        """

    def quit() -> None:
        """Close the connection after the answer, an interactive one too."""


class MonitorError(Exception):
    """A monitor server cannot do what was asked of it."""


class CannotStartError(MonitorError, OSError):
    """An address that a server cannot listen on. The message says why."""


class ConnectionEndedError(MonitorError, ConnectionError):
    """The client of a command is gone, or does not read its answer."""
