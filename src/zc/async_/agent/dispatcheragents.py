"""What is stored of one dispatcher in one queue: its agents, and whether it lives."""

import datetime
import uuid as uuid_module
from typing import Any

import persistent
import zope.interface
from persistent.mapping import PersistentMapping

import zc.async_.clock
import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.agent import handingback, notifying
from zc.async_.agent.agent import Agent, SystemAgent
from zc.async_.agent.ledger import Ledger, check
from zc.async_.job import COROUTINE, as_labels
from zc.async_.process import liveness, observing
from zc.async_.storing import Located, originals
from zc.twist.showing import show


class Ping(persistent.Persistent):
    """When a dispatcher last said that it lives: a record of its own, since it is often written."""

    value: datetime.datetime | None = None


@zope.interface.implementer(zc.async_.interfaces.IDispatcherAgents)
class DispatcherAgents(Located, PersistentMapping):
    """See `zc.async_.interfaces.IDispatcherAgents`.

    Claims read this record as it is now (`readCurrent`): so nothing is claimed for a dispatcher
    that somebody deactivates.
    """

    #: The `IDispatchers`; None if the dispatcher was unregistered.
    registry: Any = None
    #: The queue, if the dispatcher was unregistered: jobs go on that its agents had.
    last_queue: Any = None
    activated: datetime.datetime | None = None
    #: The books of agents of an application's own classes, by name.
    _ledgers: dict[str, Any] = {}
    #: What its process holds while it lives.
    holder: liveness.Holder | None = None
    #: Set by its dispatcher when it is activated.
    labels: tuple[str, ...] = ()
    ping_interval = datetime.timedelta(seconds=30)
    ping_death_interval = datetime.timedelta(seconds=60)

    def __init__(self, uuid: uuid_module.UUID) -> None:
        super().__init__()
        self.UUID = uuid
        self.last_ping = Ping()
        self.system_agent = SystemAgent()
        self.system_agent.name = "system"
        self.system_agent.parent = self

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_data")
        if "parent" in state:
            # Written by an older version, whose agents had the `IDispatchers` as parent.
            state = {**state, "registry": state["parent"]}
            del state["parent"]
        super().__setstate__(state)

    @property
    def parent(self) -> Any:
        """See `zc.async_.interfaces.IDispatcherAgents`."""
        return None if self.registry is None else self.registry.parent

    @property
    def queue(self) -> Any:
        """See `zc.async_.interfaces.IDispatcherAgents`."""
        return self.last_queue if self.registry is None else self.registry.parent

    @property
    def dead(self) -> bool:
        """See `zc.async_.interfaces.IDispatcherAgents`."""
        return self.is_dead()

    def is_dead(self, poll_interval: float = 0) -> bool:
        """As `dead`, for who looks every `poll_interval` seconds."""
        gone = self.activated and liveness.is_gone(self.holder)
        silent = observing.look(self, poll_interval)
        return bool(gone or silent)

    def is_stale(self, interval: datetime.timedelta) -> bool:
        """Whether the ping of a dispatcher of this process is older than `interval`.

        Siblings have seen it at least as long. True also if the ping is not of this process.
        """
        since = observing.since_own_ping(self)
        return since is None or since >= zc.async_.clock.interval_microseconds(interval)

    def says_nothing(self) -> bool:
        """Whether siblings may take it for dead by now. Then it claims nothing before it pings."""
        since = observing.since_own_ping(self)
        if since is None:
            return observing.look(self)
        return since > zc.async_.clock.interval_microseconds(self.ping_death_interval)

    def say(self) -> None:
        """Write down that it lives."""
        self.last_ping.value = zc.async_.clock.now()
        observing.pinged(self)

    def __setitem__(self, name: str, agent: Any) -> None:
        check(agent)
        if name in self and self[name] is not agent:
            # Its jobs would be nobody's.
            del self[name]
        agent.name = name
        agent.parent = self
        super().__setitem__(name, agent)
        self.books_of(name)

    def __delitem__(self, name: str) -> None:
        if len(self.books_of(name)):
            raise ValueError(
                f"agent {show(name)} runs jobs: set its size to 0, and remove it when it is empty"
            )
        agent = self[name]
        if isinstance(agent, Agent):
            agent.last_queue = agent.queue
        agent.parent = agent.name = None
        super().__delitem__(name)
        self._drop_ledger(name)

    def books_of(self, name: str) -> Any:
        """The `Books` of an agent: itself, if it is an `Agent`, else its ledger."""
        agent = self[name]
        if isinstance(agent, Agent):
            return agent
        ledger = self._ledgers.get(name)
        if ledger is None:
            ledger = Ledger(name, self, agent)
            self._ledgers = {**self._ledgers, name: ledger}
        return ledger

    def known_books(self, name: str) -> Any:
        """As `books_of`, without making any: None if there are none yet."""
        agent = self[name]
        return agent if isinstance(agent, Agent) else self._ledgers.get(name)

    def _drop_ledger(self, name: str) -> None:
        if name in self._ledgers:
            self._ledgers = {key: value for key, value in self._ledgers.items() if key != name}

    def named_books(self) -> list[tuple[str, Any]]:
        """The names and the `Books` of the agents."""
        return [(name, self.books_of(name)) for name in self]

    def all_books(self) -> list[Any]:
        """The `Books` of all agents, with the one of the system."""
        return [*(books for _name, books in self.named_books()), self.system_agent]

    def labels_for(self, agent: Any) -> frozenset[str]:
        """The labels that there are where jobs of an agent run.

        Those of the agent, if it has any, and of the dispatcher, and the UUID of that. Raises
        TypeError or ValueError for labels that an agent of an application's own class cannot have.
        """
        labels = getattr(agent, "labels", ())
        if not isinstance(agent, Agent):
            labels = as_labels(f"labels of agent {show(agent.name)}", labels)
        return frozenset((*labels, *self.labels, str(self.UUID)))

    def labels_at_work(self) -> set[frozenset[str]]:
        """As `labels_for`, a set for each agent, with what coroutines need in an index of jobs.

        Those that cannot be told are left out.
        """
        found = set()
        for agent in self.values():
            try:
                found.add(self.labels_for(agent) | {COROUTINE})
            except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
                raise
            except Exception:
                # Whoever has the agent claim logs this.
                utils.tracelog.debug("labels of agent %r", agent.name, exc_info=True)
        return found

    def activate(self) -> None:
        """See `zc.async_.interfaces.IDispatcherAgents`."""
        self.activate_and_tell()

    def activate_and_tell(self) -> list[Any]:
        """As `activate`; returns the handlers that raised."""
        if self.activated:
            raise ValueError(f"dispatcher {self.UUID} is activated in this queue already")
        self.say()
        self.activated = self.last_ping.value
        # Nothing should be there. If something is, because of a claim that raced with the end of
        # an earlier activation, nobody works on it.
        handingback.hand_back(self)
        return notifying.notify(zc.async_.interfaces.DispatcherActivated(self))

    def notify_again(self, handlers: list[Any]) -> list[Any]:
        """Call handlers that raised when this was activated; return those that raised again."""
        event = zc.async_.interfaces.DispatcherActivated(self)
        return notifying.call(handlers, event)

    def reactivate(self) -> None:
        """See `zc.async_.interfaces.IDispatcherAgents`."""
        self.say()
        self.activated = self.last_ping.value
        notifying.notify(zc.async_.interfaces.DispatcherReactivated(self))

    def deactivate(self) -> None:
        """See `zc.async_.interfaces.IDispatcherAgents`."""
        if not self.activated:
            raise ValueError(f"dispatcher {self.UUID} is not activated in this queue")
        self.activated = None
        self.holder = None
        handingback.hand_back(self)
        notifying.notify(zc.async_.interfaces.DispatcherDeactivated(self))

    def stays_silent(self) -> None:
        """Fail this transaction if the dispatcher pings meanwhile, or has done so unseen."""
        jar = self.last_ping._p_jar
        if jar is not None:
            jar.readCurrent(self.last_ping)
