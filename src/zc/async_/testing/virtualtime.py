"""The present, pinned: for the library's clocks, and for what applications ask of `datetime`.

`set_now` pins the library's clock (`zc.async_.clock`), and sets it, as an administrator sets a wall
clock: intervals go on as if nothing had happened. `let_pass` has time pass for all clocks.
`setUpDatetime` besides replaces `datetime.datetime` by a class whose `now` is the pinned time, for
code of applications. That class has no instances: all it makes are plain datetimes, so nothing of
it gets into a database.
"""

import copyreg
import datetime
from typing import Any

import zc.async_.clock

#: When time is pinned, unless a test says otherwise.
BEGINNING = datetime.datetime(2006, 8, 10, 15, 44, 22, 211, tzinfo=datetime.UTC)

_plain = datetime.datetime

#: Microseconds since 1970, None if time is not pinned. Written by the thread of the test, as what
#: follows.
_pinned: int | None = None

#: What `zc.async_.clock.monotonic` tells while time is pinned.
_monotonic = 0

#: How far the wall clock was set forward while time was pinned (microseconds, all in all).
_set_forward = 0


class _Kind(type):
    """Makes plain datetimes, and subclasses of their class, count as of the pinned class."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, _plain) if cls is _Pinned else super().__instancecheck__(instance)
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return (
            issubclass(subclass, _plain) if cls is _Pinned else super().__subclasscheck__(subclass)
        )


class _Pinned(_plain, metaclass=_Kind):
    """Stands for `datetime.datetime`; outlives the pinning where somebody imported it."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is _Pinned:
            return _plain(*args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """As `datetime.datetime.now`."""
        # A float holds microseconds exactly until the year 2100 and beyond.
        return cls.fromtimestamp(zc.async_.clock.microseconds() / 1_000_000, tz)

    @classmethod
    def utcnow(cls) -> Any:
        """As `datetime.datetime.utcnow`."""
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        """As `datetime.datetime.today`."""
        return cls.now()


# Pickles name the class; while it stands for the plain one they find it under that name.
_Pinned.__module__ = _plain.__module__
_Pinned.__name__ = _Pinned.__qualname__ = _plain.__name__


def _reduce(value: datetime.datetime) -> Any:
    """What a plain datetime pickles as: what it always does, by the class that has the name now."""
    # A pickler refuses a class that is not what its name leads to. Protocol 4 tells `fold`, too.
    return datetime.datetime, value.__reduce_ex__(4)[1]


def set_now(moment: datetime.datetime) -> None:
    """Pin the present, or set the clock if it is pinned. A naive `moment` is in UTC.

    Intervals do not notice. But calls of a `Reactor` that are due by then are made, late, when time
    is next let pass; if the clock is set back they come as if it had not been. For the thread of
    the test.
    """
    global _pinned, _monotonic, _set_forward
    microseconds = zc.async_.clock.to_microseconds(moment)
    if _pinned is None:
        _monotonic = zc.async_.clock.monotonic()
    else:
        _set_forward += max(0, microseconds - _pinned)
    _pinned = microseconds
    zc.async_.clock.replace_source(_read, _read_monotonic)


def let_pass(microseconds: int) -> None:
    """Have time pass. It must be pinned. For the thread of the test."""
    global _pinned, _monotonic
    _monotonic += microseconds
    _pinned = _read() + microseconds


def count() -> int:
    """Microseconds as a `Reactor` counts them: passed, or skipped as the clock was set forward.

    It goes on whether time is pinned or not.
    """
    return zc.async_.clock.monotonic() + _set_forward


def is_pinned() -> bool:
    """Whether time is pinned."""
    return _pinned is not None


def _read() -> int:
    assert _pinned is not None, "time is not pinned"
    return _pinned


def _read_monotonic() -> int:
    return _monotonic


def setUpDatetime() -> None:
    """Pin time at `BEGINNING`, unless it is pinned, and have `datetime.datetime` tell it.

    To be undone with `tearDownDatetime`. For the thread of the test.
    """
    if not is_pinned():
        set_now(BEGINNING)
    datetime.datetime = _Pinned  # type: ignore[misc]
    copyreg.pickle(_plain, _reduce)


def tearDownDatetime() -> None:
    """Let time be what it is, for the library and for applications. May be called in any case."""
    global _pinned
    zc.async_.clock.replace_source(None)
    _pinned = None
    datetime.datetime = _plain  # type: ignore[misc]
    copyreg.dispatch_table.pop(_plain, None)
