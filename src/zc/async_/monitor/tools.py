"""The command `async`: its tools, with their help."""

import datetime
from typing import Any

import zc.monitor
from zc.async_.commands import Command, words
from zc.async_.monitor import reports

command = Command("async")


def perform(connection: Any, *arguments: str) -> None:
    """Monitor zc.async activity in this process.

    "async" asks the dispatcher of this process what it is doing and what it remembers. It reads no
    database, and answers though that is out of reach. "asyncdb" tells what is in the database.

        async help           the tools
        async help TOOL      all about a tool
        async TOOL [WORD...] [MODIFIER:VALUE...]

    Answers are JSON. A job is [oid, "name of its database"]. A time is UTC and ends in Z. A
    duration is an object of days, hours, minutes and seconds, without what is zero. What is wrong
    with a question is told in brackets.

    A process may have several dispatchers: "uuid:UUID" asks another one than that of the process.
    """
    command.perform(connection, arguments)


# As clients call it.
perform.__name__ = perform.__qualname__ = "async"
perform.__module__ = "zc.async_.monitor"


def register() -> None:
    """Make the command `async` known to `zc.monitor`. (`zc.monitor.start` opens a port.)"""
    zc.monitor.register(perform)


@command.tool(uuid=words.uuid)
def status(**options: Any) -> Any:
    """Tell how the dispatcher is.

        async status [uuid:UUID]

    The answer has
    - "status": "STARTING" before the first poll, "RUNNING", "STUCK" if a poll is overdue (by three
      poll intervals, and ten seconds at least), "STOPPED";
    - "poll interval": a duration. Polls are the safety net: commits cause others in between;
    - "time since last poll", "uptime": durations; null if it is stopped;
    - "uuid": that of the dispatcher;
    - "labels", if there are any: what there is in this process for jobs that need it.
    """
    return reports.status(**options)


@command.tool(queue=words.name, agent=words.name, uuid=words.uuid)
def jobs(**options: Any) -> Any:
    """List the jobs that are in worker threads right now.

        async jobs [queue:NAME] [agent:NAME] [uuid:UUID]

    The answer is a list of jobs, the newest first. queue: and agent: leave those of one queue or
    agent; the usual queue has no name: "queue:". Jobs that wait for the result of another job are
    in no thread.
    """
    return reports.jobs(**options)


@command.tool(words.one_oid, database=words.name, uuid=words.uuid)
def job(oid: int, **options: Any) -> Any:
    """Tell what the dispatcher knows of a job that it was given.

        async job OID [database:NAME] [uuid:UUID]

    OID is the integer that is told of a job. The latest jobs are remembered, 200 by default;
    "asyncdb job OID" tells of others. database: is needed if jobs of two databases have the OID.

    The answer has
    - "call": what is called, with its arguments, cut;
    - "queue", "agent": their names, and "quota names"; "needs", if it needs labels;
    - "started", "completed": times, null before; "thread": the id of the thread;
    - "failed": true or false; "result": its repr, cut; null before the end;
    - "poll id": key of the poll that claimed it (see "async help poll");
    - "reassigned": whether it was taken from this dispatcher, as one does that is taken for dead.
    """
    return reports.job(oid, **options)


@command.tool(
    at=words.moment,
    before=words.moment,
    since=words.moment,
    queue=words.name,
    agent=words.name,
    uuid=words.uuid,
)
def jobstats(**options: Any) -> Any:
    """Tell figures of the jobs that were started lately.

        async jobstats [at:POLL | before:POLL] [since:POLL] [queue:NAME] [agent:NAME] [uuid:UUID]

    The jobs are those that some polls started: all that are remembered (400 by default), or those
    - at: and before a poll, or before: one;
    - since: one.
    POLL is the key of a poll, how long ago it was ([nD][nH][nM][nS], such as 1H30M), or a time in
    UTC (2030-01-31T12:00:00Z). "async jobstats since:10M" is about the last ten minutes.

    The answer has
    - "started": how many; of these "successful", "failed" and "unknown", which were taken over by
      others or are forgotten; the rest is at work;
    - "longest active", "shortest active", the same of "successful" and "failed": a job, or null;
    - "statistics start", "statistics end": times of the newest and the oldest of the polls.
    """
    return reports.jobstats(**options)


@command.tool(at=words.moment, before=words.moment, uuid=words.uuid)
def poll(**options: Any) -> Any:
    """Tell what a poll found, by default the last one.

        async poll [at:POLL | before:POLL] [uuid:UUID]

    POLL is the key of a poll, how long ago it was ([nD][nH][nM][nS], such as 1H30M), or a time in
    UTC (2030-01-31T12:00:00Z). at: gives the newest poll of that moment or before, before: the
    newest one before it. "async poll before:KEY" goes back one by one.

    The answer has
    - "key": names the poll; newer ones have smaller keys;
    - "time": when it began;
    - "results": for each queue and each agent in it, "len" and "size" (jobs that the agent had and
      may have), "active jobs" (those that it had in the database when the poll began), "new jobs"
      (those that it has got since, until the next poll), "error" (of its filter or chooser, or
      null). null in place of a queue's agents: the dispatcher is not active in that queue.
    """
    return reports.poll(**options)


@command.tool(
    at=words.moment, before=words.moment, since=words.moment, count=words.number, uuid=words.uuid
)
def polls(**options: Any) -> Any:
    """Tell what several polls found, by default the last three.

        async polls [at:POLL | before:POLL] [since:POLL] [count:N] [uuid:UUID]

    The answer is a list, the newest poll first; each is told as by "async poll".
    - at: the newest poll of that moment or before; before: the newest one before it;
    - since: the oldest one;
    - count: how many at most, 3 by default, also with since:.
    POLL is a key, how long ago it was, or a time, as for "async poll".
    """
    return reports.polls(**options)


@command.tool()
def utcnow() -> datetime.datetime:
    """Tell the time in UTC, by the clock of this process.

        async utcnow

    Clocks of machines differ; dates of jobs and polls are by those of the processes that note them.
    """
    return reports.utcnow()


@command.tool()
def UUID() -> str:
    """Tell the UUID of this process.

        async UUID

    It is that of its dispatcher, unless that was given one of its own.
    """
    return reports.UUID()
