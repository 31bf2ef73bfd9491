"""Configuration in Python: the components that the library needs, and a dispatcher in one call.

Everything is registered in the global component registry. With ZCML, include the files of
the package `zc.async` instead.
"""

import types
from collections.abc import Callable
from typing import Any

import persistent.interfaces
import ZODB.interfaces
import zope.component

import zc.async_.instanceuuid
import zc.async_.interfaces
import zc.async_.job
import zc.async_.queue
import zc.async_.subscribers
import zc.twist

#: What is made a job by adaptation to `IJob`.
CALLABLE_TYPES: tuple[type, ...] = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    zc.twist.METHOD_WRAPPER_TYPE,
    type,
)


def minimal() -> None:
    """Register what the library needs where persistent objects have an adapter to `IConnection`.

    Zope has one. See `base`.
    """
    provide = zope.component.provideAdapter
    provide(zc.twist.transactionManager)
    provide(zc.twist.transactionManager, adapts=(ZODB.interfaces.IConnection,))
    for kind in CALLABLE_TYPES:
        provide(zc.async_.job.Job, adapts=(kind,), provides=zc.async_.interfaces.IJob)
    zope.component.provideUtility(zc.async_.instanceuuid.UUID, zc.async_.interfaces.IUUID)


def base() -> None:
    """Register all that the library needs, to put jobs into queues or to run them."""
    minimal()
    zope.component.provideAdapter(zc.twist.connection)


def start(
    db: Any,
    poll_interval: float = 5,
    db_name: str | None = None,
    agent_chooser: Callable[[Any], Any] | None = None,
    agent_size: int = 3,
    twisted: bool = False,
    agent_filter: Callable[[Any], Any] | None = None,
) -> None:
    """Make the queue of a database if it is missing, and have a dispatcher run its jobs.

    Call `base` or `minimal` first. Persistent objects and connections can then be adapted to
    `IQueue`, which gives the queue named ''.

    Args:
        db: a ZODB.DB.
        poll_interval: seconds.
        db_name: the database that the queue belongs to, if it is not `db` itself.
        agent_chooser, agent_size, agent_filter: see `IAgent`; of the agent 'main', if the
            dispatcher has none yet.
        twisted: use Twisted's installed reactor, which the caller runs, in place of a thread.

    Raises:
        ValueError: the process has a dispatcher of its UUID on another database.
    """
    for kind in (persistent.interfaces.IPersistent, ZODB.interfaces.IConnection):
        zope.component.provideAdapter(zc.async_.queue.getDefaultQueue, adapts=(kind,))
    zope.component.provideHandler(
        zc.async_.subscribers.AgentInstaller(
            "main", chooser=agent_chooser, size=agent_size, filter=agent_filter
        )
    )
    opened = zc.async_.interfaces.DatabaseOpened(db)
    zc.async_.subscribers.QueueInstaller(db_name=db_name)(opened)
    if twisted:
        zc.async_.subscribers.TwistedDispatcherInstaller(poll_interval)(opened)
    else:
        zc.async_.subscribers.ThreadedDispatcherInstaller(poll_interval)(opened)
