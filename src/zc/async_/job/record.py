"""The record of a job: what is stored of its life, and how it goes from one state to the next.

Steps with more to them than a status are methods here, whoever decides on them. Attributes that
have their usual value are not stored.
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
    stored_args: list[Any] = []
    stored_kwargs: dict[str, Any] = {}
    #: Callbacks that were added before the claim; see `zc.async_.storing.growing`.
    early_callbacks: tuple[Any, ...] = ()
    further_early_callbacks: Any = None
    sidecar_record: sidecars.Sidecar | None = None
    #: The place for a sidecar that is not there yet when the job starts.
    sidecar_place: Any = None
    _result: Any = None
    #: The job for whose result this one waits.
    awaited_job: Any = None
    #: A job that this one returned and is going to wait for, once it has a callback there.
    returned_job: Any = None
    #: Counts the claims: a worker may go on while it is what it was when the worker got the job.
    claim_token = 0
    assigner_bytes: bytes | None = None
    start_moment: int | None = None
    end_moment: int | None = None
    _callbacks_end: int | None = None
    kept_policy: Any = None
    #: Since when, and how often in vain, somebody looked for the code.
    missing_code: tuple[int, int] | None = None
    #: Of a callback that committed its start: the claimed job in whose thread it runs.
    runner_claim: tuple[bytes, str, int] | None = None
    #: Whether its callbacks were left for later: then no agent has it any more.
    left_callbacks = False
    #: Of a callback: whether it was added so late that a job of the system was put for it.
    runs_on_its_own = False
    #: Of a part of a parallel job: the tally that it is counted in, and its number there.
    part_of_tally: Any = None
    #: Whether it was removed from its agent when it had started, and may still run.
    _unlisted = False
    #: The names of the databases in which it left receipts.
    receipt_databases: tuple[str, ...] = ()
    _failure_log_level: int | None = None
    stored_policy_factory: Any = None

    @property
    def status(self) -> str:
        """See `zc.async_.interfaces.IJob`."""
        return STATUSES[self._status_id]

    def set_status(self, status: str) -> None:
        """Note a step; whoever takes it sees to what goes with it."""
        self._status_id = NUMBERS[status]

    def _is_free_to_write(self) -> bool:
        """Whether no other thread may be at work on this record."""
        return local.job is self or self._status_id in FREE

    # -- in a queue

    def wait_in(self, queue: Any, entry_key: int, keep_arrival: bool = False) -> None:
        """Note that the job waits in `queue`, and that the entry of this key is the one."""
        if keep_arrival:
            self.arrival_key = self.arrival_key or self.entry_key
        elif self.arrival_key is not None:
            self.arrival_key = None
        self.entry_key = entry_key
        self._parent = queue
        self.set_status(PENDING)

    def note_claimed(self) -> None:
        """Note that the job was taken out of its queue."""
        self._parent = None
        self.set_status(NEW)
        self.claim_token += 1
        if self.was_put_back:
            self.was_put_back = False
        if self.given_up_places is not None:
            self.given_up_places = None

    def note_removed(self) -> None:
        """Note that the job was taken out of its queue, and is nobody's."""
        self._parent = None
        self.set_status(NEW)
        # Places in quotas that it had from a claim are its no more.
        self.claim_token += 1
        if self.was_put_back:
            self.was_put_back = False

    # -- with an agent

    def assign_to(self, agent: Any) -> None:
        """Note that an agent has the job."""
        self._parent = agent
        self.set_status(ASSIGNED)

    def activate_at(self, now: int, places: sidecars.Places | None = None) -> None:
        """Note that the job starts, and where its sidecar will be."""
        self.provide_sidecar(places)
        self.set_status(ACTIVE)
        self.start_moment = now
        if self._unlisted:
            self._unlisted = False

    def provide_sidecar(self, places: sidecars.Places | None = None) -> None:
        """Have a place for what others write while the job runs."""
        if self.sidecar_record is None and self.sidecar_place is None:
            self.sidecar_place = (places or sidecars.Places()).next(self)

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
        return None if self.assigner_bytes is None else uuid.UUID(bytes=self.assigner_bytes)

    def is_suspended(self) -> bool:
        """Whether no thread is at the job, though it goes on: it waits, or its callbacks do."""
        if self._status_id == NUMBERS[CALLBACKS]:
            return self.left_callbacks
        return self.waits_for_result()

    def waits_for_result(self) -> bool:
        """Whether the job waits for the result of another."""
        return self.awaited_job is not None and self._status_id == NUMBERS[ACTIVE]

    def runner_lives(self) -> bool:
        """Whether the thread in which this callback was started still has its job."""
        if self.runner_claim is None:
            return False
        oid, database_name, token = self.runner_claim
        try:
            runner = self._p_jar.get_connection(database_name).get(oid)
            return bool(runner.claim_token == token and runner.status in (ACTIVE, CALLBACKS))
        except (KeyError, AttributeError):
            # It was removed (a POSKeyError is a KeyError), or is no job any more.
            return False

    # -- its callbacks

    def callbacks_from(self, position: int) -> Iterator[Any]:
        """The callbacks, but so many of the first."""
        early = self.early_callbacks, self.further_early_callbacks
        yield from growing.items(*early, position)
        sidecar = sidecars.find(self)
        if sidecar is not None:
            position = max(0, position - growing.length(*early))
            late = sidecar.callbacks, sidecar.further_callbacks
            yield from growing.items(*late, position)

    def renewed_callbacks(self) -> int:
        """How often a callback that had been done with got something to call."""
        sidecar = sidecars.find(self)
        return 0 if sidecar is None else sidecar.renewed

    def _leave_callbacks(self) -> None:
        if self._status_id == NUMBERS[CALLBACKS] and not self.left_callbacks:
            self.left_callbacks = True

    def _see_callbacks(self) -> None:
        """Have this transaction conflict with a callback that is added meanwhile.

        For ends of which nobody keeps books, and which cost nothing to try again.
        """
        sidecars.see(self)
        for callback in self.callbacks_from(0):
            passed = isinstance(callback, ConditionalCallbackProxy) and callback.is_passed
            if passed and callback._p_jar is not None:
                # It may get something to call.
                callback._p_jar.readCurrent(callback)

    # -- its end

    def end_with(self, result: Any) -> None:
        """Note the result. The job is completed if it has no callbacks to perform."""
        waited = self.waits_for_result()
        self._result = result
        self.end_moment = zc.async_.clock.microseconds()
        if self.awaited_job is not None:
            self.awaited_job = None
        if self.returned_job is not None:
            self.returned_job = None
        if self.runner_claim is not None:
            self.runner_claim = None
        # That a part has ended is noted in a transaction of its own, as if by a callback.
        noted = self.part_of_tally is None or self._is_in_books()
        if noted and all(performed(callback) for callback in self.callbacks_from(0)):
            self.set_status(COMPLETED)
        else:
            self.set_status(CALLBACKS)
        if waited:
            # It is in no books that are looked through for free places.
            yielding.release(self, self.kept_quota_names)

    def leave_books(self) -> None:
        """Note that no agent lists this job any more, so that it tells of its end itself."""
        if self.part_of_tally is not None:
            self._unlisted = True

    def _is_in_books(self) -> bool:
        """Whether its dispatcher will see its completion: this thread was given it, and has it."""
        claimed = local.claimed
        return (
            claimed is not None
            and not (self.left_callbacks or self._unlisted)
            and claimed[0] == self._p_oid
            and claimed == (self._p_oid, self._p_jar.db().database_name, self.claim_token)
        )

    def complete(self) -> None:
        """Note that the callbacks have been performed."""
        if self.part_of_tally is not None and not self._is_in_books():
            part_ended(self)
        self._see_callbacks()
        self.set_status(COMPLETED)
        self._callbacks_end = zc.async_.clock.microseconds()

    def undo_end(self) -> None:
        """The job ended, but its transaction did not take effect everywhere: it is active again.

        Callbacks are performed after the end of the transaction, so none was.
        """
        self._result = self.end_moment = self._callbacks_end = None
        self.receipt_databases = ()
        self.set_status(ACTIVE)

    def undo_completion(self) -> None:
        """The job is completed, but one of its callbacks has to be performed once more."""
        if self._status_id == NUMBERS[COMPLETED]:
            self._callbacks_end = None
            self.set_status(CALLBACKS)

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
        return None if self.start_moment is None else zc.async_.clock.to_datetime(self.start_moment)

    @property
    def active_end(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        return None if self.end_moment is None else zc.async_.clock.to_datetime(self.end_moment)

    @property
    def initial_callbacks_end(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        end = self._callbacks_end
        if end is None and self._status_id == NUMBERS[COMPLETED]:
            end = self.end_moment
        return None if end is None else zc.async_.clock.to_datetime(end)
