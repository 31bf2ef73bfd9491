"""Whether a dispatcher lives, as a process sees it."""

import datetime

import pytest

import zc.async_.clock
from zc.async_.process import observing
from zc.async_.process.observing import Observation, Sight
from zc.async_.testing import BEGINNING, set_now, virtualtime

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")

SECOND = 1_000_000
INTERVAL = 60 * SECOND

#: Serials, the older one first.
OLD, NEW = b"\0" * 7 + b"\1", b"\0" * 7 + b"\2"


@pytest.fixture
def observation():
    return Observation()


def look(observation, count, every=5, serial=OLD, said=BEGINNING):
    """Look so often, before each time some seconds pass; return the differences that were told."""
    told = []
    for _look in range(count):
        virtualtime.let_pass(every * SECOND)
        told.append(observation.look(Sight(serial, said), INTERVAL, 5 * SECOND))
    return [difference for difference in told if difference is not None]


def test_a_ping_that_was_seen_unchanged_for_the_interval_is_of_a_dead_dispatcher(observation):
    look(observation, 13)
    assert not observation.is_silent(INTERVAL)
    look(observation, 1)
    assert observation.is_silent(INTERVAL)


def test_a_ping_however_old_its_date_says_nothing(observation):
    look(observation, 3, said=BEGINNING - datetime.timedelta(days=1))
    assert not observation.is_silent(INTERVAL)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_says_nothing(observation, hours):
    look(observation, 3)
    set_now(zc.async_.clock.now() + datetime.timedelta(hours=hours))
    look(observation, 3)
    assert not observation.is_silent(INTERVAL)
    look(observation, 10)
    assert observation.is_silent(INTERVAL)


def test_one_look_after_a_suspension_is_no_evidence(observation):
    look(observation, 12)
    virtualtime.let_pass(3600 * SECOND)
    look(observation, 10)
    assert not observation.is_silent(INTERVAL)
    look(observation, 10)
    assert observation.is_silent(INTERVAL)


def test_many_looks_in_a_moment_are_no_evidence(observation):
    for _look in range(100):
        observation.look(Sight(OLD, BEGINNING), SECOND, 0)
    virtualtime.let_pass(SECOND + 1)
    observation.look(Sight(OLD, BEGINNING), SECOND, 5 * SECOND)
    assert not observation.is_silent(SECOND)


def test_who_was_out_of_touch_begins_anew(observation):
    look(observation, 12)
    observation.begin_anew()
    look(observation, 12)
    assert not observation.is_silent(INTERVAL)


def test_a_ping_that_changes_is_of_a_living_dispatcher(observation):
    look(observation, 12)
    look(observation, 12, serial=NEW)
    assert not observation.is_silent(INTERVAL)


def test_a_connection_that_lags_behind_shows_no_change(observation):
    look(observation, 12, serial=NEW)
    look(observation, 1, serial=OLD)
    look(observation, 2, serial=NEW)
    assert observation.is_silent(INTERVAL)


def test_who_was_found_dead_stays_so_though_nobody_looks_for_long(observation):
    look(observation, 14)
    assert observation.is_silent(INTERVAL)
    virtualtime.let_pass(3600 * SECOND)
    look(observation, 1)
    assert observation.is_silent(INTERVAL)
    look(observation, 1, serial=NEW)
    assert not observation.is_silent(INTERVAL)


@pytest.mark.parametrize("fast", [-90, 90])
def test_clocks_that_differ_are_told_of_once(observation, fast):
    look(observation, 2)
    told = []
    for number in range(2, 6):
        said = zc.async_.clock.now() + datetime.timedelta(seconds=fast)
        told += look(observation, 1, serial=bytes([number]) * 8, said=said)
    assert len(told) == 1
    assert abs(told[0] - fast) <= 5


@pytest.mark.parametrize("fast", [-9, 0, 9])
def test_clocks_that_hardly_differ_are_not_told_of(observation, fast):
    look(observation, 2)
    said = zc.async_.clock.now() + datetime.timedelta(seconds=fast)
    assert look(observation, 1, serial=NEW, said=said) == []


def test_what_is_not_stored_yet_is_observed_too(queue, uuid_1):
    queue.dispatchers.register(uuid_1)
    agents = queue.dispatchers[uuid_1]
    agents.activate()
    assert observing.since_own_ping(agents) == 0
    assert not agents.dead
