"""Dates without a time zone, and waits that are given as intervals."""

import datetime
import time
import warnings

import pytest

from tests.unit import calls
from zc.async_.dates import NaiveDateWarning

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def zone(monkeypatch):
    """Sets the local time zone."""

    def zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield zone
    monkeypatch.undo()
    time.tzset()


def test_begin_after_takes_a_timedelta_from_now_on(client, clock):
    job = client.put(calls.nothing, HOUR)
    assert job.begin_after == clock.now + HOUR
    client.commit()
    job.begin_after = 2 * HOUR
    assert job.begin_after == clock.now + 2 * HOUR


def test_a_timedelta_beyond_all_dates_is_an_error(client):
    for interval in (datetime.timedelta.max, datetime.timedelta.min):
        with pytest.raises((ValueError, OverflowError)):
            client.put(calls.nothing, interval)


def test_a_naive_date_is_taken_as_utc_and_warns_where_local_time_is_another(client, zone):
    zone("America/New_York")
    with pytest.warns(NaiveDateWarning, match="no time zone, and is taken as UTC") as told:
        job = client.put(calls.nothing, datetime.datetime(2030, 1, 1))
    assert job.begin_after == datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    assert len(told) == 1


def test_the_warning_names_the_line_that_gave_the_date(queue, zone):
    zone("America/New_York")
    with pytest.warns(NaiveDateWarning) as told:
        queue.put(calls.nothing, datetime.datetime(2030, 1, 1))
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("UTC", datetime.datetime(2030, 1, 1)),
        ("America/New_York", datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)),
    ],
)
def test_other_dates_do_not_warn(client, zone, name, date):
    zone(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.put(calls.nothing, date)
