"""The command `asyncdb`: its tools, with their help."""

import inspect
from typing import Any

import zc.monitor
from zc.async_.commands import Command, words
from zc.async_.monitordb import places, selecting, single
from zc.async_.monitordb.opening import connected

command = Command("asyncdb", connected)

#: The modifiers of tools that choose jobs.
FILTERS: dict[str, Any] = {
    "callable": words.some_name,
    "queue": words.name,
    "agent": words.name,
    "uuid": words.uuid,
    "needs": words.name,
    "requested_start": words.span,
    "start": words.span,
    "end": words.span,
    "callbacks_completed": words.span,
}

_FILTERS_HELP = """

Filters, of which all have to fit:
- callable:GLOB[,GLOB...]: what the job calls. A glob with a dot is for the whole dotted name
  ("callable:shop.mail.*"), one without for the last part of it ("callable:send_*"). Of a method,
  the dotted name is that of its class, and its own.
- queue:GLOB: the name of the queue; the usual one has no name ("queue:").
- agent:GLOB: the name of the agent that has or had the job. Of pending jobs, those are left whose
  needs such an agent satisfies, and that its filter would take. An agent with a chooser cannot be
  asked about these.
- uuid:UUID: the dispatcher of that agent; "uuid:THIS" is the one of this process.
- needs:GLOB[,GLOB...]: for each glob the job needs a label that fits. "needs:" leaves the jobs that
  need none.
- requested_start:, start:, end:, callbacks_completed: when the job was to begin, began, had its
  result, and was done with its callbacks: sinceINTERVAL, beforeINTERVAL, or both joined by a comma.
  INTERVAL is how long ago, as [nD][nH][nM][nS]: "end:since2H,before1H30M" leaves the jobs that
  ended between two and one and a half hours ago. A job without such a time is left out.
In globs, * is any text, ? any character, [ab] one of some."""

_STATES_HELP = """

States are
- pending: it waits in its queue, though it may be due later only;
- assigned: an agent has claimed it, and it has not begun;
- active: it has begun, and has no result;
- callbacks: it has its result, and its callbacks have not ended;
- completed: all has ended; in its place, succeeded or failed for a part of these.
Completed jobs are known for seven to eight days. Jobs that wait for the result of another job are
in no list, and are left out; so are jobs that cannot be loaded, except where whole states are
counted."""


def _explain(*texts: str) -> Any:
    """Add to the documentation of a tool what several have in common."""

    def decorate(function: Any) -> Any:
        function.__doc__ = inspect.cleandoc(function.__doc__) + "".join(texts)
        return function

    return decorate


def asyncdb(connection: Any, *arguments: str) -> None:
    """Monitor and introspect zc.async activity in the database.

    "asyncdb" tells what is in the database of this process's dispatcher: queues, dispatchers of
    all processes, and jobs, also those that completed in the last week. It changes nothing.
    "async" tells what this process is doing, and needs no database.

        asyncdb help           the tools
        asyncdb help TOOL      all about a tool
        asyncdb TOOL [WORD...] [MODIFIER:VALUE...]

    Answers are JSON; a traceback, and what is wrong with a question, is text. A job is
    [oid, "name of its database"]. A time is UTC and ends in Z. A duration is an object of days,
    hours, minutes and seconds, without what is zero. What is wrong is told in brackets.
    """
    command.perform(connection, arguments)


def register() -> None:
    """Make the command `asyncdb` known to `zc.monitor`. See `zc.monitor.start`."""
    zc.monitor.register(asyncdb)


@command.tool(
    words.any_number, display=words.one_of(*single.DISPLAYS), count=words.number, **FILTERS
)
@_explain(_STATES_HELP, _FILTERS_HELP)
def jobs(connection: Any, *states: str, **options: Any) -> Any:
    """List the jobs in some states.

        asyncdb jobs STATE... [display:default|repr|details] [count:N] [FILTER...]

    The answer is a list. Queue by queue it has the jobs that wait, in the order in which they may
    start; those that agents have; and completed ones, the newest first.
    - display: what is told of each: default, [oid, "name of its database"]; repr, a text; details,
      all that "asyncdb job" tells.
    - count: how many at most. There may be very many.
    """
    return selecting.iter_jobs(connection, *states, **options)


@command.tool(words.any_number, **FILTERS)
@_explain(_STATES_HELP, _FILTERS_HELP)
def count(connection: Any, *states: str, **options: Any) -> Any:
    """Count the jobs in some states.

        asyncdb count STATE... [FILTER...]

    The answer is a number. "asyncdb count completed uuid:THIS" tells how many jobs this process has
    completed, as long as they are known.

    Pending and completed jobs are counted at once, however many there are, if queue:, agent: and
    uuid: are the only filters, and no agent that is named has a filter of its own. (With agent: or
    uuid:, each pending job is looked into, too, once jobs of the queue have needed labels.)
    succeeded, failed and all other filters look into each job.
    """
    return selecting.count(connection, *states, **options)


