"""Configuration in Python: the components that the library needs, and a dispatcher in one call.

Everything is registered in the global component registry. With ZCML, include the files of the
package `zc.async` instead.
"""

import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import persistent.interfaces
import ZODB.interfaces
import zope.component

import zc.async_.dispatcher
import zc.async_.interfaces
import zc.async_.job
import zc.async_.queue
import zc.async_.stopping
import zc.async_.subscribers
import zc.twist
from zc.async_.process import instanceuuid


class _Started(NamedTuple):
    """The results of one call of `start`."""

    db: Any
    dispatcher: Any
    #: The handler that makes the agent of an activated dispatcher.
    handler: Any


_mutex = threading.Lock()
#: Under `_mutex`.
_started: list[_Started] = []

#: Types whose instances become jobs by adaptation to `IJob`.
CALLABLE_TYPES: tuple[type, ...] = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    zc.twist.METHOD_WRAPPER_TYPE,
    type,
)


def minimal() -> None:
    """Register what the library needs if persistent objects have an adapter to `IConnection`.

    Zope has such an adapter. See `base`.
    """
    provide = zope.component.provideAdapter
    provide(zc.twist.transactionManager)
    provide(zc.twist.transactionManager, adapts=(ZODB.interfaces.IConnection,))
    for kind in CALLABLE_TYPES:
        provide(zc.async_.job.Job, adapts=(kind,), provides=zc.async_.interfaces.IJob)
    zope.component.provideUtility(instanceuuid.UUID, zc.async_.interfaces.IUUID)


def base() -> None:
    """Register everything that the library needs to put jobs into queues or to run them.

    After that, persistent objects and connections can be adapted to `IQueue`: this gives the queue
    named '' of their database. LookupError if the database has none yet: see `start`.
    """
    minimal()
    zope.component.provideAdapter(zc.twist.connection)
    _provide_queue()


def _provide_queue() -> None:
    for kind in (persistent.interfaces.IPersistent, ZODB.interfaces.IConnection):
        zope.component.provideAdapter(zc.async_.queue.getDefaultQueue, adapts=(kind,))


def start(
    db: Any,
    poll_interval: float = 5,
    db_name: str | None = None,
    agent_chooser: Callable[[Any], Any] | None = None,
    agent_size: int = 3,
    twisted: bool = False,
    agent_filter: Callable[[Any], Any] | None = None,
    shutdown_grace_period: float = 0,
    labels: Iterable[Any] = (),
) -> None:
    """Make the queue of a database if it is missing, and have a dispatcher run its jobs.

    `stop` ends the dispatcher, and has to be called before the database is closed. At the end of
    the process this happens automatically.

    Call `base` or `minimal` first. Even after `minimal`, persistent objects and connections can
    then be adapted to `IQueue`.

    Args:
        db: a ZODB.DB.
        poll_interval: seconds.
        db_name: the database of the queue, if it is not `db` itself.
        agent_chooser, agent_size, agent_filter: for the agent 'main', if the dispatcher has none
            yet; see `IAgent`.
        twisted: use Twisted's installed reactor, which the caller runs, in place of a thread.
        shutdown_grace_period: how long (seconds) a stop waits for running jobs.
        labels: what there is in this process for jobs that need it; see `IDispatcher`.

    Raises:
        ValueError: the process has a dispatcher with its UUID on another database; or `labels`
            (TypeError, too) cannot be labels.
        ClosedDatabaseError: the database is closed. A ValueError.
        MissingDatabaseError: there is no database named `db_name`. A KeyError.
        NotConfiguredError: neither `base` nor `minimal` was called. A LookupError.
    """
    # Checked first, so that an error leaves nothing half done.
    zc.async_.process.registry.own_uuid()
    kind: Any = zc.async_.subscribers.ThreadedDispatcherInstaller
    if twisted:
        kind = zc.async_.subscribers.TwistedDispatcherInstaller
    start_dispatcher = kind(
        poll_interval, shutdown_grace_period=shutdown_grace_period, labels=labels
    )
    installer: Any = zc.async_.subscribers.QueueInstaller(db_name=db_name)
    installer.check(db)
    _provide_queue()
    handler = zc.async_.subscribers.AgentInstaller(
        "main", chooser=agent_chooser, size=agent_size, filter=agent_filter
    )
    zope.component.provideHandler(handler)
    opened = zc.async_.interfaces.DatabaseOpened(db)
    installer(opened)
    try:
        start_dispatcher(opened)
    except BaseException:
        _unregister(handler)
        raise
    with _mutex:
        _started.append(_Started(db, zc.async_.dispatcher.get(), handler))


def _unregister(handler: Any) -> None:
    zope.component.getGlobalSiteManager().unregisterHandler(handler)


def stop(db: Any = None, seconds: float = zc.async_.subscribers.PATIENCE) -> Any:
    """End what `start` began, for one database or, by default, for all.

    The dispatcher hands back the jobs that no worker has begun, waits its `shutdown_grace_period`
    for running ones and leaves the queues. Its threads end. Then `start` may be called again, for
    the same database or another, and the database may be closed. Calling this again, or without an
    earlier `start`, does nothing. The adapters to `IQueue` stay.

    For any thread except those of the dispatcher: a job cannot wait for its own end. With
    `twisted=True` also for the reactor's thread, which does not wait. There this returns a Deferred
    that fires when all has ended, or None if all has ended already.

    Args:
        db: the database with which `start` was called.
        seconds: how long to wait, after the grace period, for the threads of the dispatcher and
            of jobs.

    Raises:
        zc.async_.stopping.NotStoppedError: a job or the dispatcher goes on; `problems` names them.
            Another call can wait for the rest.
        AsyncError: this is a thread of the dispatcher.
    """
    with _mutex:
        found = [one for one in _started if db is None or one.db is db]
    waited_for = zc.async_.stopping.stop_all({one.dispatcher for one in found}, seconds)
    for one in found:
        _unregister(one.handler)

    def ended(result: Any = None) -> Any:
        with _mutex:
            _started[:] = [one for one in _started if one not in found]
        return result

    if waited_for is None:
        ended()
    else:
        # Until then, another call of `stop` waits for it too.
        waited_for.addCallback(ended)
    return waited_for
