"""The contract of zc.async: every interface, status, event and exception.

Unless a text says otherwise: times are timezone-aware datetimes in UTC, intervals are timedeltas, a
method may be called by any thread that owns the connection of the object, and nothing here commits
a transaction on its own.
"""

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec
from uuid import UUID

import zope.interface
import zope.interface.common.mapping
import zope.interface.common.sequence
from zope.i18nmessageid import MessageFactory
from zope.interface import Attribute, Interface
from zope.interface.interfaces import ComponentLookupError, IObjectEvent, ObjectEvent
from zope.processlifetime import DatabaseOpened, DatabaseOpenedWithRoot, IDatabaseOpened

__all__ = [
    "ACTIVE",
    "ASSIGNED",
    "CALLBACKS",
    "COMPLETED",
    "IUUID",
    "KEY",
    "NEW",
    "PENDING",
    "AbortedError",
    "AsyncError",
    "BadJobIdError",
    "BadStatusError",
    "ClosedDatabaseError",
    "DatabaseOpened",
    "DatabaseOpenedWithRoot",
    "DispatcherActivated",
    "DispatcherDeactivated",
    "DispatcherReactivated",
    "DispatcherRegistered",
    "DispatcherUnregistered",
    "FullError",
    "IAbstractJob",
    "IAgent",
    "ICallbackProxy",
    "ICompletedCollection",
    "IDatabaseOpened",
    "IDatabaseOpenedEvent",
    "IDispatcher",
    "IDispatcherActivated",
    "IDispatcherAgents",
    "IDispatcherDeactivated",
    "IDispatcherReactivated",
    "IDispatcherRegistered",
    "IDispatcherUnregistered",
    "IDispatchers",
    "IFilterAgent",
    "IJob",
    "IObjectAdded",
    "IQueue",
    "IQueues",
    "IQuota",
    "IQuotas",
    "IReactor",
    "IRetryPolicy",
    "ISizedSequence",
    "JobNotFoundError",
    "MissingCallableError",
    "MissingDatabaseError",
    "NotConfiguredError",
    "ObjectAdded",
    "ReassignedError",
    "TimeoutError",
]

_ = MessageFactory("zc.async")

#: What a callable takes.
Arguments = ParamSpec("Arguments")

#: A poll's key, a time (UTC), how long ago, or None.
Moment = int | datetime.datetime | datetime.timedelta | None

#: What a retry policy answers: try again now, give up, or try again after a while or at a time.
Answer = bool | datetime.timedelta | datetime.datetime

#: Key of the `IQueues` mapping in the root of a database.
KEY = "zc.async"

#: In no queue, and never run.
NEW = _("new-status", "New")
#: In a queue; no dispatcher has claimed it.
PENDING = _("pending-status", "Pending")
#: Claimed for an agent, and not started.
ASSIGNED = _("assigned-status", "Assigned")
#: Started: a worker has it, or it waits for the job or Deferred that it returned.
ACTIVE = _("active-status", "Active")
#: Its result is known, and its callbacks run.
CALLBACKS = _("callback-status", "Performing Callbacks")
#: Its result is known, and its callbacks have run.
COMPLETED = _("completed-status", "Completed")

#: The historic name of the event.
IDatabaseOpenedEvent = IDatabaseOpened


# --------------------------------------------------------------------------------------------------
# Exceptions


class AsyncError(Exception):
    """The root of every exception that zc.async defines."""


class BadStatusError(AsyncError, ValueError):
    """The status of a job does not allow what was asked of it."""


class FullError(AsyncError):
    """A container has no room for one more.

    Nothing here raises it: what finds no place waits. It is for containers of applications.
    """


class TimeoutError(AsyncError):  # noqa: A001  (the historic name)
    """The `begin_by` of a job passed before the job could begin, or somebody failed the job."""


class AbortedError(AsyncError):
    """The job was given up, for instance because it was interrupted too often."""


class MissingCallableError(AsyncError, LookupError):
    """The callable of a job could not be imported where and when the job was due."""


class JobNotFoundError(AsyncError, LookupError):
    """There is no job of that id here: see `zc.async_.find`."""


