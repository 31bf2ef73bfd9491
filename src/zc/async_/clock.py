"""The only source of time: the present, and a count that nobody sets.

All code in this package that needs the present asks here, so that tests can replace it (see
`zc.async_.testing`). Dates, such as when a job is due or when it ended, use the wall clock.
Administrators and NTP set it back and forth, and it differs between machines. Intervals within a
process use `monotonic`.

Any thread may ask; a source may be replaced only while no dispatcher runs.
"""

import datetime
import time
from collections.abc import Callable

UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
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
    """Use `source()` for the microseconds since 1970 (UTC); None restores the system's clocks.

    `monotonic()` replaces the source of this module's `monotonic`; by default it is `source`.
    """
    global _source, _monotonic_source
    _source = _system_microseconds if source is None else source
    _monotonic_source = monotonic or (_system_monotonic if source is None else source)


def monotonic() -> int:
    """Microseconds since some moment; only differences have a meaning.

    Goes on even if the clock is set. Do not store it: in another process it means nothing.
    """
    return _monotonic_source()


def microseconds() -> int:
    """The present, in microseconds since 1970 (UTC)."""
    return _source()


def now() -> datetime.datetime:
    """The present, an aware datetime in UTC."""
    return to_datetime(_source())


def naive_now() -> datetime.datetime:
    """The present in UTC, without a time zone, as in all reports."""
    return _NAIVE_EPOCH + _MICROSECOND * _source()


def to_datetime(microseconds: int) -> datetime.datetime:
    """The aware datetime in UTC for microseconds since 1970."""
    return _EPOCH + _MICROSECOND * microseconds


def to_microseconds(moment: datetime.datetime) -> int:
    """Microseconds since 1970 for a datetime; a naive one is in UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def in_a_while(interval: int) -> int:
    """The time (microseconds) after an interval. ValueError if no datetime can hold it."""
    moment = microseconds() + interval
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(f"{to_days(interval)} days from now are beyond what a datetime can tell")
    return moment


def to_days(interval: int) -> int:
    """The whole days of an interval in microseconds."""
    return interval // (24 * 60 * 60 * 1_000_000)


#: The last moment (microseconds since the epoch) that a datetime can hold.
LATEST = to_microseconds(datetime.datetime.max.replace(tzinfo=UTC))
#: The first such moment.
EARLIEST = to_microseconds(datetime.datetime.min.replace(tzinfo=UTC))


def interval_microseconds(interval: datetime.timedelta) -> int:
    """A timedelta in whole microseconds."""
    return interval // _MICROSECOND
