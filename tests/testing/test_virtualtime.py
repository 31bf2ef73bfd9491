"""Pinned time, as the library and as applications see it."""

import copy
import datetime
import io
import pickle

import pytest
import pytz
import transaction
import zodbpickle.slowpickle

import zc.async_.clock
from zc.async_.testing import BEGINNING, set_now, setUpDatetime, tearDownDatetime

PLAIN = datetime.datetime
UTC = datetime.UTC


@pytest.fixture
def pinned():
    """Time is pinned at the beginning."""
    setUpDatetime()
    yield
    tearDownDatetime()


def test_the_library_and_applications_see_the_pinned_time(pinned):
    assert BEGINNING.isoformat() == "2006-08-10T15:44:22.000211+00:00"
    assert zc.async_.clock.now() == BEGINNING
    assert datetime.datetime.now(UTC) == BEGINNING


def test_time_can_be_set(pinned):
    set_now(PLAIN(2010, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert zc.async_.clock.now() == PLAIN(2010, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert datetime.datetime.now(UTC) == zc.async_.clock.now()


def test_a_naive_time_is_in_utc(pinned):
    set_now(PLAIN(2010, 1, 2))
    assert zc.async_.clock.now() == PLAIN(2010, 1, 2, tzinfo=UTC)


def test_time_that_is_pinned_already_is_left():
    set_now(PLAIN(2010, 1, 2, tzinfo=UTC))
    setUpDatetime()
    assert datetime.datetime.now(UTC) == PLAIN(2010, 1, 2, tzinfo=UTC)


def test_without_the_patch_only_the_library_sees_the_set_time():
    before = PLAIN.now(UTC)
    set_now(PLAIN(2010, 1, 2, tzinfo=UTC))
    assert zc.async_.clock.now() == PLAIN(2010, 1, 2, tzinfo=UTC)
    assert datetime.datetime is PLAIN
    assert datetime.datetime.now(UTC) >= before


def test_afterwards_all_is_as_before():
    setUpDatetime()
    kept = datetime.datetime
    tearDownDatetime()
    assert datetime.datetime is PLAIN
    assert zc.async_.clock.now() >= PLAIN(2020, 1, 1, tzinfo=UTC)
    # Somebody may have imported the class while it was patched.
    assert kept.now(UTC) >= PLAIN(2020, 1, 1, tzinfo=UTC)
    assert pickle.loads(pickle.dumps(kept.now(UTC))).tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(PLAIN(1970, 1, 1, tzinfo=UTC), id="the epoch"),
        pytest.param(PLAIN(2006, 8, 10, 15, 44, 22, 211, tzinfo=UTC), id="the beginning"),
        pytest.param(PLAIN(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), id="far in the future"),
    ],
)
def test_now_is_exact_to_the_microsecond(pinned, moment):
    set_now(moment)
    assert datetime.datetime.now(UTC) == moment


def test_now_takes_its_time_zone_by_position_and_by_keyword(pinned):
    assert repr(datetime.datetime.now(pytz.UTC).tzinfo) == "<UTC>"
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert datetime.datetime.now(tz=zone) == BEGINNING
    assert datetime.datetime.now(tz=zone).hour == 17


def test_now_without_a_time_zone_is_local_time(pinned):
    assert datetime.datetime.now() == BEGINNING.astimezone().replace(tzinfo=None)  # noqa: DTZ005
    assert datetime.datetime.today() == datetime.datetime.now()  # noqa: DTZ002, DTZ005
    assert datetime.datetime.now().tzinfo is None  # noqa: DTZ005


def test_utcnow_is_naive_and_in_utc(pinned):
    assert datetime.datetime.utcnow() == BEGINNING.replace(tzinfo=None)  # noqa: DTZ003


def test_astimezone_takes_its_argument_by_keyword(pinned):
    zone = datetime.timezone(datetime.timedelta(hours=-7))
    assert datetime.datetime.now(UTC).astimezone(tz=zone).hour == 8
    assert datetime.datetime.now(UTC).astimezone() == BEGINNING


def test_everything_else_makes_plain_datetimes(pinned):
    made = [
        datetime.datetime(2010, 1, 2, 3, 4, tzinfo=UTC),
        datetime.datetime(year=2010, month=1, day=2),
        datetime.datetime.fromtimestamp(0, UTC),
        datetime.datetime.fromisoformat("2010-01-02T03:04:05"),
        datetime.datetime.strptime("2010", "%Y"),  # noqa: DTZ007
        datetime.datetime.combine(datetime.date(2010, 1, 2), datetime.time(3)),
        datetime.datetime.now(UTC),
        datetime.datetime.now(UTC) + datetime.timedelta(1),
        datetime.datetime.min,  # noqa: DTZ901
    ]
    assert {type(value) for value in made} == {PLAIN}


def test_instances_count_both_ways(pinned):
    assert datetime.datetime is not PLAIN
    assert isinstance(PLAIN(2010, 1, 2), datetime.datetime)
    assert isinstance(datetime.datetime.now(UTC), PLAIN)
    assert not isinstance(datetime.date(2010, 1, 2), datetime.datetime)
    assert issubclass(PLAIN, datetime.datetime)
    assert issubclass(datetime.datetime, PLAIN)
    assert issubclass(datetime.datetime, datetime.date)
    assert not issubclass(datetime.date, datetime.datetime)


def test_a_subclass_made_meanwhile_tells_the_pinned_time_and_is_its_own(pinned):
    class Special(datetime.datetime):
        """A datetime of an application."""

    assert type(Special.now(UTC)) is Special
    assert Special.now(UTC) == BEGINNING
    assert not isinstance(PLAIN(2010, 1, 2), Special)
    assert not issubclass(PLAIN, Special)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(PLAIN(2010, 1, 2, 3, 4, 5, 6), id="naive"),
        pytest.param(PLAIN(2010, 1, 2, 3, tzinfo=UTC), id="with a time zone"),
        pytest.param(PLAIN(2010, 10, 31, 2, 30, fold=1), id="the second of two"),
    ],
)
def test_what_is_pickled_meanwhile_is_a_plain_datetime_afterwards(protocol, moment):
    setUpDatetime()
    pickled = pickle.dumps(moment, protocol)
    loaded_meanwhile = pickle.loads(pickled)
    tearDownDatetime()
    loaded = pickle.loads(pickled)
    assert loaded == loaded_meanwhile == moment
    assert type(loaded) is type(loaded_meanwhile) is PLAIN
    assert loaded.fold == moment.fold


def test_what_was_pickled_before_loads_meanwhile(pinned):
    tearDownDatetime()
    pickled = pickle.dumps([PLAIN, BEGINNING])
    setUpDatetime()
    kind, moment = pickle.loads(pickled)
    assert kind is datetime.datetime
    assert moment == BEGINNING


def test_the_picklers_of_zodb_agree(pinned):
    file = io.BytesIO()
    zodbpickle.slowpickle.Pickler(file, 3).dump(BEGINNING)
    assert pickle.loads(file.getvalue()) == BEGINNING


def test_a_datetime_stored_meanwhile_is_a_plain_one_afterwards(db, pinned):
    connection = db.open()
    connection.root()["moment"] = datetime.datetime.now(UTC)
    transaction.commit()
    tearDownDatetime()
    connection.cacheMinimize()
    assert connection.root()["moment"] == BEGINNING
    assert type(connection.root()["moment"]) is PLAIN
    connection.close()


def test_copies_are_plain_datetimes(pinned):
    for copied in (copy.copy(BEGINNING), copy.deepcopy(BEGINNING)):
        assert copied == BEGINNING
        assert type(copied) is PLAIN
