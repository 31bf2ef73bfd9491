"""The one source of time."""

import datetime
import time

import pytest
import pytz

from zc.async_ import clock as clock_module

UTC = datetime.UTC


def test_by_default_it_tells_the_time_of_the_system():
    before = time.time_ns() // 1000
    now = clock_module.microseconds()
    assert before <= now <= time.time_ns() // 1000


def test_now_is_aware_and_in_utc(clock):
    assert clock_module.now() == datetime.datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert clock_module.now().utcoffset() == datetime.timedelta()


def test_a_replaced_source_is_asked_each_time(clock):
    clock.advance(seconds=3)
    assert clock_module.now() == datetime.datetime(2030, 1, 1, 12, 0, 3, tzinfo=UTC)


def test_none_restores_the_time_of_the_system(clock):
    clock_module.replace_source(None)
    assert clock_module.microseconds() != clock.time


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime.datetime(2030, 1, 1, 12, 0, 0, 7), id="naive is in UTC"),
        pytest.param(datetime.datetime(2030, 1, 1, 12, 0, 0, 7, tzinfo=UTC), id="UTC"),
        pytest.param(datetime.datetime(2030, 1, 1, 12, 0, 0, 7, tzinfo=pytz.UTC), id="pytz"),
        pytest.param(
            datetime.datetime(
                2030, 1, 1, 17, 30, 0, 7, datetime.timezone(datetime.timedelta(hours=5, minutes=30))
            ),
            id="another zone",
        ),
    ],
)
def test_moments_keep_every_microsecond(moment):
    there = clock_module.to_microseconds(moment)
    assert clock_module.to_datetime(there) == datetime.datetime(2030, 1, 1, 12, 0, 0, 7, tzinfo=UTC)


def test_moments_before_1970_are_moments_too():
    moment = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert clock_module.to_microseconds(moment) == -1
    assert clock_module.to_datetime(-1) == moment


def test_intervals_are_whole_microseconds():
    interval = datetime.timedelta(days=40_000, microseconds=1)
    assert clock_module.interval_microseconds(interval) == 40_000 * 86_400 * 1_000_000 + 1
    assert clock_module.interval_microseconds(-interval) == -40_000 * 86_400 * 1_000_000 - 1
