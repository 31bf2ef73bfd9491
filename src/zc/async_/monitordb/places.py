"""Queues, dispatchers and agents, as they are in the database."""

import uuid as uuid_module
from collections.abc import Callable
from typing import Any

import zc.async_.clock
from zc.async_ import utils
from zc.async_.agent import COROUTINE_SIZE
from zc.async_.commands import UnreadableError
from zc.async_.commands.values import plain
from zc.async_.interfaces import AsyncError, IFilterAgent
from zc.async_.monitordb.reading import (
    Place,
    active_uuids,
    check_uuid,
    matches,
    queues_of,
    reading,
)
from zc.twist.showing import show


def status(
    context: Any,
    queue: str | None = None,
    agent: str | None = None,
    uuid: uuid_module.UUID | None = None,
) -> dict[str, Any]:
    """How queues are, and the dispatchers that are active there.

    Args:
        context: a connection or a persistent object.
        queue, agent: globs for names, None for all. uuid: of one dispatcher.

    Returns by the name of a queue:
        'len': how many jobs wait. 'unserved', if some need labels that nobody has: what `unserved`
        tells of these. 'dispatchers', by UUID (a string):
            'agents', by name: 'len', 'size' (numbers), and 'filter' or 'chooser': a repr, or None;
            'labels', a list of strings, if it has any.
            'labels': a list of strings, which all its agents have, if there are any.
            'last ping': a datetime (UTC), or None; 'since ping': a timedelta, or None.
            'ping interval', 'ping death interval': timedeltas.
            'dead': whether its process has ended, or this one saw no new ping for too long: a
            process that has not looked for a while does not know that yet, and has False.
    What is broken has 'error', a text, in place of these.

    Raises `NotThereError` for a queue or a dispatcher that is not there.
    """
    queues = queues_of(utils.connection_of(context), queue)
    check_uuid(queues, uuid)
    return {
        name: _told(f"queue {show(name)}", _queue, found, agent, uuid) for name, found in queues
    }


def unserved(context: Any, queue: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The needs of waiting jobs that no living dispatcher of their queue satisfies.

    Args:
        context: a connection or a persistent object.
        queue: a glob for names, None for all.

    Returns by the name of a queue a list of dicts, those of the most jobs first: 'needs', a list of
    labels, and 'jobs', a number. See `IQueue.unserved`.

    Raises `NotThereError` for a queue that is not there, `UnreadableError` for one that is broken.
    """
    found = {}
    for name, one in queues_of(utils.connection_of(context), queue):
        with reading(f"queue {show(name)}"):
            found[name] = _unserved(one)
    return found


def _unserved(queue: Any) -> list[dict[str, Any]]:
    # An application's own kind of queue may know no labels.
    tell = getattr(queue, "unserved", dict)
    numbers = sorted(tell().items(), key=lambda item: (-item[1], item[0]))
    return [{"needs": list(needs), "jobs": number} for needs, number in numbers]


def UUIDs(context: Any) -> list[str]:
    """The UUIDs of the dispatchers that are active in any queue, sorted.

    `context`: a connection or a persistent object.
    """
    return active_uuids(queues_of(utils.connection_of(context)))


def _told(what: object, tell: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `tell(*arguments)` returns. What is broken is no reason to tell nothing of the rest."""
    try:
        with reading(what):
            return tell(*arguments)
    except UnreadableError as error:
        return {"error": str(error)}


def _queue(queue: Any, agent: str | None, uuid: uuid_module.UUID | None) -> dict[str, Any]:
    lacking = [one for one in _unserved(queue) if one["needs"]]
    return {
        "len": len(queue),
        **({"unserved": lacking} if lacking else {}),
        "dispatchers": {
            str(agents.UUID): _told(f"dispatcher {agents.UUID}", _dispatcher, agents, agent)
            for agents in queue.dispatchers.values()
            if agents.activated and uuid in (None, agents.UUID)
        },
    }


def _dispatcher(agents: Any, pattern: str | None) -> dict[str, Any]:
    ping = None if agents.last_ping is None else agents.last_ping.value
    return {
        "agents": {
            name: _told(Place("", agents, name, agent), _agent, agent)
            for name, agent in agents.items()
            if matches(name, pattern)
        },
        "dead": bool(agents.dead),
        **_labels(agents),
        "last ping": plain(ping),
        "since ping": None if ping is None else zc.async_.clock.now() - plain(ping),
        "ping interval": agents.ping_interval,
        "ping death interval": agents.ping_death_interval,
    }


def _agent(agent: Any) -> dict[str, Any]:
    chooses_by = "filter" if IFilterAgent.providedBy(agent) else "chooser"
    return {
        "len": len(agent),
        "size": agent.size,
        **_coroutine_size(agent),
        **_labels(agent),
        chooses_by: _chosen_by(agent, chooses_by),
    }


def _coroutine_size(agent: Any) -> dict[str, int]:
    """Nothing for who has the usual number of places: scripts know the rest."""
    size = getattr(agent, "coroutine_size", COROUTINE_SIZE)
    return {} if size == COROUTINE_SIZE else {"coroutine size": size}


def _labels(owner: Any) -> dict[str, list[str]]:
    """Nothing for who has none: scripts know the rest."""
    labels = list(getattr(owner, "labels", ()))
    return {"labels": labels} if labels else {}


def _chosen_by(agent: Any, attribute: str) -> str | None:
    try:
        found = getattr(agent, attribute, None)
    except AsyncError as error:
        # Its code is not here, and this process does not need it.
        return f"missing here: {error}"
    return None if found is None else utils.custom_repr(found)