class BadJobIdError(JobNotFoundError, ValueError):
    """A text that is the id of no job, and never will be."""


class NotConfiguredError(AsyncError, ComponentLookupError):
    """A component is missing that the library needs."""


class MissingDatabaseError(AsyncError, KeyError):
    """There is no database of that name beside the one that is open."""

    # A KeyError shows the repr of its message.
    __str__ = Exception.__str__


class ClosedDatabaseError(AsyncError, ValueError):
    """A database that was closed is to get a queue or a dispatcher."""


class ReassignedError(AsyncError):
    """The job is no longer the business of the worker that tried to go on with it."""


# --------------------------------------------------------------------------------------------------
# Events


class IObjectAdded(IObjectEvent):
    """An object was added to a container by an installer of this package."""

    container = Attribute("The container that the object was added to.")
    parent = Attribute("The same as `container`.")
    name = Attribute("The name of the object in the container.")


@zope.interface.implementer(IObjectAdded)
class ObjectAdded(ObjectEvent):
    """See `IObjectAdded`."""

    def __init__(self, object: Any, container: Any = None, name: Any = None) -> None:
        super().__init__(object)
        self.container = self.parent = container
        self.name = name


class IDispatcherRegistered(IObjectEvent):
    """A dispatcher's `IDispatcherAgents` (the object) was added to a queue."""


class IDispatcherUnregistered(IObjectEvent):
    """A dispatcher's `IDispatcherAgents` (the object) was removed from a queue.

    `parent` is the `IDispatchers` it was in.
    """


class IDispatcherActivated(IObjectEvent):
    """A dispatcher began to work for a queue; the object is its `IDispatcherAgents`.

    Handlers run in the transaction that activates: agents added here work at once.
    """


class IDispatcherReactivated(IObjectEvent):
    """A dispatcher taken for dead turned out to be alive; the object is its `IDispatcherAgents`."""


class IDispatcherDeactivated(IObjectEvent):
    """A dispatcher stopped working for a queue, or was found dead by a sibling."""


@zope.interface.implementer(IDispatcherRegistered)
class DispatcherRegistered(ObjectEvent):
    """See `IDispatcherRegistered`."""


@zope.interface.implementer(IDispatcherUnregistered)
class DispatcherUnregistered(ObjectEvent):
    """See `IDispatcherUnregistered`."""

    def __init__(self, object: Any, parent: Any = None) -> None:
        super().__init__(object)
        self.parent = parent


@zope.interface.implementer(IDispatcherActivated)
class DispatcherActivated(ObjectEvent):
    """See `IDispatcherActivated`."""


@zope.interface.implementer(IDispatcherReactivated)
class DispatcherReactivated(ObjectEvent):
    """See `IDispatcherReactivated`."""


@zope.interface.implementer(IDispatcherDeactivated)
class DispatcherDeactivated(ObjectEvent):
    """See `IDispatcherDeactivated`."""


# --------------------------------------------------------------------------------------------------
# The process side


