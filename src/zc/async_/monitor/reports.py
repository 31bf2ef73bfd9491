"""What the dispatchers of this process tell of themselves, as plain values.

Each function takes the `uuid` of a dispatcher of this process, by default that of the process's
`IUUID`, and raises `NotThereError` if there is none, `NotConfiguredError` if the process has no
UUID. `queue` and `agent` are names, not globs; the usual queue has the name ''. A poll is named by
its key (int), by a time (datetime), or by how long ago it was (timedelta): the newest one then.
"""

import datetime
import itertools
import uuid as uuid_module
from typing import Any

import zc.async_.clock
import zc.async_.dispatcher
import zc.async_.process
from zc.async_.commands import BadQuestionError, NotThereError, values
from zc.async_.commands.values import JobId
from zc.async_.interfaces import Moment
from zc.twist.showing import show

#: Polls that `polls` tells by default.
POLLS = 3


def dispatcher(uuid: uuid_module.UUID | None = None) -> Any:
    """The `IDispatcher` of this process of that UUID, by default its own."""
    found = zc.async_.dispatcher.get(uuid)
    if found is None:
        wanted = zc.async_.process.registry.own_uuid() if uuid is None else uuid
        raise NotThereError(
            f"this process has no dispatcher of the UUID {wanted}: {_known_dispatchers()}"
        )
    return found


def _known_dispatchers() -> str:
    known = sorted(str(one.UUID) for one in zc.async_.process.registry.dispatchers())
    if known:
        return f"it has {', '.join(known)}"
    return "it has none; zc.async_.configure.start(db) makes one"


def status(uuid: uuid_module.UUID | None = None) -> dict[str, Any]:
    """How a dispatcher is.

    Returns:
        'status': 'STARTING' (no poll yet), 'RUNNING', 'STUCK' (a poll is overdue) or 'STOPPED'.
        'poll interval', 'time since last poll', 'uptime': timedeltas; the last two None if stopped.
        'labels': a list of strings, if there are any.
        'uuid': a string.
    """
    return values.plain(dispatcher(uuid).getStatusInfo())


def jobs(
    queue: str | None = None, agent: str | None = None, uuid: uuid_module.UUID | None = None
) -> list[JobId]:
    """The jobs that are in worker threads now, the newest first: pairs of oid and database name.

    Raises `NotThereError` for a queue or an agent that the dispatcher does not serve.
    """
    asked = dispatcher(uuid)
    served = {name: set(pools) for name, pools in list(asked.queues.items())}
    _check_names(served, queue, agent)
    return list(asked.getActiveJobIds(queue, agent))


def job(
    oid: int, database: str | None = None, uuid: uuid_module.UUID | None = None
) -> dict[str, Any]:
    """What a dispatcher knows of a job that it was given. It remembers the latest 200 by default.

    Args:
        oid: of the job.
        database: the name of its database; needed if jobs of two databases have that oid.

    Returns:
        'agent', 'queue': names. 'thread': the id of the thread (int), None before it starts.
        'call': the repr of the job. 'quota names': a sequence of names. 'needs': of labels,
        if there are any.
        'started', 'completed': datetimes (UTC), None before. 'failed': whether it did.
        'result': a repr, None before. 'poll id': key of the poll that claimed it. 'reassigned':
        whether it is not this dispatcher's any more.

    Raises `NotThereError` for a job that it does not know.
    """
    try:
        return values.plain(dispatcher(uuid).getJobInfo(oid, database))
    except KeyError as error:
        if isinstance(error.args[0], str):
            raise BadQuestionError(error.args[0]) from error
        raise NotThereError(
            f"this dispatcher does not know a job {oid}"
            + ("" if database is None else f" of the database {show(database)}")
            + ": it remembers the latest ones that it was given; ask the database (asyncdb) for "
            "others"
        ) from error


