"""Event handlers that install queues, a dispatcher and agents when a database opens.

Register the instances at the end of each section, or make others from the classes to change
something. The installers of queues and dispatchers accept `DatabaseOpened` and
`DatabaseOpenedWithRoot`; in some applications the latter is the first event after the configuration
was loaded. If both events come, the second one finds all done.
"""

import atexit
import inspect
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import transaction
import zope.component
import zope.event

import zc.async_.dispatcher
import zc.async_.interfaces
import zc.async_.relstorage
import zc.async_.zeo
from zc.async_ import productconfig, utils
from zc.async_.agent import COROUTINE_SIZE, Agent
from zc.async_.dispatcher import reactors
from zc.async_.job import as_labels
from zc.async_.queue import Queue, Queues, lane
from zc.async_.running import notes
from zc.async_.storing import oids
from zc.twist.showing import show

#: How long (real seconds) to wait for the stop of a dispatcher, after the grace period of its jobs.
PATIENCE = 3

#: Seconds between two looks at a dispatcher that is about to end.
LOOK_INTERVAL = 0.01


# --------------------------------------------------------------------------------------------------
# Queues


class QueueInstaller:
    """Makes the `IQueues` of a database, and queues in it, if they are missing."""

    def __init__(
        self,
        queues: Iterable[str] = ("",),
        factory: Callable[..., Any] = Queue,
        db_name: str | None = None,
    ) -> None:
        """`queues`: their names. `factory`: makes a queue; if it takes two arguments, it gets the
        connection of the database that opened, and the name. `db_name`: the database of the queues,
        if they belong to another one than the one that opens, which then refers to them.

        Raises TypeError for invalid names or an invalid factory.
        """
        zope.component.adapter(zc.async_.interfaces.IDatabaseOpened)(self)
        self.queues = _names("queues", queues)
        self._takes_arguments = _takes_arguments(factory)
        self.factory = factory
        self.db_name = db_name

    def __call__(self, event: Any) -> None:
        """Install, in a separate transaction. For any thread.

        The ZEO clients are watched from then on, as for a dispatcher, even if the process only puts
        jobs.

        Raises the errors of `check`.
        """
        self.check(event.database)
        # Before jobs or the application put anything.
        oids.watch_database(event.database)
        zc.async_.zeo.watch(event.database)
        zc.async_.relstorage.watch(event.database)
        manager = transaction.TransactionManager()
        connection = event.database.open(manager)
        zc.async_.relstorage.guard(connection)
        try:
            utils.try_five_times(lambda: self._install(connection), "installing queues", manager)
        finally:
            manager.abort()
            connection.close()

    def check(self, database: Any) -> None:
        """Raise an error if the queues cannot be installed in a database. For any thread.

        `ClosedDatabaseError` if it is closed, and `MissingDatabaseError`, a KeyError, if its group
        has no database named `db_name`.
        """
        utils.check_is_open(database)
        if self.db_name is None or self.db_name in database.databases:
            return
        raise zc.async_.interfaces.MissingDatabaseError(
            f"there is no database named {self.db_name!r} beside {database.database_name!r} to "
            "keep the queues in: open one with the same `databases` mapping and "
            f"database_name={self.db_name!r} (in zope.conf: <zodb {self.db_name}>, or "
            f"<zodb_db {self.db_name}>), or have them in the database itself, by leaving out "
            "`db_name`, or by basic_dispatcher_policy.zcml"
        )

    def _install(self, connection: Any) -> None:
        notes.add(connection.transaction_manager.get(), "installing queues")
        root = connection.root()
        queues = root.get(zc.async_.interfaces.KEY)
        if queues is None:
            queues = self._add_queues(connection)
        for name in self.queues:
            if name not in queues:
                queue = queues[name] = self._make(connection, name)
                if queue._p_jar is None:
                    queues._p_jar.add(queue)
                zope.event.notify(zc.async_.interfaces.ObjectAdded(queue, queues, name))
        for queue in queues.values():
            self._prepare(queue)

    def _make(self, connection: Any, name: str) -> Any:
        return self.factory(connection, name) if self._takes_arguments else self.factory()

    def _add_queues(self, connection: Any) -> Any:
        queues = Queues()
        home = connection
        if self.db_name is not None:
            home = connection.get_connection(self.db_name)
            # They are also in that database's root, since packing it must not remove them.
            queues = home.root().setdefault(zc.async_.interfaces.KEY, queues)
        if queues._p_jar is None:
            home.add(queues)
        root = connection.root()
        root[zc.async_.interfaces.KEY] = queues
        zope.event.notify(zc.async_.interfaces.ObjectAdded(queues, root, zc.async_.interfaces.KEY))
        return queues

    def _prepare(self, queue: Any) -> None:
        """Make lanes for the usual number of connections of this process."""
        if isinstance(queue, Queue):
            lane.prepare(queue.lanes, queue._p_jar.db().getPoolSize())


