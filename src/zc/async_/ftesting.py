"""A dispatcher for functional and integration tests, from `setUp` to `tearDown`.

A functional test looks at another database than the application's configuration has opened, such as
a `DemoStorage` over it. So leave the policies (`basic_dispatcher_policy.zcml` and the like) out of
the configuration of tests, include the package's `configure.zcml` or call
`zc.async_.configure.base`, and call these functions for the database that the test has. For pytest
there are fixtures: see `zc.async_.pytestplugin`.

All functions are for the thread of the test.
"""

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TextIO

import zope.component

import zc.async_.dispatcher
import zc.async_.subscribers
from zc.async_ import utils
from zc.async_.interfaces import AsyncError, DatabaseOpened, IDispatcherActivated
from zc.async_.process import registry
from zc.async_.testing import (
    TearDownDispatcherError,
    get_poll,
    print_logs,
    tear_down_dispatcher,
)

__all__ = ["POLL_INTERVAL", "TearDownDispatcherError", "setUp", "tearDown"]

#: Seconds between two polls, so that tests need not wait long for a job to start.
POLL_INTERVAL = 0.1

#: The name of the function by which functional tests get their root object.
ROOT_FUNCTION = "getRootFolder"

dispatcher_installer = zc.async_.subscribers.ThreadedDispatcherInstaller(POLL_INTERVAL)


class _SetUp(NamedTuple):
    """What a call of `setUp` began."""

    dispatcher: Any
    handler: Any
    log_handler: logging.Handler


_present: _SetUp | None = None


def setUp(
    connection: Any = None,
    queue_installer: Callable[[Any], None] = zc.async_.subscribers.queue_installer,
    dispatcher_installer: Callable[[Any], None] = dispatcher_installer,
    agent_installer: Any = zc.async_.subscribers.agent_installer,
    log_file: TextIO | None = None,
    log_level: int = logging.CRITICAL,
) -> None:
    """Make the queue of a database if it is missing, and start a dispatcher that runs its jobs.

    Returns after the second poll. Begin a new transaction then, to see a queue that was made. The
    dispatcher is `zc.async_.dispatcher.get()`. Call `tearDown` when the test is over, before the
    database is closed.

    Args:
        connection: a connection of the database, or a persistent object in it. By default the
            object that a function `getRootFolder` returns, if the caller has one among its local or
            global names, as functional tests do.
        queue_installer, dispatcher_installer: called with a `DatabaseOpened` event.
        agent_installer: a subscriber that gives the dispatcher its agents, see
            `zc.async_.subscribers.AgentInstaller`.
        log_file: where critical records of the loggers `zc.async...` go, which tell, for example,
            why a callback is tried again and again; by default standard output.
        log_level: the lowest level that is written there.

    Raises:
        LookupError: no connection was given, and there is no `getRootFolder`.
        NotConfiguredError: the basic configuration is missing. A LookupError.
        AsyncError: there was no `tearDown` since the last call; or this process has a dispatcher
            already, which the configuration of the application may have started.
        AssertionError: the dispatcher did not poll.
    """
    global _present
    if connection is None:
        connection = _root_of(sys._getframe(1))
    db = utils.connection_of(connection).db()
    _check_is_free()
    # An object of its own: the configuration may have registered the installer as well.
    handler = functools.partial(agent_installer)
    zope.component.provideHandler(handler, (IDispatcherActivated,))
    opened = DatabaseOpened(db)
    try:
        queue_installer(opened)
        dispatcher_installer(opened)
    except BaseException:
        zope.component.getGlobalSiteManager().unregisterHandler(handler, (IDispatcherActivated,))
        raise
    dispatcher = zc.async_.dispatcher.get()
    _present = _SetUp(dispatcher, handler, print_logs(log_file, log_level))
    # In the first poll agents are made.
    get_poll(dispatcher, 0)
    get_poll(dispatcher)


def _root_of(frame: Any) -> Any:
    function = frame.f_locals.get(ROOT_FUNCTION) or frame.f_globals.get(ROOT_FUNCTION)
    if function is None:
        raise LookupError(
            f"which database? Give setUp a connection of it, or have a function {ROOT_FUNCTION} "
            "where you call it"
        )
    return function()


def _check_is_free() -> None:
    registry.own_uuid()
    if _present is not None:
        raise AsyncError("zc.async_.ftesting is set up already: call tearDown first")
    dispatcher = zc.async_.dispatcher.get()
    if dispatcher is not None:
        raise AsyncError(
            f"this process has a dispatcher already, for the database "
            f"{dispatcher.db.database_name!r}: leave the dispatcher policy out of the "
            "configuration of tests, or stop it and call zc.async_.dispatcher.pop"
        )


def tearDown() -> None:
    """Stop the dispatcher that `setUp` has started, and wait until all its threads have ended.

    The process is as it was before: threads, file descriptors, signal and exit handlers, and
    registrations. Does nothing if there is nothing to stop.

    Raises `TearDownDispatcherError` if a job or the dispatcher goes on, and names it. Call this
    again once the reason is gone.
    """
    global _present
    if _present is None:
        return
    tear_down_dispatcher(_present.dispatcher)
    if registry.get(_present.dispatcher.UUID) is _present.dispatcher:
        registry.pop(_present.dispatcher.UUID)
    zope.component.getGlobalSiteManager().unregisterHandler(
        _present.handler, (IDispatcherActivated,)
    )
    logging.getLogger("zc.async").removeHandler(_present.log_handler)
    _present = None
