"""The dispatchers that are registered with a queue, and their pings."""

import logging
import uuid as uuid_module
from collections.abc import Iterator
from typing import Any

import persistent
import zope.interface
from BTrees.OOBTree import OOBTree

import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.agent import burial, notifying
from zc.async_.agent.dispatcheragents import DispatcherAgents
from zc.async_.storing import Located, originals


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
        pinged = self.say(uuid)
        return burial.bury_dead(self, self[uuid], poll_interval) or pinged

    def say(self, uuid: uuid_module.UUID) -> bool:
        """As `ping`, without a look at siblings: so this writes records of that dispatcher only."""
        agents = self[uuid]
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
            return True
        if agents.is_stale(min(agents.ping_interval, agents.ping_death_interval)):
            agents.say()
            return True
        return False

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
