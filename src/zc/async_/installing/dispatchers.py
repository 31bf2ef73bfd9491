"""Starts a dispatcher when a database opens."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import zope.component

import zc.async_.dispatcher
import zc.async_.interfaces
from zc.async_ import productconfig, utils
from zc.async_.dispatcher import reactors
from zc.async_.job import as_labels
from zc.async_.stopping import signals, threads


class ThreadedDispatcherInstaller:
    """Starts a dispatcher on its own reactor, in its own thread."""

    # For subclasses that do not call `__init__`.
    signal_handlers: bool | None = True
    enabled: bool | None = True
    labels: tuple[str, ...] | None = ()

    def __init__(
        self,
        poll_interval: float | None = 5,
        reactor_factory: Callable[[], Any] = reactors.Reactor,
        uuid: Any = None,
        shutdown_grace_period: float | None = 0,
        signal_handlers: bool | None = True,
        enabled: bool | None = True,
        labels: Iterable[Any] | None = (),
    ) -> None:
        """Five arguments may be None: then `<product-config zc.async>` says it when the database
        opens (see `zc.async_.productconfig`).

        Args:
            poll_interval: seconds.
            reactor_factory: makes a reactor as those of Twisted, with `run` and `stop`; by default
                one that uses a monotonic clock.
            uuid: by default the `IUUID` utility.
            shutdown_grace_period: how long (seconds) a stop waits for running jobs.
            signal_handlers: whether the dispatcher stops at a signal to end the process.
            enabled: whether there is to be a dispatcher at all.
            labels: what there is in this process for jobs that need it; see `IDispatcher`.

        Raises TypeError or ValueError for what cannot be labels.
        """
        zope.component.adapter(zc.async_.interfaces.IDatabaseOpened)(self)
        self.shutdown_grace_period = shutdown_grace_period
        self.poll_interval = poll_interval
        self.reactor_factory = reactor_factory
        self.uuid = uuid
        self.signal_handlers = signal_handlers
        self.enabled = enabled
        self.labels = None if labels is None else as_labels("labels", labels)

    def __call__(self, event: Any) -> None:
        """Start, unless a dispatcher works on that database. For any thread.

        The thread is kept as `dispatcher.thread`. The dispatcher stops at the end of the process
        and, if this is the main thread, at a termination signal that nobody else handles.

        Raises ValueError if the process has a dispatcher of that UUID on another database, or if
        this one is closed, `NotConfiguredError` if the process has no UUID, and
        `zc.async_.productconfig.ProductConfigError`, a ValueError.
        """
        utils.check_is_open(event.database)
        options = _Options(self)
        if not options.enabled or _has_dispatcher(event.database, self.uuid):
            return
        dispatcher = zc.async_.dispatcher.Dispatcher(
            event.database,
            self.reactor_factory(),
            options.poll_interval,
            self.uuid,
            shutdown_grace_period=options.grace_period,
            labels=options.labels,
        )
        dispatcher.thread = threading.Thread(
            target=_run,
            args=(dispatcher,),
            name=f"zc.async dispatcher {dispatcher.UUID}",
            daemon=True,
        )
        threads.stop_at_exit(dispatcher)
        if options.signal_handlers:
            signals.stop_at_signals(dispatcher)
        dispatcher.activate()
        dispatcher.thread.start()


class TwistedDispatcherInstaller:
    """Puts a dispatcher on Twisted's installed reactor, which the application runs."""

    #: Signals are the reactor's business.
    signal_handlers = False
    # For subclasses that do not call `__init__`.
    enabled: bool | None = True
    labels: tuple[str, ...] | None = ()

    def __init__(
        self,
        poll_interval: float | None = 5,
        uuid: Any = None,
        shutdown_grace_period: float | None = 0,
        enabled: bool | None = True,
        labels: Iterable[Any] | None = (),
    ) -> None:
        """As for `ThreadedDispatcherInstaller`."""
        zope.component.adapter(zc.async_.interfaces.IDatabaseOpened)(self)
        self.shutdown_grace_period = shutdown_grace_period
        self.poll_interval = poll_interval
        self.uuid = uuid
        self.enabled = enabled
        self.labels = None if labels is None else as_labels("labels", labels)

    def __call__(self, event: Any) -> None:
        """Start a dispatcher when the reactor runs, unless one works on that database.

        For the main thread. Raises what `ThreadedDispatcherInstaller` does.
        """
        utils.check_is_open(event.database)
        options = _Options(self)
        if not options.enabled or _has_dispatcher(event.database, self.uuid):
            return
        dispatcher = zc.async_.dispatcher.Dispatcher(
            event.database,
            None,
            options.poll_interval,
            self.uuid,
            shutdown_grace_period=options.grace_period,
            labels=options.labels,
        )
        dispatcher.activate()


class _Options:
    """What an installer is told, by its arguments or else by the configuration of the site."""

    def __init__(self, installer: Any) -> None:
        given = (
            installer.enabled,
            installer.poll_interval,
            installer.shutdown_grace_period,
            installer.signal_handlers,
            installer.labels,
        )
        said = productconfig.read() if None in given else productconfig.Options()

        def either(argument: Any, option: Any) -> Any:
            return option if argument is None else argument

        self.enabled: bool = either(installer.enabled, said.dispatcher)
        if not self.enabled:
            utils.log.info(
                "this process has no dispatcher, as %s has it", said.because or "its installer"
            )
        self.poll_interval: float = either(installer.poll_interval, said.poll_interval)
        self.grace_period: float = either(installer.shutdown_grace_period, said.grace_period)
        self.signal_handlers: bool = either(installer.signal_handlers, said.signal_handlers)
        self.labels: tuple[str, ...] = either(installer.labels, said.labels)


def _has_dispatcher(database: Any, uuid: Any) -> bool:
    dispatcher = zc.async_.dispatcher.get(uuid)
    if dispatcher is None:
        return False
    if not dispatcher.activated and utils.is_closed(dispatcher.db):
        # It has ended, or is about to end, and another one may replace it.
        zc.async_.dispatcher.pop(uuid)
        return False
    return dispatcher.db is database and bool(dispatcher.activated)


def _run(dispatcher: Any) -> None:
    """The work of a dispatcher's thread."""
    dispatcher.reactor.run(installSignalHandlers=False)
