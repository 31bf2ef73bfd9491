"""The one source of time: of the present, and of a count that nobody sets.

Everything in this package that needs the present asks here, so that tests can replace it (see
`zc.async_.testing`). Dates - when a job is due, when it ended - are by the wall clock, which
administrators and NTP set back and forth, and which differs from machine to machine. Intervals
within a process are counted by `monotonic`.

Any thread may ask; a source is replaced while no dispatcher runs.
"""

import datetime
import time
from collections.abc import Callable

UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def _system_microseconds() -> int:
    return time.time_ns() // 1000


def _system_monotonic() -> int:
    return time.monotonic_ns() // 1000


_source: Callable[[], int] = _system_microseconds
_monotonic_source: Callable[[], int] = _system_monotonic


def replace_source(
    source: Callable[[], int] | None, monotonic: Callable[[], int] | None = None
) -> None:
    """Have `source()` tell the microseconds since 1970 (UTC); None restores the system's clocks.

    `monotonic()` tells what `monotonic` of this module does; by default it goes with `source`.
    """
    global _source, _monotonic_source
    _source = _system_microseconds if source is None else source
    _monotonic_source = monotonic or (_system_monotonic if source is None else source)


def monotonic() -> int:
    """Microseconds since some moment, of which only differences mean something.

    Goes on whatever becomes of the clock. Not to be stored: in another process it means nothing.
    """
    return _monotonic_source()


def microseconds() -> int:
    """The present, in microseconds since 1970 (UTC)."""
    return _source()


def now() -> datetime.datetime:
    """The present, an aware datetime in UTC."""
    return to_datetime(_source())


def to_datetime(microseconds: int) -> datetime.datetime:
    """The aware datetime in UTC for microseconds since 1970."""
    return _EPOCH + _MICROSECOND * microseconds


def to_microseconds(moment: datetime.datetime) -> int:
    """Microseconds since 1970 for a datetime; a naive one is in UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def in_a_while(interval: int) -> int:
    """The time (microseconds) after an interval. ValueError if no datetime can tell it."""
    moment = microseconds() + interval
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(f"{to_days(interval)} days from now are beyond what a datetime can tell")
    return moment


def to_days(interval: int) -> int:
    """The whole days of an interval in microseconds."""
    return interval // (24 * 60 * 60 * 1_000_000)


#: The last moment (microseconds since the epoch) that a datetime can tell.
LATEST = to_microseconds(datetime.datetime.max.replace(tzinfo=UTC))
#: The first one.
EARLIEST = to_microseconds(datetime.datetime.min.replace(tzinfo=UTC))


def interval_microseconds(interval: datetime.timedelta) -> int:
    """A timedelta in whole microseconds."""
    return interval // _MICROSECOND