def jobstats(
    at: Moment = None,
    before: Moment = None,
    since: Moment = None,
    queue: str | None = None,
    agent: str | None = None,
    uuid: uuid_module.UUID | None = None,
) -> dict[str, Any]:
    """Figures of the jobs that some polls started: those of memory, 400 by default.

    Args:
        at, before: the newest of the polls (`before`: and not that one); one of them at most.
        since: the oldest one.

    Returns:
        'started', 'successful', 'failed', 'unknown' (not remembered, or taken over by others):
        numbers. 'longest active', 'shortest active', 'longest successful', 'shortest successful',
        'longest failed', 'shortest failed': a job, as a pair of oid and database name, or None.
        'statistics start', 'statistics end': times of the newest and the oldest of the polls
        (datetimes, UTC), or None.

    Raises `BadQuestionError` if `at` and `before` are given, `NotThereError` for a queue or an
    agent of which the polls know nothing.
    """
    _check_moments(at, before)
    asked = dispatcher(uuid)
    served: dict[str, set[str]] = {name: set(pools) for name, pools in list(asked.queues.items())}
    if queue is not None or agent is not None:
        for poll in asked.polls:
            for name, agents in list(poll.items()):
                served.setdefault(name, set()).update(agents or ())
    _check_names(served, queue, agent)
    return values.plain(asked.getStatistics(at, before, since, queue, agent))


def poll(
    at: Moment = None, before: Moment = None, uuid: uuid_module.UUID | None = None
) -> dict[str, Any]:
    """One poll: the newest, or the newest one `at` a moment or `before` it.

    Returns:
        'key': names the poll (int); newer ones have smaller keys. 'time': a datetime (UTC).
        'results': by the name of the queue, and then of the agent, a dict: 'active jobs' (those the
        agent had in the database when the poll began) and 'new jobs' (claimed since): lists of
        pairs of oid and database name; 'len', 'size': numbers; 'error': a repr, or None. None in
        place of the agents of a queue: the dispatcher was not active there.

    Raises `NotThereError` if there is no such poll.
    """
    _check_moments(at, before)
    found = polls(at, before, count=1, uuid=uuid)
    if not found:
        raise NotThereError("no poll is remembered of that time or before")
    return found[0]


def polls(
    at: Moment = None,
    before: Moment = None,
    since: Moment = None,
    count: int | None = POLLS,
    uuid: uuid_module.UUID | None = None,
) -> list[dict[str, Any]]:
    """Several polls, the newest first, each as `poll` tells it.

    Args:
        at, before, since: as of `jobstats`.
        count: how many at most; None for all.
    """
    _check_moments(at, before)
    found = dispatcher(uuid).iterPolls(at, before, since)
    return [_told(info) for info in itertools.islice(found, count)]


def _told(info: Any) -> dict[str, Any]:
    results = {name: values.plain(agents) for name, agents in info.items()}
    return {"key": info.key, "time": values.plain(info.utc_timestamp), "results": results}


def utcnow() -> datetime.datetime:
    """The present, by the clock of this process (UTC)."""
    return zc.async_.clock.now()


def UUID() -> str:
    """The UUID of this process."""
    return str(uuid_module.UUID(bytes=zc.async_.process.registry.own_uuid().bytes))


def _check_moments(at: Moment, before: Moment) -> None:
    if at is not None and before is not None:
        raise BadQuestionError("at: and before: contradict each other: give one of them")


def _check_names(served: dict[str, set[str]], queue: str | None, agent: str | None) -> None:
    """Raise `NotThereError` for a queue or an agent that is not served."""
    if queue is not None and queue not in served:
        raise NotThereError(_not_served("queue", queue, set(served)))
    agents = set().union(*(names for name, names in served.items() if queue in (None, name)))
    if agent is not None and agent not in agents:
        raise NotThereError(_not_served("agent", agent, agents))


def _not_served(what: str, name: str, known: set[str]) -> str:
    there = ", ".join(map(show, sorted(known))) or "none yet"
    return f"this dispatcher serves no {what} {show(name)}; there is {there}"
