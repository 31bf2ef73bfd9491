"""Event handlers that install queues, a dispatcher and agents when a database opens.

Register the instances at the end of this module, or make others from the classes to change
something. The installers of queues and dispatchers accept `DatabaseOpened` and
`DatabaseOpenedWithRoot`; in some applications the latter is the first event after the configuration
was loaded. If both events come, the second one finds all done.
"""

from zc.async_.installing.agents import AgentInstaller
from zc.async_.installing.dispatchers import (
    ThreadedDispatcherInstaller,
    TwistedDispatcherInstaller,
)
from zc.async_.installing.queues import QueueInstaller
from zc.async_.stopping.signals import restore_signal_handlers, signal_handlers
from zc.async_.stopping.threads import LOOK_INTERVAL, PATIENCE, forget_exit_handler, stop
from zc.async_.storing import record_as

__all__ = [
    "LOOK_INTERVAL",
    "PATIENCE",
    "AgentInstaller",
    "QueueInstaller",
    "ThreadedDispatcherInstaller",
    "TwistedDispatcherInstaller",
    "agent_installer",
    "forget_exit_handler",
    "multidb_queue_installer",
    "queue_installer",
    "restore_signal_handlers",
    "signal_handlers",
    "stop",
    "threaded_dispatcher_installer",
    "twisted_dispatcher_installer",
]

# Databases may keep installers, as local sites do with registered handlers.
record_as(
    __name__,
    AgentInstaller,
    QueueInstaller,
    ThreadedDispatcherInstaller,
    TwistedDispatcherInstaller,
)

queue_installer = QueueInstaller()

#: For applications that keep the queues in the database named 'async'.
multidb_queue_installer = QueueInstaller(db_name="async")

threaded_dispatcher_installer = ThreadedDispatcherInstaller(
    poll_interval=None,
    shutdown_grace_period=None,
    signal_handlers=None,
    enabled=None,
    labels=None,
)

twisted_dispatcher_installer = TwistedDispatcherInstaller(
    poll_interval=None, shutdown_grace_period=None, enabled=None, labels=None
)

agent_installer = AgentInstaller("main", size=None)
