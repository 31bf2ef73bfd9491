"""The supervisor: a small process that keeps a crew, and hears signals.

It opens no database and imports nothing of the application, so hardly anything can end it but a
signal. If it is killed, the workers notice, and end when their jobs have.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

import zope.interface

from zc.async_.worker import SettingsError, WorkerError, logs
from zc.async_.worker.crew import Crew, ICrewListener
from zc.async_.worker.notify import Notifier
from zc.async_.worker.settings import Settings
from zc.async_.worker.spawning import Spawner
from zc.async_.worker.statefolder import StateFolder
from zc.twist.reactors import AnyReactor

#: Seconds between two looks whether a process has ended. Usually a signal tells it.
REAP_INTERVAL = 1.0

_log = logging.getLogger("zc.async.worker")


class Reactor(AnyReactor):
    """A reactor that does not mind a changed clock."""

    #: A reactor gets all times from here.
    seconds = staticmethod(time.monotonic)


@zope.interface.implementer(ICrewListener)
class Supervisor:
    """Keeps the crew of this process. For the main thread."""

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings], notifier: Notifier
    ) -> None:
        """Take possession of the state folder.

        `reread`: reads the settings again, or raises `SettingsError`. Raises WorkerError.
        """
        self._settings = settings
        self._reread = reread
        self._notifier = notifier
        self._reactor = Reactor()
        self._spawner = Spawner(self._reactor, StateFolder(settings.state))
        self._crew = Crew(settings, self._reactor, self._spawner.spawn, self)
        #: How many signals to end there were.
        self._ends = 0
        self._is_up = False
        self._error: WorkerError | None = None

    def run(self) -> int:
        """Keep the crew until a signal ends it; return the exit status.

        Raises WorkerError if no worker can come up.
        """
        self._reactor.callWhenRunning(self._begin)
        # Twisted's handlers are replaced; what is wanted is that each signal wakes the reactor.
        self._reactor.run(installSignalHandlers=True)
        self._notifier.close()
        if self._error is not None:
            raise self._error
        return 1 if self._crew.has_killed else 0

    def follow(self, descriptor: int) -> None:
        """Kill all and end when somebody closes the other end of a pipe or socket. Before `run`."""

        def wait() -> None:
            with contextlib.suppress(OSError):
                while os.read(descriptor, 1024):
                    pass
            self._reactor.callFromThread(self._kill)

        threading.Thread(target=wait, name="zc.async followed", daemon=True).start()

    def _kill(self) -> None:
        self._ends = max(self._ends, 2)
        self._crew.stop(0)
        self._crew.kill()

    def end(self) -> None:
        """Have all end, as by a signal: by the second call at once. For the reactor's thread."""
        self._ends += 1
        if self._ends == 1:
            grace = self._crew.settings.grace
            _log.info("the workers are told to end; their jobs are given %g s", grace)
            self._notifier.stopping()
            self._crew.stop(grace)
        elif self._ends == 2:
            _log.warning("the jobs are interrupted")
            self._crew.stop(0)
        else:
            _log.warning("the workers are killed")
            self._crew.kill()

    # -- signals

    def _begin(self) -> None:
        for number, call in (
            (signal.SIGTERM, self.end),
            (signal.SIGINT, self.end),
            (signal.SIGHUP, self._reload),
            (signal.SIGCHLD, self._spawner.look),
        ):
            self._handle(number, call)
        self._reap()
        self._watch()
        self._crew.begin()

    def _handle(self, number: int, call: Callable[[], None]) -> None:
        # The handler may come in the middle of anything.
        signal.signal(number, lambda _number, _frame: self._reactor.callFromThread(call))

    def _reload(self) -> None:
        if self._crew.stopping:
            return
        if self._is_up:
            self._notifier.reloading()
        try:
            settings = self._reread()
            if settings.state != self._settings.state:
                raise SettingsError(
                    f"the state folder is now {settings.state}, and was {self._settings.state}: "
                    "end this supervisor and start another, or name the old folder"
                )
        except SettingsError as error:
            _log.error("the settings stay as they were: %s", error)
            self.reloaded()
            return
        logs.set_level(settings.log_level)
        _log.info("the settings were read again: the workers are replaced one by one")
        self._crew.reload(settings)

    def _reap(self) -> None:
        self._reactor.callLater(REAP_INTERVAL, self._reap)
        self._spawner.look()

    def _watch(self) -> None:
        """Tell the watchdog that all is well, unless it is not."""
        patience = self._notifier.watchdog
        if patience is None:
            return
        self._reactor.callLater(patience / 2, self._watch)
        hang_timeout = self._crew.settings.hang_timeout
        if self._crew.silence() < (min(patience, hang_timeout) if hang_timeout else patience):
            self._notifier.alive()

    # -- of the crew

    def up(self) -> None:
        """See `ICrewListener`."""
        self._is_up = True
        _log.info("all workers are up")
        self._notifier.ready()

    def reloaded(self) -> None:
        """See `ICrewListener`."""
        if self._is_up:
            self._notifier.ready()

    def status(self, text: str) -> None:
        """See `ICrewListener`."""
        _log.debug("%s", text)
        self._notifier.status(text)

    def gave_up(self, text: str, status: int) -> None:
        """See `ICrewListener`."""
        self._error = WorkerError(text, status)

    def ended(self) -> None:
        """See `ICrewListener`."""
        self._reactor.stop()
