"""The parts of a database that questions are about, and how they are read.

What a queue or an agent raises that is broken becomes an `UnreadableError`, which names it.
"""

import contextlib
import fnmatch
import uuid as uuid_module
from collections.abc import Iterator
from typing import Any, NamedTuple

from zc.async_ import utils
from zc.async_.commands import NotThereError, UnreadableError
from zc.async_.interfaces import KEY, AsyncError, IJob
from zc.twist.showing import show

#: UUIDs and names that an error tells at most.
SHOWN = 20


class Place(NamedTuple):
    """An agent in its place."""

    queue_name: str
    #: The `IDispatcherAgents`.
    agents: Any
    name: str
    agent: Any

    def __str__(self) -> str:
        return f"agent {show(self.name)} of dispatcher {self.agents.UUID}"


@contextlib.contextmanager
def reading(what: object) -> Iterator[None]:
    """Have whatever goes wrong inside tell what was read."""
    try:
        yield
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS + (AsyncError,):
        raise
    except Exception as error:
        raise UnreadableError(
            f"{what} cannot be read ({utils.told(error)}): repair it, or ask about others"
        ) from error


def queues_of(connection: Any, pattern: str | None = None) -> list[tuple[str, Any]]:
    """The names and the queues of a database that match a glob, sorted.

    Raises `NotThereError` if there is none.
    """
    with reading("the mapping of queues"):
        root = connection.root()
        if KEY not in root:
            raise NotThereError(
                f"the database {show(connection.db().database_name)} has no queues yet: "
                "zc.async_.configure.start(db) makes one, or a policy of ZCML"
            )
        queues = sorted(root[KEY].items())
    found = [(name, queue) for name, queue in queues if matches(name, pattern)]
    if not found and pattern is not None:
        names = ", ".join(show(name) for name, _queue in queues[:SHOWN])
        raise NotThereError(f"no queue matches {show(pattern)}; there is {names or 'none'}")
    return found


def matches(name: str, pattern: str | None) -> bool:
    """Whether a name matches a glob; None matches all."""
    return pattern is None or fnmatch.fnmatchcase(name, pattern)


def check_uuid(queues: list[tuple[str, Any]], uuid: uuid_module.UUID | None) -> None:
    """Raise `NotThereError` if no queue knows a dispatcher."""
    if uuid is None or any(uuid in dispatchers_of(name, queue) for name, queue in queues):
        return
    known = active_uuids(queues)
    told = ", ".join(known[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
    raise NotThereError(
        f"no dispatcher of the UUID {uuid} is known there; active: {told or 'none'}"
    )


def dispatchers_of(name: str, queue: Any) -> Any:
    """The `IDispatchers` of a queue."""
    with reading(f"queue {show(name)}"):
        return queue.dispatchers


def active_uuids(queues: list[tuple[str, Any]]) -> list[str]:
    """The UUIDs of the dispatchers that are active in some queue, sorted."""
    found = set()
    for name, queue in queues:
        with reading(f"the dispatchers of queue {show(name)}"):
            found |= {str(agents.UUID) for agents in queue.dispatchers.values() if agents.activated}
    return sorted(found)


def places_of(
    name: str, queue: Any, agent: str | None = None, uuid: uuid_module.UUID | None = None
) -> list[Place]:
    """The agents of a queue whose names match a glob, of one dispatcher or of all."""
    with reading(f"the dispatchers of queue {show(name)}"):
        return [
            Place(name, agents, agent_name, found)
            for agents in queue.dispatchers.values()
            if uuid in (None, agents.UUID)
            for agent_name, found in sorted(agents.items())
            if matches(agent_name, agent)
        ]


def is_readable(job: Any) -> bool:
    """Whether what should be a job is one, and can be loaded."""
    try:
        job._p_activate()
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # Its record is gone, or the state of an argument cannot be restored.
        return False
    return bool(IJob.providedBy(job))


def prefetch(jobs: list[Any]) -> None:
    """Ask the storages for those of some jobs that are not in memory, all at once."""
    missing: dict[Any, list[bytes]] = {}
    for job in jobs:
        if job._p_jar is not None and job._p_changed is None:
            missing.setdefault(job._p_jar, []).append(job._p_oid)
    for jar, oids in missing.items():
        if len(oids) > 1:
            jar.prefetch(oids)
