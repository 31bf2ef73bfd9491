"""The contract of zc.async: every interface, status, event and exception.

Unless a text says otherwise, times are timezone-aware datetimes in UTC and intervals are
timedeltas. Any thread that owns the object's connection may call a method. Nothing here commits a
transaction on its own.
"""

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec
from uuid import UUID

import transaction.interfaces
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
    "OutOfReachError",
    "ReassignedError",
    "TimeoutError",
]

_ = MessageFactory("zc.async")

#: The arguments of a callable.
Arguments = ParamSpec("Arguments")

#: The key of a poll, a time (UTC), an interval before now, or None.
Moment = int | datetime.datetime | datetime.timedelta | None

#: The answer of a retry policy: try again now, give up, or try again after a while or at a time.
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
    """The status of a job does not allow the operation."""


class FullError(AsyncError):
    """A container has no room for one more.

    Nothing here raises it: a job that finds no place waits. Containers of applications may raise
    it.
    """


class TimeoutError(AsyncError):  # noqa: A001  (the historic name)
    """The `begin_by` of a job passed before the job could begin, or somebody failed the job."""


class AbortedError(AsyncError):
    """The job was given up, for instance because it was interrupted too often."""


class MissingCallableError(AsyncError, LookupError):
    """The callable of a job could not be imported where and when the job was due."""


class JobNotFoundError(AsyncError, LookupError):
    """There is no job with that id here: see `zc.async_.find`."""


class BadJobIdError(JobNotFoundError, ValueError):
    """The text cannot be the id of a job, now or later."""


class NotConfiguredError(AsyncError, ComponentLookupError):
    """A component that the library needs is missing."""


class MissingDatabaseError(AsyncError, KeyError):
    """The open database has no other database of that name in its group."""

    # A KeyError shows the repr of its message.
    __str__ = Exception.__str__


class ClosedDatabaseError(AsyncError, ValueError):
    """A queue or a dispatcher was asked to use a database that was closed."""


class OutOfReachError(AsyncError, transaction.interfaces.TransientError):
    """The database cannot be reached, or the answer to a commit was lost: try again later.

    Raised for databases in PostgreSQL. ZEO has an exception of its own.
    """


class ReassignedError(AsyncError):
    """The worker that tried to go on with the job no longer owns it."""


