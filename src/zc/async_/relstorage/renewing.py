"""Has connections replaced that were opened before they were watched.

RelStorage asks, whenever a transaction begins, whether a connection is still good, and replaces one
that is not. To be imported only where RelStorage is.
"""

import logging
from typing import Any

from relstorage.adapters.interfaces import ReplicaClosedException


class RenewedError(ReplicaClosedException):
    """Tells RelStorage that a connection has to be replaced."""


class Renewing:
    """A hook of RelStorage: called when a connection was opened, or begins a transaction."""

    def __init__(self, kind: type) -> None:
        """`kind`: the class of the connections that are good."""
        self._kind = kind

    def __call__(self, cursor: Any, restart: bool = False) -> None:
        if restart and not isinstance(cursor.connection, self._kind):
            raise RenewedError("it was opened before zc.async used the database")


class _Quiet(logging.Filter):
    """Drops the warnings of RelStorage, with tracebacks, that a connection is replaced."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        arguments = record.args
        return not (
            isinstance(arguments, tuple) and arguments and isinstance(arguments[0], RenewedError)
        )


logging.getLogger("relstorage.adapters.connections").addFilter(_Quiet())
