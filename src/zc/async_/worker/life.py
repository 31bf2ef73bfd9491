"""The life of a worker: it opens its databases, and works until somebody ends it.

Importing this module reads the identity of the process, or makes it.
"""

import logging
import math
import os
import signal
import threading
from typing import Any

import zope.component

import zc.async_.configure
from zc.async_.interfaces import DatabaseOpened
from zc.async_.subscribers import QueueInstaller
from zc.async_.worker import SettingsError, databases, functions, logs, messages, zopeconf
from zc.async_.worker.agents import AgentKeeper
from zc.async_.worker.channel import Channel
from zc.async_.worker.databases import is_out_of_reach
from zc.async_.worker.dispatching import Dispatching
from zc.async_.worker.settings import Settings
from zc.async_.worker.slot import PATIENCE
from zc.async_.worker.vitals import Vitals

_log = logging.getLogger("zc.async.worker")


class Worker:
    """The process of a worker. For the main thread, which becomes that of the reactor."""

    def __init__(self, number: int, settings: Settings, channel: Channel, reactor: Any) -> None:
        self._number = number
        self._settings = settings
        self._channel = channel
        self._reactor = reactor
        #: None before the databases are open.
        self._dispatching: Dispatching | None = None
        self._error: BaseException | None = None
        #: How many signals to end there were.
        self._signals = 0

    def run(self) -> int:
        """Work until the supervisor, or a signal, ends it; return the exit status."""
        self._channel.listen(self._hear)
        if self._settings.zope_conf is None:
            self._start_logs()
        try:
            database = self._open()
            if self._settings.zope_conf is not None:
                # The site may have a log of its own.
                self._start_logs()
            self._configure(database)
        except (Exception, SystemExit) as error:
            return self._tell(error)
        self._dispatching = Dispatching(self._settings, database, self._reactor)
        self._reactor.callWhenRunning(self._begin)
        # The application may start processes by the reactor, which needs the handlers for that.
        self._reactor.run(installSignalHandlers=True)
        self._dispatching.close()
        return 0 if self._error is None else self._tell(self._error)

    # -- before it works

    def _start_logs(self) -> None:
        logs.start(f"worker-{self._number}", self._settings.log_level)

    def _open(self) -> Any:
        if self._settings.zope_conf is not None:
            database = zopeconf.open_site(self._settings.zope_conf)
            zc.async_.configure.minimal()
            zc.async_.configure.queue_adapters()
            return database
        zc.async_.configure.base()
        return databases.open_all(
            self._settings.db, lambda text: self._channel.say(messages.WAITING, text=text)
        )

    def _configure(self, database: Any) -> None:
        settings = self._settings
        # Found first: an error leaves nothing half done.
        keeper = AgentKeeper(settings)
        setup = settings.setup and functions.find(settings.setup, "setup")
        self._install_queues(database)
        zope.component.provideHandler(keeper)
        if setup:
            try:
                setup(database)
            except (Exception, SystemExit) as error:
                raise SettingsError(
                    f"setup ({settings.setup}) has raised {functions.told_with_place(error)}"
                ) from error

    def _install_queues(self, database: Any) -> None:
        name = self._settings.queue_db
        if name is not None and name not in database.databases:
            known = ", ".join(map(repr, database.databases))
            raise SettingsError(
                f"queue-db is {name!r}, and there is no such database: there are {known}; name one "
                "of these, or give another URI with database_name=NAME in its query"
            )
        installer: Any = QueueInstaller(self._settings.queues or ("",), db_name=name)
        installer(DatabaseOpened(database))

    def _tell(self, error: BaseException) -> int:
        """Tell the supervisor why this cannot work."""
        _log.debug("this worker cannot begin", exc_info=error)
        self._channel.say(
            messages.FAILED, text=functions.told_to_people(error), again=is_out_of_reach(error)
        )
        return 2

    # -- on the reactor

    def _begin(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        # A process that a job forks is none of ours, and ends as others do.
        os.register_at_fork(after_in_child=_restore_signals)
        try:
            assert self._dispatching is not None
            self._dispatching.begin()
            Vitals(self._dispatching, self._channel, self._reactor, self._leave).begin()
        except Exception as error:
            self._error = error
            self._leave(0)

    def _leave(self, seconds: float = 0) -> None:
        assert self._dispatching is not None
        if self._dispatching.leave(seconds):
            self._channel.say(messages.LEAVING)

    # -- in other threads, and in the middle of anything

    def _signalled(self, number: int, frame: Any) -> None:
        self._signals += 1
        grace = self._settings.grace if self._signals == 1 else 0
        self._reactor.callFromThread(self._leave, grace)

    def _hear(self, message: dict[str, Any] | None) -> None:
        if message is not None and message["say"] == messages.DRAIN:
            seconds = message["seconds"]
            self._reactor.callFromThread(self._leave, math.inf if seconds is None else seconds)
        elif message is None:
            self._end_without_supervisor()

    def _end_without_supervisor(self) -> None:
        if self._dispatching is not None:
            grace = self._settings.grace
            _log.warning("the supervisor is gone: this worker ends when its jobs have")
            self._reactor.callFromThread(self._leave, grace)
            # Nobody else would end it if it hangs, and the next supervisor waits for that.
            threading.Event().wait(min(grace + PATIENCE, threading.TIMEOUT_MAX))
        # Or it has done nothing yet, and may be waiting for its database.
        os._exit(1)


def _restore_signals() -> None:
    """Handle signals as a new process does."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