class DetachedObjectError(AsyncError):
    """A coroutine looked into an object of the database outside of a worker's transaction."""


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

    `parent` is the `IDispatchers` that it was in.
    """


class IDispatcherActivated(IObjectEvent):
    """A dispatcher began to work for a queue; the object is its `IDispatcherAgents`.

    Handlers run in the transaction of the activation. Agents that they add work at once.
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
    """The part of a reactor that a dispatcher uses.

    The reactors of Twisted provide it. Any object with these five methods will do; it need not
    declare the interface.

    `zc.async_.configure.stop` and `zc.async_.stopping` also call `removeSystemEventTrigger`, as
    defined by Twisted, if the reactor goes on. A method `seconds` other than `time.monotonic` means
    that the reactor uses a clock that may be set. Then a thread of the dispatcher checks every
    second whether a call is late, and makes the reactor call it.
    """

    def callFromThread(callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Have the reactor's thread call `callable` soon. Any thread may ask; it does not wait."""

    def callInThread(callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `callable` in some other thread soon. Called in the reactor's thread only."""

    def callLater(seconds: float, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `callable` in the reactor's thread after `seconds` (a float).

        Returns an object with `cancel()` and `active()`. Called in the reactor's thread only.
        """

    def addSystemEventTrigger(
        phase: str, event: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call `callable` at an event; a dispatcher uses 'before' 'shutdown'.

        The reactor waits for a Deferred that `callable` returns.
        """

    def callWhenRunning(callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `callable` once the reactor runs, or at once if it runs already."""


class IUUID(Interface):
    """A universally unique identifier, as `uuid.UUID`."""

    bytes = Attribute("The value as 16 bytes.")
    hex = Attribute("The value as 32 hexadecimal digits.")
    int = Attribute("The value as a 128-bit integer.")
    urn = Attribute("The value as a URN.")


class IDispatcher(Interface):
    """Claims jobs for one process and has worker threads run them.

    Its state belongs to the reactor's thread. Any thread may call the methods that report; they
    return copies.
    """

    db = Attribute("The ZODB.DB that has the queues in its root.")
    reactor = Attribute("The `IReactor` that it uses.")
    UUID = Attribute("Its identity in every queue, a uuid.UUID.")
    poll_interval = Attribute("Seconds (float) between two polls when nothing else causes one.")
    labels = Attribute(
        "What there is in this process, for jobs that need it (`IJob.needs`): a sorted tuple of "
        "str. Besides, its UUID counts as a label that it has. See `IDispatcherAgents.labels`."
    )
    activated = Attribute("When it was activated (datetime, UTC), or None or False.")
    thread = Attribute("The thread of the reactor if an installer started one, else None.")
    polls = Attribute("The polls kept in memory, the newest first.")
    jobs = Attribute(
        "Maps (oid, database name) of the jobs kept in memory to their `getJobInfo`; newest last."
    )
    queues = Attribute("Maps the name of each queue to a mapping of agent names to worker pools.")
    shutdown_grace_period = Attribute(
        "How long (float, seconds) a graceful stop waits for running jobs; 0 by default. math.inf: "
        "until they have ended."
    )
    jobs_ended = Attribute(
        "How many jobs its threads have brought to an end, well or badly, since it was made."
    )

    def activate(threaded: bool | None = False) -> None:
        """Register with the reactor and begin to poll.

        `threaded`: poll in threads other than the reactor's. The default is true exactly if the
        reactor is the one installed as `twisted.internet.reactor`.

        The ZEO clients of its database and of the other databases of the group are watched until
        they are closed. A connection attempt that is stuck is made again.
        """

    def deactivate() -> Any:
        """Stop claiming, wait the grace period for running jobs, and hand back the rest."""

    def limit_grace(seconds: float) -> None:
        """Have a stop that is under way wait so long (seconds) from now for the running jobs.

        0 interrupts them at once. Does nothing if no stop waits for jobs. For the reactor's thread.
        """

    def getStatistics(
        at: Moment = None,
        before: Moment = None,
        since: Moment = None,
        queue: str | None = None,
        agent: str | None = None,
    ) -> dict[str, Any]:
        """Statistics of the jobs that the polls of a period started, as a dict."""

    def getJobInfo(oid: int, database_name: str | None = None) -> dict[str, Any]:
        """What this dispatcher knows of the job with this oid (int), as a dict; else KeyError.

        'reassigned' is true once the worker or a poll has seen that the job no longer belongs to
        this dispatcher.
        """

    def getActiveJobIds(
        queue: str | None = None, agent: str | None = None
    ) -> list[tuple[int, str]]:
        """The (oid, database name) of the jobs now in worker threads, the newest first."""

    def getPollInfo(at: Moment = None, before: Moment = None) -> Any:
        """The newest poll at or before `at`, or before `before`: a key, a datetime or an interval.

        The key of a poll as `at` gives that poll; as `before` it gives an earlier one. ValueError
        if there is none.
        """

    def iterPolls(at: Moment = None, before: Moment = None, since: Moment = None) -> Iterator[Any]:
        """The polls of a period, the newest first."""

    def getStatusInfo() -> dict[str, Any]:
        """The state of this dispatcher, as a dict.

        'uptime' and 'time since last poll' are None while it is stopped.
        """


# --------------------------------------------------------------------------------------------------
# Jobs


class IRetryPolicy(Interface):
    """Decides what happens to a job that failed, could not commit or was interrupted.

    A factory, or a named adapter of the job to this interface, makes it from the job. It is stored
    with the job as soon as it has been asked something. Answers: True (try again now), False (give
    up), a timedelta or a datetime (try again then).
    """

    def jobError(failure: Any, data_cache: dict[str, Any]) -> Answer:
        """The code of the job raised; its transaction was aborted. Called in a new transaction.

        `failure` is a `zc.twist.Failure`. `data_cache` is a dict that lasts until the tries of this
        run end, even if transactions are aborted. Then `updateData` is called with it.
        """

    def commitError(failure: Any, data_cache: dict[str, Any]) -> Answer:
        """The transaction of the job could not be committed. Otherwise like `jobError`."""

    def interrupted() -> Answer:
        """The process or dispatcher that ran the job ended."""

    def updateData(data_cache: dict[str, Any]) -> None:
        """Store the useful part of `data_cache`, in the transaction of the result."""


class IAbstractJob(Interface):
    """What jobs and callback proxies have in common."""

    parent = Attribute("The queue, agent or job that this job is in, or None.")
    status = Attribute("NEW, PENDING, ASSIGNED, ACTIVE, CALLBACKS or COMPLETED.")
    result = Attribute(
        "The outcome, a `zc.twist.Failure` if it failed; None before that. While the job waits for "
        "another job, that other job."
    )

    def addCallbacks(
        success: Any = None,
        failure: Any = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """Have `success` called with a good result or `failure` with a Failure.

        Each is None, a callable or an `IJob`. The level and the policy are set on both jobs, unless
        they are None. Returns an `ICallbackProxy`.
        """

    def addCallback(
        callback: Any, failure_log_level: int | None = None, retry_policy_factory: Any = None
    ) -> Any:
        """Have `callback` (a callable or an `IJob`) called with the result, good or bad.

        Returns it as a job. Callbacks run in the order in which they were added, each in its own
        transaction. If this job is completed, the callback is put into its queue to run at once. If
        this job never was in a queue, the callback is called here; that commits what the caller has
        done in this transaction.
        """


class ICallbackProxy(IAbstractJob):
    """Stands for one of two callbacks: the one that will run.

    Callbacks added to the proxy are added to that callback.
    """

    success = Attribute("The job for a good result, or None.")
    failure = Attribute("The job for a Failure, or None.")
    job = Attribute("The job that was chosen; None before the result is known.")

    def getJob(result: Any) -> Any:
        """Choose by `result`, and return the job to call. For use once the result is known."""


class IJob(IAbstractJob):
    """A call, stored in a database, and its result.

    Made as `Job(callable, *args, **kwargs)`: a partial application, like `functools.partial`.
    """

    id = Attribute(
        "A short text (str) by which `zc.async_.find` finds the job again, from any connection of "
        "its group of databases: for example '1234', or '1234-main' if the database has a name. It "
        "needs no quoting in a URL and never changes. A job gets it when it is put, before the "
        "commit. None while the job is in no database."
    )
    callable = Attribute(
        "The callable: a global function or class, a callable object that can be stored, or a "
        "method of one. May be set until the job starts."
    )
    args = Attribute("Positional arguments, a mutable sequence.")
    kwargs = Attribute("Keyword arguments, a mutable mapping.")
    annotations = Attribute("A mutable mapping for anybody's notes; see `zc.async_.local`.")
    callbacks = Attribute("The callbacks, jobs and proxies, in the order of adding (a tuple).")
    queue = Attribute("The nearest `IQueue` among the parents, or None.")
    agent = Attribute("The `IAgent` that claimed the job, or None.")
    begin_after = Attribute(
        "The job starts at this time or later, by the clock of the process that claims it. Set by "
        "`IQueue.put`, by default to the present; None before. May be set while the job is "
        "pending, to a datetime or to a timedelta from that moment (ValueError if no datetime can "
        "hold the time). A naive datetime is taken as UTC; where local time differs from UTC, "
        "`zc.async_.dates.NaiveDateWarning` says so. A job that waits for a timedelta does not "
        "wait longer when the clock is set back."
    )
    begin_by = Attribute(
        "How long (timedelta) after `begin_after` the job must have begun, else it fails with "
        "`TimeoutError`. None: no limit. May be set while the job is pending."
    )
    quota_names = Attribute(
        "Names (tuple of str) of the quotas of its queue in which the job needs a place to run. "
        "May be set while the job is pending. A job that waits for other jobs keeps its places, "
        "except in quotas that are named by these jobs, or by jobs that they wait for in turn: "
        "there it gives up its place. It may also lose one while it waits, to a job without which "
        "both would wait for ever."
    )
    needs = Attribute(
        "The labels that there have to be where the job runs: a sorted tuple of str, empty by "
        "default. An agent takes the job if it has each of them itself, or its dispatcher has it. "
        "The UUID of a dispatcher is a label that only this one has. Set to any iterable of labels "
        "(str, or uuid.UUID for its str) of 1 to 200 printable characters without spaces and "
        "commas, at most 100 (TypeError, ValueError). May be set while the job is pending. The "
        "parts of a serial or parallel job have needs of their own. Those of a callback are not "
        "asked for: it is performed where its job ran, or, if it is added or resumed later, by any "
        "dispatcher. Have it put a job that needs something."
    )
    is_coroutine = Attribute(
        "Whether `callable` was a coroutine function when it was set: then the job takes a place "
        "for coroutines of its agent, and runs in the thread of the reactor."
    )
    priority = Attribute("An integer, 0 by default. Among the due jobs, higher ones start first.")
    assignerUUID = Attribute("The UUID of the process that put the job, or None.")
    active_start = Attribute("When it started (datetime), or None.")
    active_end = Attribute("When its result became known (datetime), or None.")
    initial_callbacks_end = Attribute("When the callbacks had finished (datetime), or None.")
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
        The caller's present transaction is committed first, so that its changes stay if the job
        fails or is tried again. An error of that commit is raised to the caller, and nothing has
        run. A dispatcher calls jobs in a worker's thread. Only a dispatcher may call a job that is
        in a queue.

        If the job returns a Deferred or a coroutine, the call waits for it. It waits without limit
        if a reactor runs in another thread, else for `zc.async_.running.awaiting.PATIENCE` seconds,
        since only another thread can bring the result. The result is a Failure of
        `CannotWaitError` if waiting is known to be useless: in the thread of the reactor itself, or
        if there is no other thread.
        """

    def bind(*args: Any, **kwargs: Any) -> Any:
        """Put the given arguments before those of the job (keyword arguments are updated).

        Returns the job. Called on the class, `Job.bind(callable, *args, **kwargs)` makes a job
        whose callable gets the job itself before `args`.
        """

    def fail(error: Exception | None = None) -> None:
        """End the job with a Failure of `error` (`TimeoutError()`), through its callbacks."""

    def handleInterrupt() -> None:
        """The process that ran the job is gone: ask the retry policy, and do as it says."""

    def handleCallbackInterrupt() -> Any:
        """The process that performed this callback is gone: ask the retry policy.

        After that the callback is new again, or has failed. It is performed when the callbacks of
        its parent are resumed. Returns the answer of the policy; None if there was nothing to ask.
        Does not commit.
        """

    def resumeCallbacks() -> None:
        """Go on with the callbacks of a job whose process is gone."""

    def getRetryPolicy() -> Any:
        """The `IRetryPolicy` of this job.

        It is made at the first call and kept with the job, which writes the job's record, unless
        another thread runs the job meanwhile.
        """

    def setUp() -> Any:
        """Called before each try; a failure in it is a failure of the job. For subclasses."""

    def tearDown(setup_info: Any) -> None:
        """Called after the commit or abort of each try with what `setUp` returned. For subclasses.

        If `setUp` raised, the argument is None. A failure in it is logged as CRITICAL and changes
        nothing.
        """


# --------------------------------------------------------------------------------------------------
# Queues


class ISizedSequence(zope.interface.common.sequence.IFiniteSequence):
    """A collection of jobs with a limited number of places.

    Iteration, `len`, `in` and indices are over the jobs that hold a place now. It is false if there
    are none.
    """

    size = Attribute("The number of places, at least 0. May be changed at any time.")

    def __len__() -> int:  # type: ignore[override]
        """How many jobs hold a place."""

    def __iter__() -> Iterator[Any]:
        """The jobs that hold a place."""

    def __contains__(job: Any) -> bool:
        """Whether a job holds a place."""


class IQuota(ISizedSequence):
    """Limits how many jobs that name it run at once, over all dispatchers of a queue."""

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

    Raises TypeError for a key that is not a name, and for a value that is not an `IQueue`.
    """


class IQueue(Interface):
    """Jobs that wait to be run.

    Iteration, `len`, `in` and indices cover the waiting jobs, in the order in which they may start:
    first jobs that were put back, then by priority, time and arrival.

    Iteration is lazy: the first job costs the same however many wait. It gives each job at most
    once, if the job still waits then. It may leave out jobs that are put or edited meanwhile, and
    any jobs if this connection claims meanwhile.
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
        needs: Iterable[Any] | None = None,
    ) -> Any:
        """Add a job, or make one of a callable, and return the job.

        The other arguments, unless None, set the attributes of `IJob` with the same names: all that
        can be set on a job besides its call. `begin_after` may be a timedelta from now; a naive
        datetime is in UTC. The job may start once the transaction has committed.

        Raises `BadStatusError` for a job that is or was in a queue already and cannot run now,
        ValueError for a quota that does not exist or for what cannot be a label, TypeError for an
        object that cannot be called or stored, and `ClosedDatabaseError` if the queue's database
        was closed. Warns of functions and classes of the main program, with
        `zc.async_.job.mainprogram.MainProgramWarning`.
        """

    def call(
        callable: Callable[Arguments, Any],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Any:
        """Add a job that calls `callable` with these arguments, and return the job.

        Short for `put(Job(callable, *args, **kwargs))`; type checkers check the arguments. All
        arguments go to the callable: use `put` to set a time or a priority. Raises the same errors
        as `put`.
        """

    def putBack(job: Any) -> None:
        """Put a claimed job back, before every other job. The opposite of `claim`."""

    def pull(index: int = 0, labels: Iterable[Any] | None = None) -> Any:
        """Remove a waiting job by its position, and return it. IndexError if there is none.

        It does not matter whether and where the job may run. With `labels`, only those jobs count
        in the position that need nothing but these.
        """

    def remove(job: Any) -> None:
        """Remove a waiting job. LookupError if it is not waiting here."""

    def claim(
        filter: Callable[[Any], Any] | None = None,
        default: Any = None,
        labels: Iterable[Any] | None = None,
    ) -> Any:
        """Remove and return the first job that may run now and that `filter` (if any) accepts.

        The job takes its places in its quotas. Returns `default` if there is no such job. This is
        for agents and their choosers.

        `labels`: what there is where the job is to run; a job that needs anything else is passed
        over. By default, in the `claimJob` of an agent and what that calls, such as a chooser, the
        labels of the agent and its dispatcher, and the UUID of that. Elsewhere none: a caller that
        knows no labels, as one written before there were any, gets no job that it must not run.
        """

    def unserved() -> dict[tuple[str, ...], int]:
        """The needs of due jobs that no living dispatcher satisfies, with how many such jobs wait.

        Maps `IJob.needs` to numbers. It matters which agents the living dispatchers have, not the
        sizes and filters of these. If no dispatcher that has an agent lives, nobody runs anything:
        then `()` is there too, for all other waiting jobs, some of which may have needs that nobody
        has read so far.

        It reads few records, however many jobs wait. If more than 100 jobs have the same needs,
        those that were removed or edited in the last minutes are counted, too. Reading counts as a
        look at the dispatchers, see `IDispatcherAgents.dead`.
        """


class IDispatchers(zope.interface.common.mapping.IEnumerableMapping):
    """All dispatchers that ever registered with a queue: UUID to `IDispatcherAgents`."""

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

    A handler of the events that are fired here and by `IDispatchers` may use the objects of the
    event, as in `event.object.parent.quotas`. If a handler raises, the error is logged at CRITICAL
    with the handler's name and its changes are undone; the other handlers are called, and the
    dispatcher goes on. If the event was `IDispatcherActivated`, the dispatcher calls the handler
    again until it succeeds, after five seconds and then at growing intervals of at most five
    minutes. A conflict in a handler causes the whole transaction to be tried again.
    """

    UUID = Attribute("The UUID of the dispatcher.")
    parent = Attribute("The `IQueue`; None if the dispatcher was unregistered.")
    queue = Attribute("The `IQueue`, even if the dispatcher was unregistered.")
    activated = Attribute("When it was activated (datetime), or None.")
    labels = Attribute(
        "The labels of the dispatcher (`IDispatcher.labels`; a sorted tuple of str), which it "
        "writes here when it is activated. All its agents have them, and its UUID."
    )
    dead = Attribute(
        "Whether its process is known to have ended, or this process has seen its ping unchanged "
        "for longer than `ping_death_interval`. Reading the attribute counts as a look. A process "
        "that looks for the first time, or after a long time, knows nothing yet and gets False."
    )
    last_ping = Attribute("An object whose `value` is the time of the newest ping, or None.")
    ping_interval = Attribute("Time (timedelta) between two pings, 30 seconds by default.")
    ping_death_interval = Attribute(
        "A dispatcher whose ping does not change for longer than this (timedelta) is dead; 60 "
        "seconds by default. The observer measures it over several looks by its own monotonic "
        "clock. The time in the ping does not matter: clocks of machines differ."
    )

    def activate() -> None:
        """Begin to work. ValueError if it is activated. Fires `IDispatcherActivated`."""

    def reactivate() -> None:
        """Go on working after being taken for dead. Fires `IDispatcherReactivated`."""

    def deactivate() -> Any:
        """Stop working, and hand every claimed job back. Fires `IDispatcherDeactivated`."""


class ICompletedCollection(Interface):
    """The recently completed jobs of an agent, the newest first."""

    def add(job: Any) -> None:
        """Add a job that has just completed. For agents and dispatchers."""

    def remove(job: Any) -> None:
        """Remove a job whose completion was undone with its transaction."""

    def __len__() -> int:
        """How many there are."""

    def __iter__() -> Iterator[Any]:
        """The same as `iter()`."""

    def iter(
        start: datetime.datetime | None = None, stop: datetime.datetime | None = None
    ) -> Iterator[Any]:
        """The jobs that completed at or before `start` and after `stop`, newest first."""

    def first(start: datetime.datetime | None = None) -> Any:
        """The newest job that completed at or before `start`. ValueError if there is none."""

    def last(stop: datetime.datetime | None = None) -> Any:
        """The oldest job that completed after `stop`. ValueError if there is none."""

    def clear() -> None:
        """Forget all. Some of the jobs that complete meanwhile may be forgotten too."""


class IAgent(ISizedSequence):
    """Chooses jobs of a queue for one dispatcher, and holds those that run.

    `zc.async_.agent.Agent` implements it. Any other persistent class may, if it is declared to
    implement this. Its instances are put into the `IDispatcherAgents` under a name, which sets
    `name` and `parent`. `claimJob` may choose as it likes. Dispatchers keep their own records of
    what such an agent has claimed, so the guarantees for jobs hold whatever the agent does. An
    error of `remove`, `jobCompleted` or `completed` is logged at CRITICAL.

    An agent may have an attribute `labels`, as those of this package do: what there is where its
    jobs run (`IJob.needs`), besides what `IDispatcherAgents.labels` says. It is a sorted tuple of
    str, empty by default, and may be set at any time to what `needs` may be set to.

    An agent may have an attribute `coroutine_size`, as those of this package do: how many jobs it
    runs at once whose callable is a coroutine function. It is 100 by default, 0 if it takes none,
    and may be set at any time. While they wait they need no thread and no connection, so there may
    be thousands. Those of an agent with a chooser start only while there is a place for others,
    too.

    Iteration, `len`, `in` and indices cover the claimed jobs that have not completed, except jobs
    that wait for another job. An agent without such jobs is false.
    """

    name = Attribute("Its name in its `IDispatcherAgents`.")
    parent = Attribute("The `IDispatcherAgents`.")
    queue = Attribute("The `IQueue`.")
    size = Attribute(
        "How many jobs it runs at once, 3 by default; coroutine functions are not counted, where "
        "the agent has a `coroutine_size`. 0 pauses it: it takes no coroutines either."
    )
    filter = Attribute(
        "None, or a callable that takes a waiting job and says whether this agent may run it. It "
        "is called once for a job, and again when the job or the filter is changed. If it raises, "
        "the answer counts as no and the error is logged."
    )
    chooser = Attribute(
        "None, or a callable that takes the agent and returns a job that it claimed with "
        "`agent.queue.claim`, or None. At most one of filter and chooser may be set."
    )
    completed = Attribute("An `ICompletedCollection`.")

    def claimJob() -> Any:
        """Claim a job, assign it to this agent and return it, or return None.

        Returns None if the agent is full or its dispatcher is not active in the queue. A custom
        agent class need not check either, nor assign the job, though it may set the `parent` of the
        job to itself. It must return a job that it got from `IQueue.claim`.
        """

    def remove(job: Any) -> None:
        """Forget a claimed job. ValueError if it is not here.

        Dispatchers call this, in the transaction of a poll, for a job that the agent still lists
        but no longer has: the job went back into its queue, or waits for the result of another job.
        """

    def jobCompleted(job: Any) -> None:
        """Forget a claimed job that has completed, and add it to `completed`.

        Dispatchers call this in the transaction of a poll. They do not for a job that was removed
        because it waited for another job: that one is added to `completed` directly.
        """

    def index(job: Any) -> int:
        """The position of a claimed job. ValueError if it is not here."""


class IFilterAgent(IAgent):
    """An agent without a chooser: only its filter decides which jobs it takes, or it takes all.

    The agents of this package provide it as long as their `chooser` is None.
    """
