"""The record of a job: what is stored of its life, and how it goes from one state to the next.

All that changes the state of a job is here, whoever decides on it. Attributes that have their usual
value are not stored.
"""

import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import zc.async_.clock
import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED, NEW, PENDING
from zc.async_.job import sidecar as sidecars
from zc.async_.job import yielding
from zc.async_.job.callbacks import ConditionalCallbackProxy
from zc.async_.job.composition import part_ended
from zc.async_.job.conditions import Conditions
from zc.async_.running import performed
from zc.async_.storing import growing
from zc.async_.threadlocal import local

#: The number of the first status. The original numbered some of them from 0 to 3: what has been
#: made from its records, whoever does that, must not be misread.
FIRST_NUMBER = 10

STATUSES = dict(enumerate((NEW, PENDING, ASSIGNED, ACTIVE, CALLBACKS, COMPLETED), FIRST_NUMBER))
NUMBERS = {status: number for number, status in STATUSES.items()}
#: Of jobs that no worker has.
FREE = frozenset(map(NUMBERS.__getitem__, (NEW, PENDING, COMPLETED)))


class JobRecord(Conditions):
    """The life of a job, as it is stored. `Job` is the face of it."""

    # What is not stored if it has these values. Times are in microseconds.
    _status_id = FIRST_NUMBER
    _parent: Any = None
    _args: list[Any] = []
    _kwargs: dict[str, Any] = {}
    #: Callbacks that were added before the claim; see `zc.async_.storing.growing`.
    _callbacks: tuple[Any, ...] = ()
    _further_callbacks: Any = None
    _sidecar: sidecars.Sidecar | None = None
    #: The place for a sidecar that is not there yet when the job starts.
    _sidecars: Any = None
    _result: Any = None
    #: The job for whose result this one waits.
    _inner: Any = None
    #: A job that this one returned and is going to wait for, once it has a callback there.
    _joins: Any = None
    #: Counts the claims: a worker may go on while it is what it was when the worker got the job.
    _token = 0
    _assigner: bytes | None = None
    _start: int | None = None
    _end: int | None = None
    _callbacks_end: int | None = None
    _policy: Any = None
    #: Since when, and how often in vain, somebody looked for the code.
    _missing: tuple[int, int] | None = None
    #: Of a callback that committed its start: the claimed job in whose thread it runs.
    _runner: tuple[bytes, str, int] | None = None
    #: Whether its callbacks were left for later: then no agent has it any more.
    _left = False
    #: Of a callback: whether it was added so late that a job of the system was put for it.
    _on_its_own = False
    #: Of a part of a parallel job: the tally that it is counted in, and its number there.
    _part: Any = None
    #: Whether it was removed from its agent when it had started, and may still run.
    _unlisted = False
    #: The names of the databases in which it left receipts.
    _receipts: tuple[str, ...] = ()
    _failure_log_level: int | None = None
    _retry_policy_factory: Any = None

    @property
    def status(self) -> str:
        """See `zc.async_.interfaces.IJob`."""
        return STATUSES[self._status_id]

    def _set_status(self, status: str) -> None:
        self._status_id = NUMBERS[status]

    def _is_free_to_write(self) -> bool:
        """Whether no other thread may be at work on this record."""
        return local.job is self or self._status_id in FREE

    # -- in a queue

    def _wait_in(self, queue: Any, entry_key: int, keep_arrival: bool = False) -> None:
        """Note that the job waits in `queue`, and that the entry of this key is the one."""
        if keep_arrival:
            self._arrival = self._arrival or self._entry_key
        elif self._arrival is not None:
            self._arrival = None
        self._entry_key = entry_key
        self._parent = queue
        self._set_status(PENDING)

    def _claimed(self) -> None:
        """Note that the job was taken out of its queue."""
        self._parent = None
        self._set_status(NEW)
        self._token += 1
        if self._put_back:
            self._put_back = False
        if self._given_up is not None:
            self._given_up = None

    def _removed(self) -> None:
        """Note that the job was taken out of its queue, and is nobody's."""
        self._parent = None
        self._set_status(NEW)
        # Places in quotas that it had from a claim are its no more.
        self._token += 1
        if self._put_back:
            self._put_back = False

    # -- with an agent

    def _assign(self, agent: Any) -> None:
        """Note that an agent has the job."""
        self._parent = agent
        self._set_status(ASSIGNED)

    def _activate(self, now: int, places: sidecars.Places | None = None) -> None:
        """Note that the job starts, and where its sidecar will be."""
        self._provide_sidecar(places)
        self._set_status(ACTIVE)
        self._start = now
        if self._unlisted:
            self._unlisted = False

    def _provide_sidecar(self, places: sidecars.Places | None = None) -> None:
        if self._sidecar is None and self._sidecars is None:
            self._sidecars = (places or sidecars.Places()).next(self)

    # -- where it is

    @property
    def parent(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return self._parent

    @parent.setter
    def parent(self, value: Any) -> None:
        self._parent = value

    __parent__ = parent

    @property
    def queue(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        agent = self.agent
        if agent is None:
            return self._ancestor(zc.async_.interfaces.IQueue)
        # One of another class that was removed may find none.
        return getattr(agent, "queue", None)

    @property
    def agent(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return self._ancestor(zc.async_.interfaces.IAgent)

    def _ancestor(self, interface: Any) -> Any:
        ancestor = self._parent
        while ancestor is not None and not interface.providedBy(ancestor):
            ancestor = getattr(ancestor, "parent", None)
        return ancestor

    @property
    def assignerUUID(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._assigner is None else uuid.UUID(bytes=self._assigner)

    def _waits(self) -> bool:
        """Whether no thread is at the job, though it goes on: it waits, or its callbacks do."""
        if self._status_id == NUMBERS[CALLBACKS]:
            return self._left
        return self._waits_for_result()

    def _waits_for_result(self) -> bool:
        """Whether the job waits for the result of another."""
        return self._inner is not None and self._status_id == NUMBERS[ACTIVE]

    def _runner_lives(self) -> bool:
        """Whether the thread in which this callback was started still has its job."""
        if self._runner is None:
            return False
        oid, database_name, token = self._runner
        try:
            runner = self._p_jar.get_connection(database_name).get(oid)
            return bool(runner._token == token and runner.status in (ACTIVE, CALLBACKS))
        except (KeyError, AttributeError):
            # It was removed (a POSKeyError is a KeyError), or is no job any more.
            return False

    # -- its callbacks

    def _callbacks_from(self, position: int) -> Iterator[Any]:
        """The callbacks, but so many of the first."""
        early = self._callbacks, self._further_callbacks
        yield from growing.items(*early, position)
        sidecar = sidecars.find(self)
        if sidecar is not None:
            position = max(0, position - growing.length(*early))
            late = sidecar.callbacks, sidecar.further_callbacks
            yield from growing.items(*late, position)

    def _renewed_callbacks(self) -> int:
        """How often a callback that had been done with got something to call."""
        sidecar = sidecars.find(self)
        return 0 if sidecar is None else sidecar.renewed

    def _leave_callbacks(self) -> None:
        if self._status_id == NUMBERS[CALLBACKS] and not self._left:
            self._left = True

    def _see_callbacks(self) -> None:
        """Have this transaction conflict with a callback that is added meanwhile.

        For ends of which nobody keeps books, and which cost nothing to try again.
        """
        sidecars.see(self)
        for callback in self._callbacks_from(0):
            passed = isinstance(callback, ConditionalCallbackProxy) and callback._passed
            if passed and callback._p_jar is not None:
                # It may get something to call.
                callback._p_jar.readCurrent(callback)

    # -- its end

    def _end_with(self, result: Any) -> None:
        """Note the result. The job is completed if it has no callbacks to perform."""
        waited = self._waits_for_result()
        self._result = result
        self._end = zc.async_.clock.microseconds()
        if self._inner is not None:
            self._inner = None
        if self._joins is not None:
            self._joins = None
        if self._runner is not None:
            self._runner = None
        # That a part has ended is noted in a transaction of its own, as if by a callback.
        noted = self._part is None or self._is_in_books()
        if noted and all(performed(callback) for callback in self._callbacks_from(0)):
            self._set_status(COMPLETED)
        else:
            self._set_status(CALLBACKS)
        if waited:
            # It is in no books that are looked through for free places.
            yielding.release(self, self._quota_names)

    def _leave_books(self) -> None:
        """Note that no agent lists this job any more, so that it tells of its end itself."""
        if self._part is not None:
            self._unlisted = True

    def _is_in_books(self) -> bool:
        """Whether its dispatcher will see its completion: this thread was given it, and has it."""
        claimed = local.claimed
        return (
            claimed is not None
            and not (self._left or self._unlisted)
            and claimed[0] == self._p_oid
            and claimed == (self._p_oid, self._p_jar.db().database_name, self._token)
        )

    def _complete(self) -> None:
        """Note that the callbacks have been performed."""
        if self._part is not None and not self._is_in_books():
            part_ended(self)
        self._see_callbacks()
        self._set_status(COMPLETED)
        self._callbacks_end = zc.async_.clock.microseconds()

    def _undo_end(self) -> None:
        """The job ended, but its transaction did not take effect everywhere: it is active again.

        Callbacks are performed after the end of the transaction, so none was.
        """
        self._result = self._end = self._callbacks_end = None
        self._receipts = ()
        self._set_status(ACTIVE)

    def _undo_completion(self) -> None:
        """The job is completed, but one of its callbacks has to be performed once more."""
        if self._status_id == NUMBERS[COMPLETED]:
            self._callbacks_end = None
            self._set_status(CALLBACKS)

    # -- its times

    @property
    def key(self) -> int | None:
        """Sorts completed jobs, the newest first (see `utils.dt_to_long`); None before that."""
        if self._status_id != NUMBERS[COMPLETED] or self.initial_callbacks_end is None:
            return None
        return utils.dt_to_long(self.initial_callbacks_end)

    @property
    def active_start(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._start is None else zc.async_.clock.to_datetime(self._start)

    @property
    def active_end(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._end is None else zc.async_.clock.to_datetime(self._end)

    @property
    def initial_callbacks_end(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        end = self._callbacks_end
        if end is None and self._status_id == NUMBERS[COMPLETED]:
            end = self._end
        return None if end is None else zc.async_.clock.to_datetime(end)
