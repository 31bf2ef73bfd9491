"""Claims that may or may not have been committed, since the storage's answer was lost."""

from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.visit import Visit


class Unanswered:
    """The unanswered claims of a poller, until a visit has dealt with them."""

    def __init__(self) -> None:
        #: The claims by the names of their queues.
        self.by_queue: dict[str, set[tuple[JobId, int]]] = {}
        #: The queues in which something was committed since.
        self._settled: set[str] = set()

    def of(self, name: str) -> set[tuple[JobId, int]]:
        """The unanswered claims in a queue: jobs with the tokens of their claims."""
        return self.by_queue.get(name, set())

    def oids(self) -> dict[str, set[bytes]]:
        """The oids of the jobs, by the names of their databases."""
        found: dict[str, set[bytes]] = {}
        for claims in self.by_queue.values():
            for (oid, database_name), _token in claims:
                found.setdefault(database_name, set()).add(oid)
        return found

    def note(self, visit: Visit) -> None:
        """Note a visit whose commit got no answer: the storage may have done it or not."""
        self.by_queue.setdefault(visit.name, set()).update(visit.claimed())
        self._settled.discard(visit.name)

    def settle(self, visit: Visit) -> None:
        """Note a visit that ended well, and has handled the unanswered claims that it could see.

        The storage may still have been busy with one of them when the visit began. This is ruled
        out if the storage finished another commit before.
        """
        unanswered = self.by_queue.get(visit.name)
        if unanswered is None:
            return
        # The first claim was not committed, and the job was claimed again with the same token.
        unanswered -= visit.claimed()
        if visit.name in self._settled:
            self._settled.discard(visit.name)
            del self.by_queue[visit.name]
        elif visit.changed:
            self._settled.add(visit.name)
