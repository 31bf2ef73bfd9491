"""The one source of time.

Everything in this package that needs the present asks here, so that tests can replace it (see
`zc.async_.testing`). Any thread may ask; a source is replaced while no dispatcher runs.
"""

import datetime
import time
from collections.abc import Callable

UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def _system_microseconds() -> int:
    return time.time_ns() // 1000


_source: Callable[[], int] = _system_microseconds


def replace_source(source: Callable[[], int] | None) -> None:
    """Have `source()` tell the microseconds since 1970 (UTC); None restores the system's time."""
    global _source
    _source = _system_microseconds if source is None else source


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


#: The last moment (microseconds since the epoch) that a datetime can tell.
LATEST = to_microseconds(datetime.datetime.max.replace(tzinfo=UTC))


def interval_microseconds(interval: datetime.timedelta) -> int:
    """A timedelta in whole microseconds."""
    return interval // _MICROSECOND
