"""Pins the present, for the library's clocks and for applications that use `datetime`.

`set_now` pins and sets the library's clock (`zc.async_.clock`), as an administrator sets a wall
clock: intervals are not affected. `let_pass` lets time pass for all clocks. `setUpDatetime` also
replaces `datetime.datetime`, for the code of applications, by a class whose `now` is the pinned
time. That class has no instances: it makes plain datetimes, so none of it gets into a database.
"""

import copyreg
import datetime
from typing import Any

import zc.async_.clock

#: The time that is pinned, unless a test sets another.
BEGINNING = datetime.datetime(2006, 8, 10, 15, 44, 22, 211, tzinfo=datetime.UTC)

_plain = datetime.datetime

#: Microseconds since 1970, None if time is not pinned. The thread of the test writes this and the
#: following variables.
_pinned: int | None = None

#: The value of `zc.async_.clock.monotonic` while time is pinned.
_monotonic = 0

#: How far the wall clock was set forward while time was pinned (microseconds in all).
_set_forward = 0


class _Kind(type):
    """Makes plain datetimes, and subclasses of their class, count as those of the pinned class."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, _plain) if cls is _Pinned else super().__instancecheck__(instance)
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return (
            issubclass(subclass, _plain) if cls is _Pinned else super().__subclasscheck__(subclass)
        )


class _Pinned(_plain, metaclass=_Kind):
    """Replaces `datetime.datetime`; stays in use after the pinning in code that imported it."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is _Pinned:
            return _plain(*args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """Like `datetime.datetime.now`."""
        # A float holds microseconds exactly until the year 2100 and beyond.
        return cls.fromtimestamp(zc.async_.clock.microseconds() / 1_000_000, tz)

    @classmethod
    def utcnow(cls) -> Any:
        """Like `datetime.datetime.utcnow`."""
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        """Like `datetime.datetime.today`."""
        return cls.now()


# Pickles name the class. While it replaces the plain one, they find it under that name.
_Pinned.__module__ = _plain.__module__
_Pinned.__name__ = _Pinned.__qualname__ = _plain.__name__


def _reduce(value: datetime.datetime) -> Any:
    """The usual pickled form of a plain datetime, with the class that has the name now."""
    # A pickler refuses a class that is not found under its name. Protocol 4 includes `fold`.
    return datetime.datetime, value.__reduce_ex__(4)[1]


def set_now(moment: datetime.datetime) -> None:
    """Pin the present, or set the clock if it is pinned. A naive `moment` is in UTC.

    Intervals are not affected. But calls of a `Reactor` that are due by then are made late, when
    the test next lets time pass. If the clock is set back, they come as if it had not been. For the
    thread of the test.
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
    """Let time pass. It must be pinned. For the thread of the test."""
    global _pinned, _monotonic
    _monotonic += microseconds
    _pinned = _read() + microseconds


def count() -> int:
    """The time of a `Reactor` in microseconds: time that passed, or that the clock was set forward.

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
    """Pin time at `BEGINNING`, unless it is pinned, and make `datetime.datetime` return it.

    `tearDownDatetime` undoes this. For the thread of the test.
    """
    if not is_pinned():
        set_now(BEGINNING)
    datetime.datetime = _Pinned  # type: ignore[misc]
    copyreg.pickle(_plain, _reduce)


def tearDownDatetime() -> None:
    """Unpin time, for the library and for applications. May be called at any time."""
    global _pinned
    zc.async_.clock.replace_source(None)
    _pinned = None
    datetime.datetime = _plain  # type: ignore[misc]
    copyreg.dispatch_table.pop(_plain, None)
