"""When and where a job may start: its times, quotas, priority and needs, and its place in order."""

import datetime
import itertools
import types
from typing import Any

import persistent
from ZODB.utils import z64

import zc.async_.clock
import zc.async_.dates
from zc.async_.interfaces import ASSIGNED, NEW, PENDING, BadStatusError
from zc.async_.job import yielding
from zc.async_.job.labels import COROUTINE, as_labels
from zc.async_.job.order import GroupKey, SortKey, place_of, sort_key
from zc.twist.showing import MAX_LENGTH, show

#: Priorities are at most this, and at least the opposite.
HIGHEST_PRIORITY = 1 << 31

#: Names of quotas that an error tells at most.
SHOWN_QUOTAS = 10

#: Rank of a job that was put back: before any priority.
_PUT_BACK_RANK = -(1 << 62)


class Conditions(persistent.Persistent):
    """The part of a job that says when and where it may start.

    Changed by its owner while it waits, by queues and claims.
    """

    # Values that are not stored. Times are in microseconds.
    #: The key of the entry, in a lane or the backlog, that counts.
    entry_key = 0
    #: When it was put, if that is not `entry_key`.
    arrival_key: int | None = None
    kept_begin_after: int | None = None
    _begin_by: int | None = None
    #: How long it is to wait (microseconds) from the moment of the decision; None if it waits for a
    #: date. It waits no longer than that even if the clock is set back.
    kept_delay: int | None = None
    was_put_back = False
    _priority = 0
    kept_quota_names: tuple[str, ...] = ()
    kept_needs: tuple[str, ...] = ()
    #: Names of the quotas in which it gave up its place while it waits for a job: see `yielding`.
    #: None if it does not wait.
    given_up_places: tuple[str, ...] | None = None
    #: Whether it is one that any dispatcher runs, past filters and sizes.
    is_of_system = False
    is_coroutine: bool

    # Of the rest of the job.
    status: Any
    queue: Any
    _parent: Any

    @property
    def begin_after(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        microseconds = self._begins_after()
        return zc.async_.clock.to_datetime(microseconds) if microseconds else None

    @begin_after.setter
    def begin_after(self, value: datetime.datetime | datetime.timedelta | None) -> None:
        self._must_not_have_started("begin_after")
        if not isinstance(value, (datetime.datetime, datetime.timedelta, types.NoneType)):
            raise TypeError(
                f"begin_after is a datetime or a timedelta, not {show(value)}; for a call with "
                f"arguments, use call: queue.call(callable, {show(value)})"
            )
        delay = None
        if isinstance(value, datetime.timedelta):
            delay = zc.async_.clock.interval_microseconds(value)
            moment: int | None = zc.async_.clock.in_a_while(delay)
        elif value is not None:
            zc.async_.dates.warn_if_ambiguous("begin_after", value)
            moment = zc.async_.clock.to_microseconds(value)
        else:
            moment = None
        self.kept_begin_after, self.kept_delay = moment, delay
        self._edited()

    @property
    def begin_by(self) -> datetime.timedelta | None:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._begin_by is None else datetime.timedelta(microseconds=self._begin_by)

    @begin_by.setter
    def begin_by(self, value: datetime.timedelta | None) -> None:
        self._must_not_have_started("begin_by")
        if not isinstance(value, (datetime.timedelta, types.NoneType)):
            raise TypeError(f"begin_by is a timedelta, not {show(value)}")
        if value is not None and value < datetime.timedelta():
            raise ValueError(f"begin_by is a duration of at least 0, not {show(value)}")
        self._begin_by = None if value is None else zc.async_.clock.interval_microseconds(value)
        self._edited()

    @property
    def quota_names(self) -> tuple[str, ...]:
        """See `zc.async_.interfaces.IJob`."""
        return self.kept_quota_names

    @quota_names.setter
    def quota_names(self, value: Any) -> None:
        self._must_not_have_started("the quota names")
        names = as_quota_names(value)
        queue = self.queue
        if queue is not None:
            check_quota_names(queue, names)
        self.kept_quota_names = names
        self._edited()
        if names:
            yielding.note_above(self, names)

    @property
    def priority(self) -> int:
        """See `zc.async_.interfaces.IJob`."""
        return self._priority

    @priority.setter
    def priority(self, value: int) -> None:
        self._must_not_have_started("the priority")
        if not isinstance(value, int):
            raise TypeError(f"a priority is an integer, not {show(value)}")
        if abs(value) > HIGHEST_PRIORITY:
            raise ValueError(f"a priority is at most {HIGHEST_PRIORITY}, in either direction")
        self._priority = value
        self._edited()

    @property
    def needs(self) -> tuple[str, ...]:
        """See `zc.async_.interfaces.IJob`."""
        return self.kept_needs

    @needs.setter
    def needs(self, value: Any) -> None:
        self._must_not_have_started("the needs")
        needs = as_labels("needs", value)
        if needs != self.kept_needs:
            self.kept_needs = needs
            self._edited()

    # -- for queues and claims

    def _must_not_have_started(self, what: str) -> None:
        if self.status not in (NEW, PENDING, ASSIGNED):
            raise BadStatusError(
                f"{what} of a job can be set until it starts; this is {show(self)}"
            )

    def _edited(self) -> None:
        """Make a new entry for a waiting job that was edited, so that claims see its new state.

        If no claim can have seen it, its entry is corrected instead.
        """
        if self._p_jar is not None:
            self._p_changed = True
        if self.status != PENDING:
            return
        if self._p_serial != z64 or self._p_jar is None or self._parent._v_has_claimed:
            self._parent.file_again(self)
        else:
            self._parent.place_again(self)

    def _begins_after(self) -> int:
        if self.kept_begin_after is not None:
            return self.kept_begin_after
        return self.arrival_key or self.entry_key

    def is_due(self, now: int) -> bool:
        """Whether it may start now. Without a begin_after it may: clocks of machines differ."""
        return self.kept_begin_after is None or self.kept_begin_after <= now

    def deadline_moment(self) -> int | None:
        """The time by which it must have begun."""
        return None if self._begin_by is None else self._begins_after() + self._begin_by

    def wait_until_moment(self, moment: int, delay: int | None = None) -> None:
        """Have the job begin at `moment`. The time by which it must have begun stays.

        `delay`: how long that is from now, if the duration counts (see `kept_delay`).
        """
        deadline = self.deadline_moment()
        moment = min(moment, zc.async_.clock.LATEST)
        self.kept_begin_after = moment
        if delay != self.kept_delay:
            self.kept_delay = delay
        if deadline is not None:
            self._begin_by = max(0, deadline - moment)

    def position_key(self) -> SortKey:
        """The place of the job among those that wait."""
        arrival = self.arrival_key or self.entry_key
        rank = _PUT_BACK_RANK if self.was_put_back else -self._priority
        effective = max(arrival, self.kept_begin_after or 0)
        if self.kept_delay is not None and self.kept_begin_after is not None:
            # The arrival may be from before the clock was set back.
            effective = self.kept_begin_after
        return sort_key(rank, effective, arrival, self.entry_key, self._p_oid or b"")

    def place_key(self) -> bytes | None:
        """The job's place in the order, for its entry; None if that is the place of its put."""
        waits_since = self.arrival_key or self.entry_key
        if (
            self.was_put_back
            or self._priority
            or waits_since != self.entry_key
            or self.kept_delay is not None
            or (self.kept_begin_after or 0) > waits_since
        ):
            return place_of(self.position_key())
        return None

    def group_key(self) -> GroupKey:
        """The group of jobs that the same conditions hold back."""
        quota_names = tuple(sorted(set(self.kept_quota_names)))
        # Whoever works for the queue sees to what is of the system.
        needs = () if self.is_of_system else self.kept_needs
        if self.is_coroutine:
            needs = (COROUTINE, *needs)
        return GroupKey(self.is_of_system, quota_names, (), needs)


def as_quota_names(value: Any) -> tuple[str, ...]:
    """Names of quotas as a tuple. TypeError for a single string, whose letters would be names."""
    if isinstance(value, str):
        raise TypeError(
            f"quota_names is a sequence of names, not the string {show(value)}: put it into a list"
        )
    return tuple(value)


def check_quota_names(queue: Any, names: tuple[str, ...]) -> None:
    """Raise ValueError for a name of which the queue has no quota.

    Clients know the text of the error. Its cause says what to do, and tracebacks show both.
    """
    for name in names:
        if name not in queue.quotas:
            short = isinstance(name, str) and len(name) <= MAX_LENGTH
            raise ValueError(
                "unknown quota name", name if short else show(name)
            ) from _no_such_quota(queue, name)


def _no_such_quota(queue: Any, name: Any) -> LookupError:
    known = [show(known) for known in itertools.islice(queue.quotas, SHOWN_QUOTAS + 1)]
    if len(known) > SHOWN_QUOTAS:
        known[-1] = "..."
    return LookupError(
        f"the queue {show(queue.name)} has no quota {show(name)}: make it, by "
        f"queue.quotas.create({show(name)}), or correct the name; there "
        + (f"is {', '.join(known)}" if known else "is none yet")
    )
