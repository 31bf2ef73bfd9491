"""Agents: they decide which jobs a dispatcher takes, and keep the books of these jobs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import persistent
import zope.component
import zope.interface
from zope.interface.declarations import Provides

import zc.async_.clock
import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.agent.history import Completed
from zc.async_.interfaces import COMPLETED, NEW, PENDING, MissingCallableError
from zc.async_.job import as_labels, composition
from zc.async_.storing import Located, callables, originals
from zc.twist.showing import show

#: How many coroutines an agent runs at once, if nobody says otherwise.
COROUTINE_SIZE = 100


class Running(persistent.Persistent):
    """The claimed jobs of an agent. Its dispatcher writes it, or the sibling that buries that."""

    jobs: tuple[Any, ...] = ()
    #: How many of them were coroutines when they were added: so no job has to be loaded. (Until a
    #: job starts, it may be edited.)
    coroutines = 0

    def add(self, job: Any) -> None:
        """Add a job."""
        self.jobs += (job,)
        if job.is_coroutine:
            self.coroutines += 1

    def remove(self, jobs: Iterable[Any]) -> None:
        """Remove jobs, all of which are there."""
        gone = {id(job): job for job in jobs}
        self.jobs = tuple(job for job in self.jobs if id(job) not in gone)
        left = self.coroutines - sum(job.is_coroutine for job in gone.values())
        left = max(0, min(left, len(self.jobs)))
        if left != self.coroutines:
            self.coroutines = left

    def remove_all(self) -> None:
        """Remove all jobs."""
        self.remove(self.jobs)


def _runs(job: Any) -> bool:
    return job.status not in (NEW, PENDING, COMPLETED) and not job.is_suspended()


class Books(persistent.Persistent):
    """The books of an agent: the jobs that it has claimed. Dispatchers use them for any agent."""

    name: str | None = None
    parent: Any = None
    #: The name of what chooses its jobs, for errors.
    _chooser_name = "the chooser"

    def __init__(self) -> None:
        self.running = Running()

    @property
    def queue(self) -> Any:
        """The queue of the agent."""
        raise NotImplementedError

    @property
    def owner(self) -> Any:
        """The agent to which these books belong."""
        return self

    # -- claiming

    def _may_claim(self) -> bool:
        """Whether the dispatcher works for the queue. If that changes, this transaction fails."""
        agents = self.parent
        if not agents.activated or agents.says_nothing():
            return False
        jar = agents._p_jar
        if jar is not None:
            jar.readCurrent(agents)
        return True

    def _claiming_here(self, coroutines: bool | None = None) -> AbstractContextManager[None]:
        """Have claims be for the labels of the agent and its dispatcher, if they name no others.

        `coroutines`: True for only those, False for none of them.
        """
        context: AbstractContextManager[None] = self.queue.claiming_where(
            self.parent.labels_for(self.owner), coroutines
        )
        return context

    def _take(self, job: Any) -> None:
        """Note that the agent has claimed a job."""
        claimed = (
            zc.async_.interfaces.IJob.providedBy(job)
            and job.status == NEW
            and (job.parent is None or job.parent is self.owner)
            and (self._p_jar is None or getattr(job, "_p_jar", None) is not None)
        )
        if not claimed:
            raise zc.async_.interfaces.BadStatusError(
                f"{self._chooser_name} of agent {self.name!r} answered {utils.custom_repr(job)}: "
                "it has to return a job that it got from queue.claim(), or None"
            )
        if job.needs and self.owner._p_jar is not None:
            # Somebody may change its labels meanwhile. (`_may_claim` sees to the dispatcher's.)
            self.owner._p_jar.readCurrent(self.owner)
        job.assign_to(self.owner)
        self.running.add(job)

    # -- the claimed jobs

    def __len__(self) -> int:
        return sum(1 for job in self)

    def __iter__(self) -> Iterator[Any]:
        return (job for job in self.running.jobs if _runs(job))

    def __contains__(self, job: object) -> bool:
        return any(running is job for running in self)

    def forget(self, job: Any) -> None:
        """Remove a job from the list, if it is there."""
        if any(running is job for running in self.running.jobs):
            self.running.remove([job])

    def take_all(self) -> list[Any]:
        """Take all jobs that have not completed, and put the others into the history."""
        self.keep_books()
        jobs = list(self.running.jobs)
        if jobs:
            self.running.remove_all()
        elif self.running._p_jar is not None:
            # This transaction must conflict with a claim that adds a job here and commits first.
            self.running._p_jar.readCurrent(self.running)
        return jobs

    def _ended(self) -> list[Any]:
        """The jobs that no longer need a place here."""
        return [job for job in self.running.jobs if not _runs(job)]

    def keep_books(self) -> list[Any]:
        """Move completed jobs to the history and drop waiting ones; return those that left."""
        left = self._ended()
        if not left:
            return left
        self.running.remove(left)
        for job in left:
            if job.status == COMPLETED and job.agent is self.owner:
                self._tell_completed(job)
                self._see_to_rest(job)
            else:
                self._tell_gone(job)
        return left

    def _tell_completed(self, job: Any) -> None:
        """Tell the agent that one of its jobs has completed."""
        # A poll or a burial must not fail forever because of an application's code.
        self._tell("jobCompleted", lambda: self.owner.jobCompleted(job))

    def _tell(self, method: str, call: Callable[[], Any]) -> None:
        """Call a method of the agent; an error in it is logged, and fails no poll or burial."""
        try:
            call()
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            utils.log.critical(
                "%s of agent %r raised: its dispatcher goes on", method, self.name, exc_info=True
            )

    def _tell_gone(self, job: Any) -> None:
        """Tell the agent that it no longer has a job."""

    def _add_to_history(self, job: Any) -> None:
        """Tell the agent that a job that it had before has completed."""
        self.owner.completed.add(job)

    def remove_from_history(self, job: Any) -> None:
        """Tell the agent that a job has not completed after all."""
        self.owner.completed.remove(job)

    def remember(self, job: Any) -> None:
        """Add a job that some other job completed to the history, and start its callbacks.

        A transaction that adds a callback conflicts with the completion of the job, unless it
        commits before. So this transaction, which began after the completion, sees callbacks that
        the job's own transaction did not see.
        """
        if job.status == COMPLETED:
            self._add_to_history(job)
            self._see_to_rest(job)

    def _see_to_rest(self, job: Any) -> None:
        if job.part_of_tally is not None:
            self._note_end_of_part(job)
        if any(c.status == NEW and not c.runs_on_its_own for c in job.callbacks_from(0)):
            job.start_callbacks()

    def _note_end_of_part(self, job: Any) -> None:
        try:
            composition.part_ended(job)
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            # A poll must not fail forever because of this.
            utils.log.critical(
                "the end of %r could not be noted, which the job that it is a part of waits for; "
                "a job of the system tries again",
                job,
                exc_info=True,
            )
            self.queue.put(job.make_system_job(job.noteEnd))


@zope.interface.implementer(zc.async_.interfaces.IAgent)
class Agent(Located, Books):
    """See `zc.async_.interfaces.IAgent`.

    Operators change this record. Claims write others.
    """

    #: The queue, if the agent was removed: its jobs go on, and may wait for other jobs.
    last_queue: Any = None
    #: Whether the settings of `zc-async worker` name it; False if they did. None: it is not theirs.
    of_settings: bool | None = None
    _filter: Any = None
    stored_chooser: Any = None
    _filter_version = 0
    _coroutine_size = COROUTINE_SIZE
    _labels: tuple[str, ...] = ()

    def __init__(
        self,
        chooser: Callable[[Any], Any] | None = None,
        filter: Callable[[Any], Any] | int | None = None,
        size: int = 3,
        labels: Iterable[Any] = (),
        coroutine_size: int = COROUTINE_SIZE,
    ) -> None:
        if isinstance(filter, int):
            # The historic order of arguments, used in documents: (chooser, size).
            size, filter = filter, None  # noqa: A001
        super().__init__()
        self.completed = Completed()
        self.size = size
        self.coroutine_size = coroutine_size
        self.filter = filter
        self.chooser = chooser
        self.labels = labels

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_data")
        super().__setstate__(state)
        filters = zc.async_.interfaces.IFilterAgent
        provides = self.__dict__.get("__provides__")
        if self.__dict__.get("stored_chooser") is None and not (
            provides and provides.isOrExtends(filters)
        ):
            # Written before this interface existed. The last base is what the class provides.
            others = provides.__bases__[:-1] if provides else ()
            self.__dict__["__provides__"] = Provides(type(self), *others, filters)

    # -- settings

    @property
    def size(self) -> int:
        """See `zc.async_.interfaces.IAgent`."""
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        utils.check_size("an agent", value)
        self._size = value

    @property
    def coroutine_size(self) -> int:
        """See `zc.async_.interfaces.IAgent`."""
        return self._coroutine_size

    @coroutine_size.setter
    def coroutine_size(self, value: int) -> None:
        utils.check_size("the coroutines of an agent", value)
        if value != self._coroutine_size:
            self._coroutine_size = value

    @property
    def filter(self) -> Any:
        """See `zc.async_.interfaces.IAgent`."""
        return None if self._filter is None else callables.from_stored(self._filter)

    @filter.setter
    def filter(self, value: Any) -> None:
        if value is not None and self.stored_chooser is not None:
            raise ValueError("set the chooser to None first: an agent has a filter or a chooser")
        self._filter = None if value is None else callables.to_stored(value)
        # Jobs that the old filter refused are offered to the new one.
        self._filter_version += 1

    @property
    def chooser(self) -> Any:
        """See `zc.async_.interfaces.IAgent`."""
        return None if self.stored_chooser is None else callables.from_stored(self.stored_chooser)

    @chooser.setter
    def chooser(self, value: Any) -> None:
        if value is not None and self._filter is not None:
            raise ValueError("set the filter to None first: an agent has a filter or a chooser")
        self.stored_chooser = None if value is None else callables.to_stored(value)
        provided = zope.interface.directlyProvidedBy(self) - zc.async_.interfaces.IFilterAgent
        if value is None:
            provided += zc.async_.interfaces.IFilterAgent
        zope.interface.directlyProvides(self, provided)

    @property
    def labels(self) -> tuple[str, ...]:
        """See `zc.async_.interfaces.IAgent`. A job is claimed by those there are at the commit."""
        return self._labels

    @labels.setter
    def labels(self, value: Iterable[Any]) -> None:
        labels = as_labels("labels", value)
        if labels != self._labels:
            self._labels = labels

    @property
    def queue(self) -> Any:
        """See `zc.async_.interfaces.IAgent`."""
        return self.last_queue if self.parent is None else self.parent.queue

    # -- claiming

    def claimJob(self) -> Any:
        """See `zc.async_.interfaces.IAgent`."""
        for_thread, for_coroutine = self._have_room()
        if not (for_thread or for_coroutine) or not self._may_claim():
            return None
        both = for_thread and for_coroutine
        with self._claiming_here(None if both else for_coroutine):
            job = self._choose()
        if job is not None:
            self._take(job)
        return job

    def _have_room(self) -> tuple[bool, bool]:
        """Whether there is a place for a job that needs a thread, and one for a coroutine."""
        if not self.size:
            # An operator has paused it.
            return False, False
        threads, coroutines = self.queue.kinds_claimed
        # Usually the list itself is short enough, and no job needs to be loaded.
        for_thread = threads and self._counts_less(False, self.size)
        for_coroutine = coroutines and self._counts_less(True, self.coroutine_size)
        if self.stored_chooser is not None and not for_thread:
            # Nobody knows what it claims.
            for_coroutine = False
        return for_thread, for_coroutine

    def _counts_less(self, coroutines: bool, limit: int) -> bool:
        """Whether there are fewer jobs of a kind than that."""
        running = self.running
        listed = running.coroutines if coroutines else len(running.jobs) - running.coroutines
        if listed < limit or not limit:
            return listed < limit
        return sum(job.is_coroutine is coroutines for job in self) < limit

    def _choose(self) -> Any:
        """Claim and return a job, or return None. For subclasses that prefer some jobs."""
        if self.stored_chooser is not None:
            return self.chooser(self)
        if self._filter is None:
            return self.queue.claim()
        try:
            accepts = self.filter
        except MissingCallableError as error:
            utils.log.error("agent %r takes no job: its filter is missing: %s", self.name, error)
            return None
        # Refusals are remembered under the agent's oid; without one, the filter is asked each time.
        refusal = None if self._p_oid is None else (self._p_oid, self._filter_version)
        return self.queue.claim_for(accepts, refusal=refusal)

    # -- the claimed jobs

    @property
    def _data(self) -> tuple[Any, ...]:
        """The claimed jobs, under the original's name."""
        return tuple(self)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def index(self, job: Any) -> int:
        """See `zc.async_.interfaces.IAgent`."""
        return list(self).index(job)

    def remove(self, job: Any) -> None:
        """See `zc.async_.interfaces.IAgent`."""
        if job not in self:
            raise ValueError(f"{show(job)} is not with this agent")
        self.forget(job)
        # A worker may be running it, and its dispatcher has books of the jobs of its agents.
        job.leave_books()

    def jobCompleted(self, job: Any) -> None:
        """See `zc.async_.interfaces.IAgent`."""
        self.forget(job)
        self.completed.add(job)


class SystemAgent(Agent):
    """Takes the jobs of the system, on behalf of every dispatcher that is active."""

    # Also of those that an older version wrote.
    _coroutine_size = 0

    def __init__(self) -> None:
        super().__init__(size=2, coroutine_size=0)

    def _choose(self) -> Any:
        return self.queue.claim_for(None, system=True)


def chooseFirst(agent: Any) -> Any:
    """A chooser that takes the first job, like an agent without chooser and filter.

    Kept for agents in old databases.
    """
    return agent.queue.claim()


@zope.component.adapter(zc.async_.interfaces.IDispatcherActivated)
def addMainAgentActivationHandler(event: Any) -> None:
    """Give an activated dispatcher an agent named 'main', if it has none of that name."""
    agents = event.object
    if "main" not in agents:
        agents["main"] = Agent()