class IReactor(Interface):
    """What a dispatcher asks of a reactor.

    The reactors of Twisted have all of this; so does any object with these five methods. It need
    not declare the interface.

    `zc.async_.configure.stop` and `zc.async_.stopping` besides call `removeSystemEventTrigger`, as
    Twisted has it, of a reactor that goes on. One with a method `seconds` is taken to count by a
    clock that may be set, unless that is `time.monotonic`: then a thread of the dispatcher looks
    every second whether a call is late, and has it made.
    """

    def callFromThread(callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Have the reactor's thread call `callable` soon. Any thread may ask, and is not kept."""

    def callInThread(callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `callable` in some other thread soon. Asked from the reactor's thread only."""

    def callLater(seconds: float, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `callable` in the reactor's thread after `seconds` (a float).

        Returns an object with `cancel()` and `active()`. Asked from the reactor's thread only.
        """

    def addSystemEventTrigger(
        phase: str, event: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call `callable` at an event; a dispatcher uses 'before' 'shutdown'.

        The reactor waits for a Deferred that `callable` returns.
        """

    def callWhenRunning(callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `callable` once the reactor runs, or at once if it does."""


class IUUID(Interface):
    """A universally unique identifier, as `uuid.UUID`."""

    bytes = Attribute("The value as 16 bytes.")
    hex = Attribute("The value as 32 hexadecimal digits.")
    int = Attribute("The value as a 128-bit integer.")
    urn = Attribute("The value as a URN.")


class IDispatcher(Interface):
    """Claims jobs for one process and has worker threads run them.

    Its state belongs to the thread of its reactor; the methods that report may be called from any
    thread and answer with copies.
    """

    db = Attribute("The ZODB.DB that has the queues in its root.")
    reactor = Attribute("The `IReactor` it lives on.")
    UUID = Attribute("Its identity in every queue, a uuid.UUID.")
    poll_interval = Attribute("Seconds (float) between two polls when nothing else causes one.")
    activated = Attribute("When it was activated (datetime, UTC), or None or False.")
    thread = Attribute("The thread of the reactor if an installer started one, else None.")
    polls = Attribute("The polls kept in memory, the newest first.")
    jobs = Attribute(
        "Of the jobs kept in memory, by (oid, database name), what `getJobInfo` tells; newest last."
    )
    queues = Attribute("Of each queue's name a mapping of an agent's name to its worker pool.")
    shutdown_grace_period = Attribute(
        "Seconds (float) that running jobs are given at a graceful stop; 0 by default."
    )

    def activate(threaded: bool | None = False) -> None:
        """Register with the reactor and begin to poll.

        `threaded`: make polls in other threads than the reactor's. By default that is so exactly
        with the reactor that is installed in `twisted.internet.reactor`.

        From now on until they are closed, the ZEO clients of its database, and of those that it is
        connected with, are watched over: what is stuck while it connects is made anew.
        """

    def deactivate() -> Any:
        """Stop claiming, give running jobs their grace, and hand back the rest."""

    def getStatistics(
        at: Moment = None,
        before: Moment = None,
        since: Moment = None,
        queue: str | None = None,
        agent: str | None = None,
    ) -> dict[str, Any]:
        """Figures of the jobs started by the polls of a span of time, as a dict."""

    def getJobInfo(oid: int, database_name: str | None = None) -> dict[str, Any]:
        """What is known here of the job with this oid (int), as a dict; KeyError if nothing is.

        'reassigned' is true once the job is not this dispatcher's any more, as soon as the worker
        or a poll has seen that.
        """

    def getActiveJobIds(
        queue: str | None = None, agent: str | None = None
    ) -> list[tuple[int, str]]:
        """The (oid, database name) of the jobs now in worker threads, the newest first."""

    def getPollInfo(at: Moment = None, before: Moment = None) -> Any:
        """The newest poll at a key, a datetime or an interval ago, or the newest before that.

        `at` may be that of a poll itself; of `before` the answer is always an earlier poll.
        ValueError if there is none.
        """

    def iterPolls(at: Moment = None, before: Moment = None, since: Moment = None) -> Iterator[Any]:
        """The polls of a span of time, the newest first."""

    def getStatusInfo() -> dict[str, Any]:
        """The state of this dispatcher, as a dict.

        'uptime' and 'time since last poll' are None while it is stopped.
        """


# --------------------------------------------------------------------------------------------------
# Jobs


class IRetryPolicy(Interface):
    """Decides what becomes of a job that failed, could not commit or was interrupted.

    Obtained by calling a factory, or a named adapter of the job to this interface, with the job. It
    is stored with the job as soon as it was asked something. Answers: True (try again now), False
    (give up), a timedelta or a datetime (try again then).
    """

    def jobError(failure: Any, data_cache: dict[str, Any]) -> Answer:
        """The code of the job raised; its transaction was aborted. Called in a new transaction.

        `failure` is a `zc.twist.Failure`. `data_cache` is a dict that lasts until the tries of this
        run end, whatever becomes of transactions; `updateData` is called with it then.
        """

    def commitError(failure: Any, data_cache: dict[str, Any]) -> Answer:
        """The transaction of the job could not be committed. Otherwise as `jobError`."""

    def interrupted() -> Answer:
        """The process or dispatcher that ran the job ended."""

    def updateData(data_cache: dict[str, Any]) -> None:
        """Store what is worth keeping of `data_cache`, in the transaction of the result."""


class IAbstractJob(Interface):
    """What jobs and callback proxies have in common."""

    parent = Attribute("The queue, agent or job that this job is in, or None.")
    status = Attribute("NEW, PENDING, ASSIGNED, ACTIVE, CALLBACKS or COMPLETED.")
    result = Attribute(
        "The outcome, a `zc.twist.Failure` if it failed; None before that. Of a job that waits for "
        "another one, that other job."
    )

    def addCallbacks(
        success: Any = None,
        failure: Any = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """Have `success` called with a good result or `failure` with a Failure.

        Each is None, a callable or an `IJob`. The level and the policy are set on both jobs unless
        None. Returns an `ICallbackProxy`.
        """

    def addCallback(
        callback: Any, failure_log_level: int | None = None, retry_policy_factory: Any = None
    ) -> Any:
        """Have `callback` (a callable or an `IJob`) called with the result, good or bad.

        Returns it as a job. Callbacks run in the order of their adding, each in a transaction of
        its own. If this job is completed, the callback is put into its queue to be run at once; if
        it never was in a queue, the callback is called here: what the caller had done in this
        transaction is committed with it.
        """


class ICallbackProxy(IAbstractJob):
    """Stands for whichever of two callbacks comes to run.

    Callbacks added to it are added to that one.
    """

    success = Attribute("The job for a good result, or None.")
    failure = Attribute("The job for a Failure, or None.")
    job = Attribute("The job that was chosen; None before the result is known.")

    def getJob(result: Any) -> Any:
        """Choose by `result`, and return the job to call; call it once the result is known."""


class IJob(IAbstractJob):
    """A call, stored in a database, and its result.

    Made as `Job(callable, *args, **kwargs)`, a partial application as `functools.partial`.
    """

    id = Attribute(
        "A short text (str) by which `zc.async_.find` finds the job again, from any connection of "
        "its group of databases: such as '1234', or '1234-main' if the database has a name. It "
        "needs no quoting in a URL and never changes. A job has it from its put on, before the "
        "commit; None for a job that is in no database."
    )
    callable = Attribute(
        "What is called: a global function or class, a callable object that can be stored, or a "
        "method of one. May be set until the job starts."
    )
    args = Attribute("Positional arguments, a mutable sequence.")
    kwargs = Attribute("Keyword arguments, a mutable mapping.")
    annotations = Attribute("A mutable mapping for anybody's notes; see `zc.async_.local`.")
    callbacks = Attribute("The callbacks, jobs and proxies, in order of adding (a tuple).")
    queue = Attribute("The nearest `IQueue` among the parents, or None.")
    agent = Attribute("The `IAgent` that claimed the job, or None.")
    begin_after = Attribute(
        "The job starts at this time or later, by the clock of the process that claims it. Set by "
        "`IQueue.put`, to the present if nothing else is given; None before. May be set while the "
        "job is pending: to a datetime, or to a timedelta, which counts from then on (ValueError "
        "if no datetime can tell the time). A naive datetime is taken as UTC; where local time is "
        "another, `zc.async_.dates.NaiveDateWarning` says so. A job that waits for a timedelta "
        "waits no longer though the clock is set back."
    )
    begin_by = Attribute(
        "How long (timedelta) after `begin_after` the job must have begun, else it fails with "
        "`TimeoutError`. None: no limit. May be set while the job is pending."
    )
    quota_names = Attribute(
        "Names (tuple of str) of the quotas of its queue in which the job needs a place to run. "
        "May be set while the job is pending."
        " A job that waits for others keeps its places, but in quotas that these name, or those "
        "that they wait for: there it gives its place up."
    )
    priority = Attribute("An integer, 0 by default. Among the due jobs, higher ones start first.")
    assignerUUID = Attribute("The UUID of the process that put the job, or None.")
    active_start = Attribute("When it started (datetime), or None.")
    active_end = Attribute("When its result was known (datetime), or None.")
    initial_callbacks_end = Attribute("When the callbacks had run (datetime), or None.")
    failure_log_level = Attribute(
        "Level of the log record for a failure. None: ERROR for a job that was put into a queue, "
        "CRITICAL for a callback."
    )
    retry_policy_factory = Attribute(
        "A callable that takes the job and returns an `IRetryPolicy`, or the name of an adapter. "
        "None: the adapters named '' (jobs) and 'callback' (callbacks), then the defaults."
    )

    def __call__(*args: Any, **kwargs: Any) -> Any:
        """Run the job: call its callable, with the given arguments after its own.

        Runs in the transaction manager of the job's connection, commits, and returns the result.
        What the caller has done in the present transaction is committed before, so that it stays
        if the job fails or is tried again; an error of that commit is the caller's, and nothing
        has run. A dispatcher calls jobs in a worker's thread; for a job that is in a queue nobody
        else may.

        A Deferred or coroutine that a job returns is waited for: as long as it takes where a
        reactor runs in another thread, else for `zc.async_.running.awaiting.PATIENCE` seconds,
        since only another thread can bring it. The result is a Failure of `CannotWaitError` where
        that is known to be in vain: in the thread of the reactor itself, or without any other
        thread.
        """

    def bind(*args: Any, **kwargs: Any) -> Any:
        """Put the given arguments before those the job has (update keyword arguments).

        Returns the job. Asked of the class, `Job.bind(callable, *args, **kwargs)`, it makes a job
        whose callable gets that job itself before `args`.
        """

    def fail(error: Exception | None = None) -> None:
        """End the job with a Failure of `error` (`TimeoutError()`), through its callbacks."""

    def handleInterrupt() -> None:
        """The process that ran the job is gone: ask the retry policy, and do as it says."""

    def handleCallbackInterrupt() -> Any:
        """The process that performed this callback is gone: ask the retry policy.

        The callback is new again then, or has failed. It is performed by whoever goes on with the
        callbacks of its parent. Returns the answer of the policy; None, if there was nothing to
        ask. Does not commit.
        """

    def resumeCallbacks() -> None:
        """Go on with callbacks whose process is gone."""

    def getRetryPolicy() -> Any:
        """The `IRetryPolicy` of this job.

        Made at the first call, and kept with the job (which writes its record), unless another
        thread runs it meanwhile.
        """

    def setUp() -> Any:
        """Called before each try; a failure in it is a failure of the job. For subclasses."""

    def tearDown(setup_info: Any) -> None:
        """Called after the commit or abort of each try with what `setUp` returned. For subclasses.

        A failure in it is logged as CRITICAL and changes nothing.
        """


# --------------------------------------------------------------------------------------------------
# Queues


class ISizedSequence(zope.interface.common.sequence.IFiniteSequence):
    """Jobs, of which there may be so many at once.

    Iteration, `len`, `in` and indices are over the jobs that hold a place now. False if there are
    none.
    """

    size = Attribute("The number of places, at least 0. May be changed at any time.")

    def __len__() -> int:  # type: ignore[override]
        """How many jobs hold a place."""

    def __iter__() -> Iterator[Any]:
        """The jobs that hold a place."""

    def __contains__(job: Any) -> bool:
        """Whether a job holds a place."""


class IQuota(ISizedSequence):
    """How many jobs that name it may run at once, over all dispatchers of a queue."""

    name = Attribute("Its name in the queue (str).")
    parent = Attribute("The `IQuotas`.")
    filled = Attribute("Whether no place is free.")

    def clean() -> None:
        """Forget jobs that no longer need their place. Never necessary."""


class IQuotas(zope.interface.common.mapping.IEnumerableMapping):
    """The quotas of a queue, by name."""

    def create(name: str, size: int = 1) -> None:
        """Add a quota. ValueError if there is one of that name."""

    def remove(name: str) -> None:
        """Remove a quota. Waiting jobs that name it are free to run. KeyError if there is none."""


class IQueues(zope.interface.common.mapping.IMapping):
    """The queues of a database, by name. The usual queue has the name ''.

    What is no name, or no `IQueue`, is refused with TypeError.
    """


class IQueue(Interface):
    """Jobs that wait to be run.

    Iteration, `len`, `in` and indices cover the waiting jobs, in the order in which they may
    start: put back ones, then by priority, time and arrival.

    An iteration looks at jobs as it comes to them: the first one costs the same however many wait.
    It gives each job at most once, those that still wait then. Jobs that are put or edited
    meanwhile may come or not; so may others if this connection claims meanwhile.
    """

    name = Attribute("The name of the queue in its `IQueues`; None if it is in none.")
    parent = Attribute("The `IQueues`, or None.")
    quotas = Attribute("The `IQuotas`.")
    dispatchers = Attribute("The `IDispatchers`.")

    def put(
        item: Any,
        begin_after: datetime.datetime | datetime.timedelta | None = None,
        begin_by: datetime.timedelta | None = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
        priority: int | None = None,
        quota_names: Iterable[str] | None = None,
    ) -> Any:
        """Add a job, or a callable that is made one, and return the job.

        The other arguments set the attributes of `IJob` of the same names, unless None: all that
        can be set on a job besides its call. `begin_after` may be a timedelta from now; a naive
        datetime is in UTC. The job may start once the transaction has committed.

        Raises `BadStatusError` for a job that is or was in a queue already and cannot run now,
        ValueError for a quota that does not exist, TypeError for what cannot be called or stored
        and `ClosedDatabaseError` if the database of the queue was closed. Warns of functions and
        classes of the main program, with `zc.async_.job.mainprogram.MainProgramWarning`.
        """

    def call(
        callable: Callable[Arguments, Any],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Any:
        """Add a job that calls `callable` with these arguments, and return the job.

        In one word what `put(Job(callable, *args, **kwargs))` is, and type checkers check the
        arguments. None of them is for the queue: use `put` to say when, or how urgently. Raises
        what `put` raises.
        """

    def putBack(job: Any) -> None:
        """Put a claimed job back; it comes before every other. The opposite of `claim`."""

    def pull(index: int = 0) -> Any:
        """Remove a waiting job by its position, and return it. IndexError if there is none."""

    def remove(job: Any) -> None:
        """Remove a waiting job. LookupError if it does not wait here."""

    def claim(filter: Callable[[Any], Any] | None = None, default: Any = None) -> Any:
        """Remove and return the first job that may run now and that `filter` (if any) accepts.

        The job takes its places in its quotas. Returns `default` if there is no such job. This is
        for agents and their choosers.
        """


class IDispatchers(zope.interface.common.mapping.IEnumerableMapping):
    """The dispatchers that ever registered with a queue: UUID to `IDispatcherAgents`."""

    def register(uuid: UUID) -> None:
        """Add an `IDispatcherAgents`. ValueError if there is one."""

    def unregister(uuid: UUID) -> Any:
        """Remove and return one. ValueError if it is activated, KeyError if there is none."""

    def ping(uuid: UUID) -> bool:
        """Note that a dispatcher is alive, and deactivate those that are not.

        Returns whether anything had to be written.
        """


class IDispatcherAgents(zope.interface.common.mapping.IMapping):
    """The agents of one dispatcher in one queue: name to `IAgent`.

    A handler of the events that are fired here and by `IDispatchers` may use what it is told of,
    as in `event.object.parent.quotas`. One that raises is told of at CRITICAL, with its name; what
    it did is undone, the other handlers are heard, and the dispatcher goes on. If that was
    `IDispatcherActivated`, the dispatcher calls it again, after five seconds and then later and
    later (at most five minutes), until all is well. A conflict that it meets has the whole
    transaction tried anew.
    """

    UUID = Attribute("The UUID of the dispatcher.")
    parent = Attribute("The `IQueue`; None if the dispatcher was unregistered.")
    queue = Attribute("The `IQueue`, also if the dispatcher was unregistered.")
    activated = Attribute("When it was activated (datetime), or None.")
    dead = Attribute(
        "Whether its process is known to have ended, or this process has seen its ping unchanged "
        "for longer than `ping_death_interval`. Whoever asks for this looks: a process that looks "
        "for the first time, or again after a longer time, knows nothing yet, and gets False."
    )
    last_ping = Attribute("An object whose `value` is the time of the newest ping, or None.")
    ping_interval = Attribute("Time (timedelta) between two pings, 30 seconds by default.")
    ping_death_interval = Attribute(
        "A dispatcher whose ping does not change for longer than this (timedelta) is dead, by the "
        "monotonic clock of whoever sees that, over several looks; 60 seconds by default. What "
        "the ping says does not matter: clocks of machines differ."
    )

    def activate() -> None:
        """Begin to work. ValueError if it is activated. Fires `IDispatcherActivated`."""

    def reactivate() -> None:
        """Go on working after having been taken for dead. Fires `IDispatcherReactivated`."""

    def deactivate() -> Any:
        """Stop working, and hand every claimed job back. Fires `IDispatcherDeactivated`."""


class ICompletedCollection(Interface):
    """The newer completed jobs of an agent, the newest first."""

    def add(job: Any) -> None:
        """Add a job that has just completed. For agents and dispatchers."""

    def remove(job: Any) -> None:
        """Remove a job of which an undone transaction has it that it did not complete."""

    def __len__() -> int:
        """How many there are."""

    def __iter__() -> Iterator[Any]:
        """As `iter()`."""

    def iter(
        start: datetime.datetime | None = None, stop: datetime.datetime | None = None
    ) -> Iterator[Any]:
        """The jobs that completed at `start` or before and after `stop`, newest first."""

    def first(start: datetime.datetime | None = None) -> Any:
        """The newest job, completed at `start` or before. ValueError if there is none."""

    def last(stop: datetime.datetime | None = None) -> Any:
        """The oldest job, completed after `stop`. ValueError if there is none."""

    def clear() -> None:
        """Forget all. Of jobs that complete meanwhile, some may be forgotten, too."""


class IAgent(ISizedSequence):
    """Chooses jobs of a queue for one dispatcher, and has those that run.

    `zc.async_.agent.Agent` is one. Others are of any class that is persistent and declared to
    implement this, and are put into the `IDispatcherAgents` under a name, which sets `name` and
    `parent`. They claim as they like in `claimJob`. Dispatchers keep their own books of what such
    an agent has claimed, and what is promised of jobs holds whatever it does; an error of `remove`,
    `jobCompleted` or `completed` is logged at CRITICAL.

    Iteration, `len`, `in` and indices cover the claimed jobs that have not completed; a job that
    waits for another job is not among them. Without such jobs it is false.
    """

    name = Attribute("Its name in its `IDispatcherAgents`.")
    parent = Attribute("The `IDispatcherAgents`.")
    queue = Attribute("The `IQueue`.")
    size = Attribute("How many jobs it runs at once, 3 by default; 0 pauses it.")
    filter = Attribute(
        "None, or a callable that takes a waiting job and says whether this agent may run it. It "
        "is asked once about a job, and again when the job or the filter is changed. If it raises, "
        "the answer is taken as no and the error logged."
    )
    chooser = Attribute(
        "None, or a callable that takes the agent and returns a job that it claimed with "
        "`agent.queue.claim`, or None. At most one of filter and chooser may be set."
    )
    completed = Attribute("An `ICompletedCollection`.")

    def claimJob() -> Any:
        """Claim a job, assign it to this agent and return it, or return None.

        Returns None if the agent is full or its dispatcher is not active in the queue. An agent of
        one's own class need not look at either, nor assign the job, though it may set the `parent`
        of the job to itself. It must return a job that it got from `IQueue.claim`.
        """

    def remove(job: Any) -> None:
        """Forget a claimed job. ValueError if it is not here.

        Dispatchers call this, in the transaction of a poll, for a job that the agent shows and that
        is with it no more: it went back into its queue, or waits for the result of another job.
        """

    def jobCompleted(job: Any) -> None:
        """Forget a claimed job, and add it to `completed`. It has completed.

        Dispatchers call this in the transaction of a poll. A job that was removed since it waited
        for another one is added to `completed` without that.
        """

    def index(job: Any) -> int:
        """The position of a claimed job. ValueError if it is not here."""


class IFilterAgent(IAgent):
    """An agent that has no chooser: what it takes is told by its filter alone, all if that is None.

    Provided by an `IAgent` of this package as long as its `chooser` is None.
    """
