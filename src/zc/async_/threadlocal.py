"""`zc.async_.local`: tells code in a job about its job, queue, agent and dispatcher."""

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import transaction
from transaction.interfaces import TransientError

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import AsyncError
from zc.twist.showing import show

#: The shortest pause (seconds) between two looks for an annotation.
SHORTEST_POLL = 0.01


class Surroundings(Protocol):
    """What a coroutine of a job has around it, in the thread of the reactor."""

    #: That of its job.
    dispatcher: Any

    def in_worker(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Have a worker call a function; an awaitable of what it returns."""


#: Set in the context in which a coroutine runs.
surroundings: contextvars.ContextVar[Surroundings | None] = contextvars.ContextVar(
    "zc.async surroundings", default=None
)


class NoJobError(AsyncError, AttributeError):
    """The thread asked about its job, but runs none."""


class Local(threading.local):
    """The job of the current thread, and its dispatcher.

    Workers and jobs set the attributes. The methods are for the code of jobs.
    """

    #: The job that runs in this thread, a callback included.
    job: Any = None
    #: The claimed job that this thread got: its oid, the name of its database, its token.
    claimed: tuple[bytes, str, int] | None = None
    #: The dispatcher whose worker this thread is.
    dispatcher: Any = None
    #: The name of the agent for which this thread works.
    agent_name: str | None = None
    #: How the running job was marked as active, if nobody claimed it.
    mark: Any = None
    #: The present task, if this is a worker's thread and has one.
    task: Any = None
    #: The fence that guards the commits of this thread, if it is a worker's.
    fence: Any = None
    #: Jobs that were completed by the job in this thread without running themselves.
    completed: list[Any] | None = None

    def getJob(self) -> Any:
        """The job that runs in this thread; None if none does."""
        return self.job

    def own_job(self) -> Any:
        """The job that runs in this thread; NoJobError if none does."""
        if self.job is None:
            raise NoJobError("no job runs in this thread: call this from the code of a job")
        return self.job

    def getQueue(self) -> Any:
        """The queue of the job that runs in this thread; NoJobError if none does."""
        return self.own_job().queue

    def getAgentName(self) -> str | None:
        """The name of the agent for which this thread works."""
        return self.agent_name

    def getDispatcher(self) -> Any:
        """The dispatcher whose worker this thread is, or which runs this coroutine; else None."""
        if self.dispatcher is None and (around := surroundings.get()) is not None:
            return around.dispatcher
        return self.dispatcher

    def getReactor(self) -> Any:
        """The reactor of `getDispatcher`. NoJobError if there is none."""
        dispatcher = self.getDispatcher()
        if dispatcher is None:
            raise NoJobError("this thread is no worker of a dispatcher, and runs no coroutine job")
        return dispatcher.reactor

    def in_worker(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have a worker call a function for the coroutine that awaits this, and commit what it did.

        Only for the code of a coroutine that is a job which a dispatcher runs; NoJobError
        elsewhere. The coroutine runs in the thread of the reactor, without a connection. The
        function runs in a thread of a worker, in a transaction of its own, as the code of the job
        does: `getJob()` is there, and nothing is committed if the job has been given to somebody
        else (`ReassignedError`). After a conflict it is called again, up to five times in all. It
        is committed before the coroutine goes on, so it stays done whatever becomes of the job: if
        the job is interrupted and runs again, so does the coroutine, from its beginning.

        Persistent objects may be passed, and returned, alone and in lists, tuples, sets, values of
        dicts and arguments of errors. The coroutine cannot look into them. While the database is
        out of reach this waits.

        Returns an awaitable, whose value is that of the function, or its exception. Functions of
        one job are called one after the other.
        """
        around = surroundings.get()
        if around is None:
            raise NoJobError(
                "no coroutine of a job runs here: await in_worker in a coroutine function that was "
                "put into a queue. (A callback, or a job that is called by hand, has a thread and "
                "a transaction: it can call the function itself.)"
            )
        return around.in_worker(function, args, kwargs)

    def setLiveAnnotation(self, name: str, value: Any, job: Any = None) -> None:
        """Set an annotation of a job, by default this thread's, at once.

        It is committed in another connection: everybody sees it while the job still runs, and it
        stays even if the transaction of the job is aborted. Values should be immutable; the job
        must not use a mutable or persistent value again.
        """
        address = _Address(self.own_job() if job is None else job)
        with address.connected() as connection:
            for attempt in connection.transaction_manager.attempts(10):
                with attempt as transaction_:
                    transaction_.note("zc.async: live annotation")
                    connection.get(address.oid).annotations[name] = value

    def getLiveAnnotation(
        self,
        name: str,
        default: Any = None,
        timeout: float = 0,
        poll: float = 1,
        job: Any = None,
    ) -> Any:
        """The newest value of an annotation of a job, by default this thread's.

        If there is none, look again about every `poll` seconds until `timeout` seconds have passed
        in the time of the reactor, and then return `default`. Values should be immutable.
        """
        address = _Address(self.own_job() if job is None else job)
        end = zc.async_.clock.monotonic() + timeout * 1_000_000
        while True:
            found, value = _look_up(address, name)
            remaining = (end - zc.async_.clock.monotonic()) / 1_000_000
            if found:
                return value
            if remaining <= 0:
                return default
            self._pause(min(max(poll, SHORTEST_POLL), remaining))

    def _pause(self, seconds: float) -> None:
        """Wait in the time of the reactor."""
        passed = threading.Event()
        if self.dispatcher is None:
            passed.wait(seconds)
            return
        reactor = self.dispatcher.reactor
        reactor.callFromThread(reactor.callLater, seconds, passed.set)
        self.dispatcher.pausing(passed)
        # In real time too: virtual time may stand still, and the annotation may come meanwhile.
        passed.wait(seconds)
        self.dispatcher.pauses.discard(passed)


class _Address:
    """Where a job is, for another connection than its own."""

    def __init__(self, job: Any) -> None:
        """For the thread of the job's connection."""
        if job._p_jar is None or job._p_oid is None:
            raise AsyncError(f"{show(job)} is in no database: commit it first")
        self.oid = job._p_oid
        self._database_name = job._p_jar.db().database_name
        self._first_database = utils.first_database(job._p_jar)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection to the job's database, with a transaction manager of its own."""
        connection = self._first_database.open(manager := transaction.TransactionManager())
        try:
            yield connection.get_connection(self._database_name)
        finally:
            manager.abort()
            connection.close()


def _look_up(address: _Address, name: str) -> tuple[bool, Any]:
    with address.connected() as connection:
        try:
            annotations = connection.get(address.oid).annotations
            return (True, annotations[name]) if name in annotations else (False, None)
        except TransientError:
            return False, None


local = Local()
