"""A look at what other connections have committed."""

from collections.abc import Callable
from typing import Any

import transaction
import transaction.interfaces
import ZODB.POSException


def see_news() -> None:
    """Have the connections of this thread see what others have committed.

    Nothing happens while the thread has changes of its own, which would be lost.
    """
    if not transaction.get()._resources:
        transaction.begin()


def look_anew(obj: Any, look: Callable[[], Any]) -> Any:
    """What `look()` says of the newest state of `obj`, a persistent object; False in a conflict.

    Begins a transaction in the manager of the object's connection: what was changed in the present
    one and not committed is lost. A storage without MVCC may answer with a ReadConflictError; then
    the next look says more.
    """
    jar = obj._p_jar
    manager = transaction.manager if jar is None else jar.transaction_manager
    try:
        manager.begin()
    except transaction.interfaces.AlreadyInTransaction:
        # An explicit manager wants it said.
        manager.abort()
        manager.begin()
    try:
        return look()
    except ZODB.POSException.ReadConflictError:
        return False
