"""The persistent side of dispatchers: who works for a queue, and whether they live."""

import datetime
import logging
import uuid as uuid_module
from collections.abc import Iterator
from typing import Any

import persistent
import zope.interface
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

import zc.async_.clock
import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.agent import notifying
from zc.async_.agent.agent import Agent, SystemAgent
from zc.async_.agent.ledger import Ledger, check
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS
from zc.async_.process import liveness, observing
from zc.async_.running import receipts
from zc.async_.storing import Located, callables, originals
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

    def _drop_ledger(self, name: str) -> None:
        if name in self._ledgers:
            self._ledgers = {key: value for key, value in self._ledgers.items() if key != name}

    def named_books(self) -> list[tuple[str, Any]]:
        """The names and the `Books` of the agents."""
        return [(name, self.books_of(name)) for name in self]

    def all_books(self) -> list[Any]:
        """The `Books` of all agents, with the one of the system."""
        return [*(books for _name, books in self.named_books()), self.system_agent]

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
        self._hand_back()
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
        self._hand_back()
        notifying.notify(zc.async_.interfaces.DispatcherDeactivated(self))

    def stays_silent(self) -> None:
        """Fail this transaction if the dispatcher pings meanwhile, or has done so unseen."""
        jar = self.last_ping._p_jar
        if jar is not None:
            jar.readCurrent(self.last_ping)

    def _hand_back(self) -> None:
        """Give the jobs of all agents to whoever works for the queue."""
        for agent in self.all_books():
            self._see_receipts(agent)
            for job in agent.take_all():
                self.hand_back_job(job)

    def _see_receipts(self, agent: Any) -> None:
        """Find jobs that ended, but without effect in another database: see `receipts`."""
        for job in agent.running.jobs:
            # A job of the system performs callbacks of another, whose code may not be here.
            subject = callables.root_of(job.stored_callable) if job.is_of_system else job
            if zc.async_.interfaces.IJob.providedBy(subject):
                receipts.undo_without_effect(subject)

    def hand_back_job(self, job: Any) -> None:
        """Give a job that no thread goes on with to whoever works for the queue."""
        if job.status == ASSIGNED:
            self.queue.putBack(job)
        elif job.status == ACTIVE and not job.is_suspended():
            self.queue.put(job.make_system_job(job.handleInterrupt))
        elif job.status == CALLBACKS and not job.is_suspended():
            # Whoever performs them so far must not commit anything more.
            job.fence_off()
            self.queue.put(job.make_system_job(job.resumeCallbacks))


@zope.interface.implementer(zc.async_.interfaces.IDispatchers)
class Dispatchers(Located, persistent.Persistent):
    """See `zc.async_.interfaces.IDispatchers`."""

    def __init__(self) -> None:
        #: By the bytes of the UUID.
        self.records = OOBTree()

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_data")
        super().__setstate__(state)

    def register(self, uuid: uuid_module.UUID) -> None:
        """See `zc.async_.interfaces.IDispatchers`."""
        if uuid.bytes in self.records:
            raise ValueError(f"dispatcher {uuid} is registered already")
        agents = DispatcherAgents(uuid_module.UUID(bytes=uuid.bytes))
        agents.registry = self
        self.records[uuid.bytes] = agents
        notifying.notify(zc.async_.interfaces.DispatcherRegistered(agents))

    def unregister(self, uuid: uuid_module.UUID) -> DispatcherAgents:
        """See `zc.async_.interfaces.IDispatchers`."""
        agents = self[uuid]
        if agents.activated:
            raise ValueError(f"dispatcher {uuid} is activated: stop it first")
        del self.records[uuid.bytes]
        agents.last_queue = self.parent
        agents.registry = None
        notifying.notify(zc.async_.interfaces.DispatcherUnregistered(agents, self))
        return agents

    def ping(self, uuid: uuid_module.UUID) -> bool:
        """See `zc.async_.interfaces.IDispatchers`."""
        return self.ping_between(uuid)

    def ping_between(self, uuid: uuid_module.UUID, poll_interval: float = 0) -> bool:
        """As `ping`, for a dispatcher that polls every `poll_interval` seconds."""
        agents = self[uuid]
        pinged = True
        if not agents.activated:
            utils.log_once_committed(
                agents,
                logging.CRITICAL,
                "dispatcher %s was taken for dead, and is not: its process was paused, or out of "
                "touch with the database, for longer than ping_death_interval (%s)",
                agents.UUID,
                agents.ping_death_interval,
            )
            agents.reactivate()
        elif agents.is_stale(min(agents.ping_interval, agents.ping_death_interval)):
            agents.say()
        else:
            pinged = False
        return self._bury(agents, poll_interval) or pinged

    def _bury(self, pinging: DispatcherAgents, poll_interval: float) -> bool:
        """Deactivate the siblings that are dead; return whether there were any."""
        dead = [
            sibling
            for sibling in self.values()
            if sibling is not pinging and sibling.activated and sibling.is_dead(poll_interval)
        ]
        for sibling in dead:
            # A sibling that has just left looks dead as well, to a transaction that began before.
            utils.log_once_committed(
                sibling,
                logging.ERROR,
                "dispatcher %s is dead; its jobs are handed back",
                sibling.UUID,
            )
            sibling.stays_silent()
            sibling.deactivate()
        return bool(dead)

    def __getitem__(self, uuid: uuid_module.UUID) -> DispatcherAgents:
        try:
            return self.records[uuid.bytes]
        except KeyError:
            raise KeyError(uuid) from None

    def get(self, uuid: uuid_module.UUID, default: Any = None) -> Any:
        """The agents of that dispatcher, or `default`."""
        return self.records.get(uuid.bytes, default)

    def __contains__(self, uuid: object) -> bool:
        return isinstance(uuid, uuid_module.UUID) and uuid.bytes in self.records

    def __iter__(self) -> Iterator[uuid_module.UUID]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.records)

    def __bool__(self) -> bool:
        return bool(self.records)

    def keys(self) -> list[uuid_module.UUID]:
        """The UUIDs."""
        return [uuid_module.UUID(bytes=key) for key in self.records]

    def values(self) -> list[DispatcherAgents]:
        """The `IDispatcherAgents`."""
        return list(self.records.values())

    def items(self) -> list[tuple[uuid_module.UUID, DispatcherAgents]]:
        """Pairs of UUID and `IDispatcherAgents`."""
        return list(zip(self.keys(), self.values(), strict=True))
