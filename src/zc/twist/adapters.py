"""Adapters that lead from a persistent object to its connection and transaction manager."""

from typing import Any

import persistent.interfaces
import transaction.interfaces
import ZODB.interfaces
import zope.component
import zope.interface


@zope.component.adapter(persistent.interfaces.IPersistent)
@zope.interface.implementer(ZODB.interfaces.IConnection)
def connection(obj: Any) -> Any:
    """Return the ZODB connection of `obj` or of the nearest of its `__parent__`s that has one.

    Args:
        obj: a persistent object, perhaps so new that only a container of it has a connection.

    Returns:
        The connection, or None if none is found; adaptation then fails, as it should.
    """
    seen: set[int] = set()
    # A cycle of parents is an error of the application, but must not make this loop forever.
    while obj is not None and id(obj) not in seen:
        jar = getattr(obj, "_p_jar", None)
        if jar is not None:
            return jar
        seen.add(id(obj))
        obj = getattr(obj, "__parent__", None)
    return None


@zope.component.adapter(persistent.interfaces.IPersistent)
@zope.interface.implementer(transaction.interfaces.ITransactionManager)
def transactionManager(obj: Any) -> Any:
    """Return the transaction manager of a persistent object's connection, or of a connection.

    Args:
        obj: a persistent object, or a connection where the adapter is registered with
            `adapts=(ZODB.interfaces.IConnection,)`.

    Returns:
        The transaction manager, or None if `obj` has no connection; adaptation then fails.
    """
    # The interface decides, not the attribute: a persistent object may have a `transaction_manager`
    # with another meaning.
    jar = obj if ZODB.interfaces.IConnection.providedBy(obj) else connection(obj)
    return None if jar is None else jar.transaction_manager
