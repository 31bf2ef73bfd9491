"""What is told of one job."""

import datetime
from typing import Any

from ZODB.POSException import POSKeyError
from ZODB.utils import p64

import zc.async_.clock
import zc.async_.job
from zc.async_ import utils
from zc.async_.commands import BadQuestionError, NotThereError, UnreadableError, values
from zc.async_.interfaces import PENDING, IJob
from zc.async_.job import is_failure
from zc.async_.monitordb.reading import is_readable, queues_of
from zc.async_.queue import serving
from zc.twist.showing import show

#: How much of a traceback may be told.
DETAILS = ("brief", "default", "verbose")

#: How jobs may be told of in lists.
DISPLAYS = ("default", "repr", "details")


def job(context: Any, oid: int | str, database: str | None = None) -> dict[str, Any]:
    """What the database knows of a job, in whatever state it is.

    Args:
        context: a connection or a persistent object.
        oid: of the job (int); or its `id`, a string.
        database: the name of its database; by default that of the queues. None with an `id`, which
            says it.

    Returns a dict: see `summary`. Raises `NotThereError` if there is no such job, `UnreadableError`
    if it cannot be loaded.
    """
    return summary(find(context, oid, database), zc.async_.clock.now())


def traceback(
    context: Any, oid: int | str, database: str | None = None, detail: str = "default"
) -> str | None:
    """The traceback of a job that failed, None of any other.

    `detail`: 'brief', 'default', or 'verbose', which has the local variables as they were stored.
    The other arguments, and errors, are those of `job`; `BadQuestionError` for another detail.
    """
    if detail not in DETAILS:
        raise BadQuestionError(f"the detail {show(detail)} is none of {', '.join(DETAILS)}")
    result = find(context, oid, database).result
    return result.getTraceback(detail=detail) if is_failure(result) else None


def find(context: Any, oid: int | str, database: str | None = None) -> Any:
    """A job by its oid or id; see `job`."""
    connection = utils.connection_of(context)
    if isinstance(oid, str):
        if database is not None:
            raise BadQuestionError("the id of a job says its database: leave out database:")
        return _readable(zc.async_.job.find(connection, oid), f"job {oid}")
    if database is None:
        # That of the queues, wherever the root has them.
        queues = [queue._p_jar for _name, queue in queues_of(connection)]
        connection = next((jar for jar in queues if jar is not None), connection)
    elif database not in connection.db().databases:
        known = ", ".join(map(show, sorted(connection.db().databases)))
        raise NotThereError(f"there is no database {show(database)}; there is {known}")
    else:
        connection = connection.get_connection(database)
    where = f"in the database {show(connection.db().database_name)}"
    try:
        found = connection.get(p64(oid))
    except POSKeyError as error:
        raise NotThereError(f"there is no job {oid} {where}") from error
    if not IJob.implementedBy(type(found)):
        kind = type(found)
        raise NotThereError(f"{oid} {where} is no job but a {kind.__module__}.{kind.__qualname__}")
    return _readable(found, f"job {oid} {where}")


def _readable(found: Any, what: str) -> Any:
    if not is_readable(found):
        raise UnreadableError(f"the {what} cannot be loaded: restore the classes of its arguments")
    return found


def shown(job: Any, display: str, now: datetime.datetime) -> Any:
    """A job as lists have it: its oid and database, its repr, or its summary."""
    if display == "repr":
        return repr(job)
    return values.job_id(job) if display == "default" else summary(job, now)


def summary(job: Any, now: datetime.datetime) -> dict[str, Any]:
    """All about a job, at a time.

    Returns a dict:
        'repr', 'args' (a list), 'kwargs' (a dict): reprs, cut. 'status': its word, such as
        'pending'. 'quota names': a tuple. 'begin after', 'active start', 'active end', 'initial
        callbacks end': datetimes (UTC) or None. 'wait': for how long it has waited to start since
        `begin_after`, 'active': for how long it ran or has run: timedeltas, or None.
        'failed': whether its result is a failure. 'result': its repr, of a failure a brief
        traceback. 'agent', 'queue': names, 'dispatcher': a UUID as a string, or None. 'callbacks':
        a list of pairs of oid and database name.
        Only of a job that needs labels: 'needs', a tuple; 'served', whether a living dispatcher of
        the queue satisfies them, None if the job does not wait.
    """
    result = job.result
    failed = is_failure(result)
    texts = utils.new_showing()
    return {
        "repr": repr(job),
        "args": [texts.text(value) for value in job.args],
        # As in the repr of a job, where "key" alone opens nothing.
        "kwargs": {
            name: texts.named(None if name == "key" else name, value)
            for name, value in job.kwargs.items()
        },
        "status": str(job.status).removesuffix("-status"),
        "quota names": tuple(job.quota_names),
        "begin after": job.begin_after,
        "active start": job.active_start,
        "active end": job.active_end,
        "initial callbacks end": job.initial_callbacks_end,
        "wait": wait(job, now),
        "active": active(job, now),
        "failed": failed,
        "result": result.getTraceback(detail="brief") if failed else utils.custom_repr(result),
        "callbacks": [values.job_id(callback) for callback in job.callbacks],
        **_whereabouts(job),
        **_needs(job),
    }


def wait(job: Any, now: datetime.datetime) -> datetime.timedelta | None:
    """For how long a job waited, or has waited, to start; None of one that never was in a queue."""
    if job.begin_after is None:
        return None
    return max(datetime.timedelta(), (job.active_start or now) - job.begin_after)


def active(job: Any, now: datetime.datetime) -> datetime.timedelta | None:
    """For how long a job ran, or has run; None of one that has not started."""
    if job.active_start is None:
        return None
    return max(datetime.timedelta(), (job.active_end or now) - job.active_start)


def _needs(job: Any) -> dict[str, Any]:
    """What is told of needs; nothing of a job that has none, of which scripts know the rest."""
    return {"needs": tuple(job.needs), "served": _is_served(job)} if job.needs else {}


def _is_served(job: Any) -> bool | None:
    """Whether a dispatcher that lives satisfies the needs of a job; None if it does not wait."""
    if job.status != PENDING:
        return None
    try:
        return any(map(set(job.needs).issubset, serving.living_labels(job.queue)))
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # A broken dispatcher hides nothing else of the jobs.
        utils.tracelog.debug("whether %r is served cannot be told", job, exc_info=True)
        return None


def _whereabouts(job: Any) -> dict[str, Any]:
    """The names of agent and queue, and the UUID of the dispatcher, as far as they can be told."""
    whereabouts: dict[str, Any] = {"agent": None, "dispatcher": None, "queue": None}
    try:
        whereabouts["queue"] = getattr(job.queue, "name", None)
        agent = job.agent
        whereabouts["agent"] = getattr(agent, "name", None)
        dispatcher = getattr(getattr(agent, "parent", None), "UUID", None)
        whereabouts["dispatcher"] = None if dispatcher is None else str(dispatcher)
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # An agent that is broken hides nothing else of its jobs.
        utils.tracelog.debug("where %r is cannot be told", job, exc_info=True)
    return whereabouts
