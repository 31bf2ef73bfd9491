"""The contract between the monitor and its commands."""

from zope.interface import Attribute, Interface


class IMonitorPlugin(Interface):
    """A command: a callable, registered as a utility under the name that clients use.

    The list of commands shows the first line of its docstring; `help NAME` shows all of it.
    """

    def __call__(connection, *args):  # type: ignore[no-untyped-def]
        """Perform the command, and write the answer.

        `connection` is an `IMonitorConnection`; `args` are the words that the client gave (str).
        Each call has its own thread, and several run at the same time: a slow command delays only
        its own client. An error is shown to the client and logged.
        """


class IMonitorConnection(Interface):
    """The connection of a client, for a command. For the command's thread."""

    interactive = Attribute("Whether the connection stays open after the answer. May be set.")

    def write(text: str) -> None:
        """Send text to the client.

        Waits for a client that reads slowly. Raises `ConnectionEndedError` if the client is gone,
        or has read nothing for a minute.
        """

    def quit() -> None:
        """Close the connection after the answer, even an interactive one."""


class MonitorError(Exception):
    """A monitor server cannot carry out a request."""


class CannotStartError(MonitorError, OSError):
    """A server cannot listen on an address. The message says why."""


class ConnectionEndedError(MonitorError, ConnectionError):
    """The client of a command is gone, or does not read its answer."""