@command.tool(words.any_number, display=words.one_of(*single.DISPLAYS), **FILTERS)
@_explain(_STATES_HELP, _FILTERS_HELP)
def jobstats(connection: Any, *states: str, **options: Any) -> Any:
    """Tell figures of the jobs in some states.

        asyncdb jobstats STATE... [display:default|repr|details] [FILTER...]

    It looks into each of them. The answer has
    - "pending", "assigned", "active", "callbacks", "succeeded", "failed": how many;
    - "longest wait", "shortest wait": for how long a job waited, or has waited, since it was to
      begin; "longest active", "shortest active": for how long it ran, or has run. Each is
      [duration, job], or null if there is none. display: says how the job is told of.
    """
    return selecting.jobstats(connection, *states, **options)


_JOB_HELP = """

The answer has
- "repr", "args", "kwargs": what is called, with its arguments, as reprs, which are cut;
- "status": new, pending, assigned, active, callback or completed;
- "queue", "agent" (names), "dispatcher" (its UUID): where it is or was; null if that is nowhere;
- "quota names";
- "begin after", "active start", "active end", "initial callbacks end": times, or null;
- "wait": for how long it waited, or has waited, since "begin after"; "active": for how long it ran,
  or has run: durations, or null;
- "failed": true or false; "result": its repr, of a failure a brief traceback, which
  "asyncdb traceback" tells in full;
- "callbacks": a list of jobs;
- of a job that needs labels, "needs", a list, and "served": whether a dispatcher that lives has
  them; null if the job does not wait."""


@command.tool(words.one_job, database=words.name)
@_explain(_JOB_HELP)
def job(connection: Any, oid: int | str, **options: Any) -> Any:
    """Tell about one job.

        asyncdb job OID [database:NAME]

    OID is the integer that is told of a job. database: is the name of its database, by default that
    of the queues. Or give the id of the job (job.id) in place of both, such as 1234-main.
    """
    return single.job(connection, oid, **options)


@command.tool(**FILTERS)
@_explain(_JOB_HELP, _FILTERS_HELP)
def nextpending(connection: Any, **options: Any) -> Any:
    """Tell about the first of the jobs that wait.

        asyncdb nextpending [FILTER...]

    It is the first in the order in which they may start: it may be due later only, or wait for a
    place in a quota. Of several queues, it is the one that was to begin first. null if there is
    none.
    """
    return selecting.nextpending(connection, **options)


@command.tool(**FILTERS)
@_explain(_JOB_HELP, _FILTERS_HELP)
def lastcompleted(connection: Any, **options: Any) -> Any:
    """Tell about the job that completed last.

        asyncdb lastcompleted [FILTER...]

    null if there is none.
    """
    return selecting.lastcompleted(connection, **options)


@command.tool(words.one_job, database=words.name, detail=words.one_of(*single.DETAILS))
def traceback(connection: Any, oid: int | str, **options: Any) -> Any:
    """Tell the traceback of a job that failed.

        asyncdb traceback OID [database:NAME] [detail:brief|default|verbose]

    The answer is text, or null if the job did not fail. OID and database: are as for "asyncdb job".
    detail: brief has a line for each frame, default is as Python prints it, verbose has the local
    variables, as far as they were stored.
    """
    return single.traceback(connection, oid, **options)


@command.tool(queue=words.name, agent=words.name, uuid=words.uuid)
def status(connection: Any, **options: Any) -> Any:
    """Tell how queues, and the dispatchers that are active there, are.

        asyncdb status [queue:GLOB] [agent:GLOB] [uuid:UUID]

    The answer has for each queue, by its name (the usual one has none),
    - "len": how many jobs wait;
    - "unserved", if there are jobs that need labels that nobody has: what "asyncdb unserved" tells
      of these;
    - "dispatchers": for each one that is active there, by its UUID,
      - "agents": for each, by its name, "len" and "size" (jobs that it has and may have), and
        "filter" or "chooser": what chooses its jobs, or null, if it takes all; "labels", if it has
        any; "coroutine size", unless it is 100: how many coroutines it may have besides;
      - "labels", if there are any: what all its agents have, besides its UUID;
      - "last ping": when it last said that it lives; "since ping": how long ago that was. Clocks of
        machines differ, so this does not tell whether it lives;
      - "ping interval": how often it says so; "ping death interval": after how long a silence it is
        taken for dead;
      - "dead": whether its process has ended on this host, or this process has seen no new ping for
        too long. Whoever has not looked for a while does not know, and tells false.
    What is broken has "error", a text. queue:, agent: and uuid: leave the rest out; "uuid:THIS" is
    the dispatcher of this process.
    """
    return places.status(connection, **options)


@command.tool(queue=words.name)
def unserved(connection: Any, **options: Any) -> Any:
    """Tell which jobs need labels that no dispatcher has.

        asyncdb unserved [queue:GLOB]

    The answer has for each queue, by its name (the usual one has none), a list: "needs", the labels
    that some jobs need, and "jobs", how many such jobs wait and are due. No dispatcher that lives
    satisfies the needs. An empty list: there are no such jobs. If no dispatcher lives that has an
    agent, there is also [] for all other jobs, even if it is not known what some of them need.

    It reads few records. Of more than 100 jobs of equal needs, those are counted, too, that were
    removed or changed in the last minutes.
    """
    return places.unserved(connection, **options)


@command.tool()
def UUIDs(connection: Any) -> Any:
    """List the UUIDs of the dispatchers that are active.

        asyncdb UUIDs

    The answer is a sorted list, over all queues. A process that was killed is among them until
    another one has noticed.
    """
    return places.UUIDs(connection)
