"""The record of a job: what is stored of it, and what can be read from that.

Attributes that have their usual value are not stored. Those that the life of the job changes are
set in `zc.async_.job.life` alone.
"""

import datetime
import uuid
from typing import Any

import zc.async_.clock
import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED, NEW, PENDING
from zc.async_.job import sidecar as sidecars
from zc.async_.job.conditions import Conditions
from zc.async_.threadlocal import local

#: The number of the first status. The original numbered some statuses from 0 to 3: records that
#: somebody has converted must not be misread.
FIRST_NUMBER = 10

STATUSES = dict(enumerate((NEW, PENDING, ASSIGNED, ACTIVE, CALLBACKS, COMPLETED), FIRST_NUMBER))
NUMBERS = {status: number for number, status in STATUSES.items()}
#: The numbers of the statuses of jobs that no worker has.
FREE = frozenset(map(NUMBERS.__getitem__, (NEW, PENDING, COMPLETED)))


class JobRecord(Conditions):
    """What is stored of a job, beside its conditions. `Job` is the face of it."""

    # Values that are not stored. Times are in microseconds.
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
    #: Goes up with each claim. A worker may go on while it is as it was when it got the job.
    claim_token = 0
    assigner_bytes: bytes | None = None
    start_moment: int | None = None
    end_moment: int | None = None
    _callbacks_end: int | None = None
    kept_policy: Any = None
    #: Since when its code has been missing, and how often it was looked for in vain.
    missing_code: tuple[int, int] | None = None
    #: For a callback that committed its start: the claimed job in whose thread it runs.
    runner_claim: tuple[bytes, str, int] | None = None
    #: Whether its callbacks were left for later: then no agent has it any more.
    left_callbacks = False
    #: For a callback: whether it was added so late that a job of the system was put for it.
    runs_on_its_own = False
    #: For a part of a parallel job: the tally that counts it, and its number there.
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

    def _is_free_to_write(self) -> bool:
        """Whether no other thread may be at work on this record."""
        return local.job is self or self._status_id in FREE

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
        """Whether no thread works on the job although it goes on: it or its callbacks wait."""
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
