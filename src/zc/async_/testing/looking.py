"""Looks at what other connections have committed."""

from collections.abc import Callable
from typing import Any

import transaction
import transaction.interfaces
import ZODB.POSException


def see_news() -> None:
    """Let the connections of this thread see what others have committed.

    Does nothing while the thread has uncommitted changes, which would be lost.
    """
    if not transaction.get()._resources:
        transaction.begin()


def look_anew(obj: Any, look: Callable[[], Any]) -> Any:
    """Return `look()` for the newest state of `obj`, a persistent object; False in a conflict.

    Begins a transaction in the manager of the object's connection: uncommitted changes of the
    present one are lost. A storage without MVCC may raise a ReadConflictError; then the next look
    may succeed.
    """
    jar = obj._p_jar
    manager = transaction.manager if jar is None else jar.transaction_manager
    try:
        manager.begin()
    except transaction.interfaces.AlreadyInTransaction:
        # An explicit manager demands an abort first.
        manager.abort()
        manager.begin()
    try:
        return look()
    except ZODB.POSException.ReadConflictError:
        return False
