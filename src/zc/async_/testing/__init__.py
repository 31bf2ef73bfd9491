"""Tools for tests of code that uses zc.async: a reactor to control, pinned time, waiting.

The functions that wait also work with a real reactor.
"""

from zc.async_.testing.logs import print_logs
from zc.async_.testing.reactor import Reactor
from zc.async_.testing.teardown import TearDownDispatcherError, tear_down_dispatcher
from zc.async_.testing.virtualtime import BEGINNING, set_now, setUpDatetime, tearDownDatetime
from zc.async_.testing.waiting import (
    get_poll,
    time_sleep,
    wait_for_annotation,
    wait_for_deactivation,
    wait_for_death,
    wait_for_result,
    wait_for_start,
    wait_until,
)

__all__ = [
    "BEGINNING",
    "Reactor",
    "TearDownDispatcherError",
    "get_poll",
    "print_logs",
    "setUpDatetime",
    "set_now",
    "tearDownDatetime",
    "tear_down_dispatcher",
    "time_sleep",
    "wait_for_annotation",
    "wait_for_deactivation",
    "wait_for_death",
    "wait_for_result",
    "wait_for_start",
    "wait_until",
]
