"""The bridge between Twisted and the ZODB.

- `Failure` and `sanitize`: failures that can always be stored and loaded.
- `EXPLOSIVE_ERRORS`: exceptions that `except` clauses let pass, since they end a thread or process.
- `Partial` and `Reference`: calls on persistent objects from threads that have no connection.
- `connection` and `transactionManager`: adapters of persistent objects.
- `showing`: how values are shown in logs and failures, with its settings.
- `METHOD_WRAPPER_TYPE` and `get_self`: bound special methods of types written in C.
"""

from zc.twist.adapters import connection, transactionManager
from zc.twist.failure import EXPLOSIVE_ERRORS, Failure, StandInError, sanitize
from zc.twist.methodwrapper import METHOD_WRAPPER_TYPE, get_self
from zc.twist.partial import Partial, Reference

__all__ = [
    "EXPLOSIVE_ERRORS",
    "METHOD_WRAPPER_TYPE",
    "Failure",
    "Partial",
    "Reference",
    "StandInError",
    "connection",
    "get_self",
    "sanitize",
    "transactionManager",
]
