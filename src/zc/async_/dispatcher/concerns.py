"""The records whose changes concern a dispatcher, from the visits of a poller."""

from typing import Any


class Concerns:
    """What a poller found to watch: in each queue, and in all of them together."""

    def __init__(self) -> None:
        #: By the names of the queues: the database of the queue, and the oids.
        self._by_queue: dict[str, tuple[Any, frozenset[bytes]]] = {}
        #: Made when somebody asks: there may be hundreds of queues, and a poll changes few.
        self._all: dict[Any, frozenset[bytes]] | None = None

    def note(self, name: str, database: Any, oids: frozenset[bytes]) -> None:
        """Note what a visit of a queue says."""
        if self._by_queue.get(name) != (database, oids):
            self._by_queue[name] = database, oids
            self._all = None

    def forget(self, name: str) -> None:
        """Watch nothing in a queue, which may be unknown, any more."""
        if self._by_queue.pop(name, None) is not None:
            self._all = None

    def keep(self, names: list[str]) -> None:
        """Forget all other queues."""
        for name in self._by_queue.keys() - set(names):
            self.forget(name)

    def all(self) -> dict[Any, frozenset[bytes]]:
        """The oids of all queues, by database. The same object as long as nothing changes."""
        if self._all is None:
            found: dict[Any, set[bytes]] = {}
            for database, oids in self._by_queue.values():
                found.setdefault(database, set()).update(oids)
            self._all = {database: frozenset(oids) for database, oids in found.items()}
        return self._all
