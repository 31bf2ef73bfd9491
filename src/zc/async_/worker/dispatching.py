"""The dispatcher of a worker, on the reactor of its main thread: its beginning and its end."""

import logging
import os
import threading
from typing import Any

from twisted.internet.defer import Deferred

import zc.async_.dispatcher
from zc.async_.dispatcher import join_workers, reactors
from zc.async_.interfaces import DatabaseOpened
from zc.async_.subscribers import TwistedDispatcherInstaller
from zc.async_.worker.settings import Settings

#: Seconds that threads of jobs which are not about to end are waited for before databases are
#: closed.
JOIN_PATIENCE = 1.0

#: Seconds after which the process ends though a thread of the application does not.
LAST_RESORT = 10.0

_log = logging.getLogger("zc.async.worker")


class Dispatching:
    """Owns the dispatcher. For the thread of the reactor, which is the installed one."""

    def __init__(self, settings: Settings, database: Any, reactor: Any) -> None:
        self._settings = settings
        self._database = database
        self._reactor = reactor
        self._dispatcher: Any = None
        self._is_leaving = False

    def begin(self) -> None:
        """Start the dispatcher. Raises what `TwistedDispatcherInstaller` does."""
        installer: Any = TwistedDispatcherInstaller(
            self._settings.poll_interval,
            shutdown_grace_period=self._settings.grace,
            enabled=True,
            labels=self._settings.labels,
        )
        installer(DatabaseOpened(self._database))
        self._dispatcher = zc.async_.dispatcher.get()

    # -- what is told of it

    def is_ready(self) -> bool:
        """Whether it has polled, and is active in all queues."""
        polls = self._dispatcher.polls
        agents = list(polls[0].values()) if polls else []
        return bool(agents) and None not in agents

    def has_ended(self) -> bool:
        """Whether it has ended by itself, as when somebody closes its database."""
        return not self._is_leaving and not self._dispatcher.activated

    @property
    def jobs_ended(self) -> int:
        """How many jobs have ended."""
        return int(self._dispatcher.jobs_ended)

    def silence(self) -> float:
        """For how long (seconds) a poll is overdue."""
        since = self._dispatcher.getStatusInfo()["time since last poll"]
        if since is None:
            return 0.0
        return max(0.0, float(since.total_seconds()) - self._settings.poll_interval)

    # -- its end

    def leave(self, seconds: float) -> bool:
        """Claim no more, give the jobs so long, hand back the rest, and stop the reactor.

        A later call gives them another time from then on. Returns whether this is the first call.
        """
        if self._dispatcher is None:
            reactors.stop(self._reactor)
            return False
        if self._is_leaving:
            self._dispatcher.limit_grace(seconds)
            return False
        self._is_leaving = True
        self._dispatcher.shutdown_grace_period = seconds
        left: Deferred | None = self._dispatcher.stop_on_reactor()
        if left is None:
            self._end()
        else:
            left.addBoth(lambda _result: self._end())
        return True

    def _end(self) -> None:
        # A thread of the application, or of a job that does not end, must not keep the process.
        timer = threading.Timer(LAST_RESORT, os._exit, [0])
        timer.daemon = True
        timer.start()
        reactors.stop(self._reactor)

    def close(self) -> None:
        """Close the databases, unless a job goes on. Once the reactor has ended."""
        if self._dispatcher is not None and join_workers(self._dispatcher, JOIN_PATIENCE):
            # It cannot commit any more. Without its database it would say so at length.
            return
        for database in list(self._database.databases.values()):
            try:
                database.close()
            except Exception as error:
                _log.warning("a database could not be closed: %s", error)