def _names(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    """Check names, and return them as a tuple."""
    found = () if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"{argument} is {show(names)}: give a tuple of names")
    return found


def _takes_arguments(factory: Callable[..., Any]) -> bool:
    """Whether a factory of queues takes a connection and a name, or nothing."""
    if not callable(factory):
        raise TypeError(f"{show(factory)} makes no queue: give a function or a class")
    try:
        signature = inspect.signature(factory)
    except ValueError:
        # A callable written in C may have no known signature.
        return False
    for arguments in (2, 0):
        try:
            signature.bind(*[None] * arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError(
        f"{show(factory)} is to be called as a factory of queues, with a connection and a name, or "
        "without arguments"
    )


queue_installer = QueueInstaller()

#: For applications that keep the queues in the database named 'async'.
multidb_queue_installer = QueueInstaller(db_name="async")


# --------------------------------------------------------------------------------------------------
# Dispatchers


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
        # A daemon thread would simply be cut off when the interpreter ends.
        _exit_handlers[dispatcher] = exit_handler = _StopAtExit(dispatcher)
        atexit.register(exit_handler)
        if options.signal_handlers:
            _install_signal_handlers(dispatcher)
        dispatcher.activate()
        dispatcher.thread.start()


threaded_dispatcher_installer = ThreadedDispatcherInstaller(
    poll_interval=None,
    shutdown_grace_period=None,
    signal_handlers=None,
    enabled=None,
    labels=None,
)


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


twisted_dispatcher_installer = TwistedDispatcherInstaller(
    poll_interval=None, shutdown_grace_period=None, enabled=None, labels=None
)


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


def stop(dispatcher: Any, seconds: float = PATIENCE) -> None:
    """Stop a dispatcher that has a thread, and wait until the thread has ended.

    `seconds`: how long to wait, after the grace period of the jobs. For any thread except the
    dispatcher's own. Raises nothing: check whether `dispatcher.thread` is alive.
    """
    thread = dispatcher.thread
    if not _ask_to_stop(dispatcher):
        return
    end = time.monotonic() + dispatcher.shutdown_grace_period + seconds
    # Not by `join`: up to Python 3.12, one that a signal interrupts takes the thread for ended.
    while thread.is_alive() and time.monotonic() < end:
        time.sleep(LOOK_INTERVAL)
    if thread.is_alive():
        utils.log.critical(
            "dispatcher %s did not stop; a sibling will clean up after it", dispatcher.UUID
        )


def _ask_to_stop(dispatcher: Any) -> bool:
    """Ask the reactor of a dispatcher to stop; return whether it runs."""
    if dispatcher.thread is None or not dispatcher.thread.is_alive():
        return False
    dispatcher.reactor.callFromThread(reactors.stop, dispatcher.reactor)
    return True


class _StopAtExit:
    """Stops a dispatcher when the interpreter ends, if there is still one."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = weakref.ref(dispatcher)

    def __call__(self) -> None:
        dispatcher = self._dispatcher()
        if dispatcher is not None:
            stop(dispatcher)


#: The exit handlers of dispatchers that have a thread.
_exit_handlers: "weakref.WeakKeyDictionary[Any, _StopAtExit]" = weakref.WeakKeyDictionary()


def forget_exit_handler(dispatcher: Any) -> None:
    """Do nothing for a dispatcher at the end of the process. For one that has ended."""
    handler = _exit_handlers.pop(dispatcher, None)
    if handler is not None:
        atexit.unregister(handler)


# --------------------------------------------------------------------------------------------------
# Signals

#: The earlier handlers by signal number, for each dispatcher that stops at signals. Changed by the
#: main thread.
signal_handlers: dict[Any, dict[int, Any]] = {}


def _default_handlers() -> dict[int, Any]:
    """The default handlers of Python for the signals that ask a process to end."""
    handlers: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    if hasattr(signal, "SIGBREAK"):
        handlers[signal.SIGBREAK] = signal.SIG_DFL
    return handlers


def _install_signal_handlers(dispatcher: Any) -> None:
    """Make a dispatcher stop at the signals that the application leaves to Python."""
    if threading.current_thread() is not threading.main_thread():
        return
    replaced = {}
    for number, default in _default_handlers().items():
        if number == signal.SIGINT and _is_session():
            continue
        if signal.getsignal(number) in (default, _handle_signal):
            signal.signal(number, _handle_signal)
            replaced[number] = default
    if replaced:
        signal_handlers[dispatcher] = replaced


def _is_session() -> bool:
    """Whether somebody types statements: there, an interrupt ends one of them, not the process."""
    return bool(sys.flags.interactive) or hasattr(sys, "ps1")


def _handle_signal(number: int, frame: Any) -> None:
    """Stop the dispatchers, and then do what Python would have done."""
    dispatchers = list(signal_handlers)
    # First of all, so that another signal of an impatient user takes effect.
    restore_signal_handlers()
    try:
        _stop_all(dispatchers)
    except BaseException:
        # Another signal: jobs get no more time. They are handed back, before whoever handles the
        # exception closes the database.
        for dispatcher in dispatchers:
            # A later stop gives them none either.
            dispatcher.shutdown_grace_period = 0
            dispatcher.reactor.callFromThread(dispatcher.limit_grace, 0)
        _stop_all(dispatchers)
        raise
    default = _default_handlers()[number]
    if callable(default):
        default(number, frame)
    else:
        # It was not restored if another handler replaced this one and has called it.
        signal.signal(number, default)
        os.kill(os.getpid(), number)


def _stop_all(dispatchers: list[Any]) -> None:
    for dispatcher in dispatchers:
        _ask_to_stop(dispatcher)
    for dispatcher in dispatchers:
        stop(dispatcher)


def restore_signal_handlers(dispatcher: Any = None) -> None:
    """Remove the signal handlers of a dispatcher, by default of all, and restore the earlier ones.

    A handler that others have installed meanwhile stays. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for known in list(signal_handlers) if dispatcher is None else [dispatcher]:
        for number, previous in signal_handlers.pop(known, {}).items():
            used = any(number in numbers for numbers in signal_handlers.values())
            if not used and signal.getsignal(number) is _handle_signal:
                signal.signal(number, previous)


# --------------------------------------------------------------------------------------------------
# Agents


class AgentInstaller:
    """Gives each dispatcher that is activated in a queue an agent, if it has none of that name."""

    def __init__(
        self,
        agent_name: str,
        chooser: Callable[[Any], Any] | None = None,
        size: int | None = 3,
        queue_names: Iterable[str] | None = None,
        filter: Callable[[Any], Any] | None = None,
        labels: Iterable[Any] = (),
        coroutine_size: int = COROUTINE_SIZE,
    ) -> None:
        """`chooser`, `size`, `filter`, `labels` and `coroutine_size`: see `IAgent`; a size of None
        is what `<product-config zc.async>` says. `queue_names`: None for all queues.

        Raises ValueError or TypeError for arguments that no agent can have.
        """
        # A trial, so that errors come now and not when a dispatcher is activated.
        trial = Agent(chooser, filter, 0 if size is None else size, labels, coroutine_size)
        zope.component.adapter(zc.async_.interfaces.IDispatcherActivated)(self)
        (self.agent_name,) = _names("agent_name", (agent_name,))
        self.chooser = chooser
        self.size = size
        self.queue_names = (
            None if queue_names is None else frozenset(_names("queue_names", queue_names))
        )
        self.filter = filter
        self.labels = trial.labels
        self.coroutine_size = coroutine_size

    def __call__(self, event: Any) -> None:
        """Add the agent, in the transaction of the activation."""
        agents = event.object
        wanted = self.queue_names is None or agents.queue.name in self.queue_names
        if wanted and self.agent_name not in agents:
            size = productconfig.read().agent_size if self.size is None else self.size
            agents[self.agent_name] = Agent(
                self.chooser, self.filter, size, self.labels, self.coroutine_size
            )


agent_installer = AgentInstaller("main", size=None)
