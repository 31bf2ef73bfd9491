"""Errors are in order only where something explains them."""

import pytest
from ZODB.POSException import ConflictError

from tests.torture import breaking, explaining, logs, stalls
from tests.torture.stalls import StallWatch


def disk_full(began, ended):
    return explaining.Outage("disk full", "server", began, ended)


def test_an_error_that_nothing_explains_is_a_fault():
    error = explaining.met("putter", AttributeError("no attribute 'first'"), 100.0)
    faults = list(explaining.unexplained([error, error], [disk_full(90, 110)]))
    assert [fault.problem for fault in faults] == ["unexplained"]
    assert "2 times" in faults[0].text


def fail():
    raise TypeError("not callable")


def test_what_nothing_explains_is_told_with_its_traceback(tmp_path):
    try:
        fail()
    except TypeError as error:
        met = explaining.met("putter", error, 100.0)
    (fault,) = explaining.unexplained([met], [])
    assert "in fail\n" in fault.text
    (tmp_path / "worker-1.1.log").write_text(
        "2026-01-01 00:00:00,500 ERROR asyncio MainThread Exception in callback\n"
        'Traceback (most recent call last):\n  File "x.py", line 1, in fail\nTypeError: no\n'
    )
    (fault,) = explaining.unexplained(logs.logged(tmp_path), [])
    assert "line 1, in fail\n" in fault.text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("AttributeError", "'Lane' object has no attribute 'newest'"),
        ("ValueError", "A different object already has the same oid"),
    ],
)
def test_no_breakage_explains_what_an_oid_given_twice_leads_to(error, text):
    kinds_of_breakages = (*breaking.SERVER_BREAKAGES, *breaking.CONNECTION_BREAKAGES)
    outages = [explaining.Outage(kind, "server", 90, 110) for kind in kinds_of_breakages]
    poll = "poll of queue '' failed; it is tried again"
    for whose, message in (("putter", ""), ("zc.async.events", poll)):
        met = explaining.Met(whose, message, error, text, 100.0)
        assert len(list(explaining.unexplained([met], outages))) == 1


@pytest.mark.parametrize(("when", "faults"), [(95.0, 0), (112.0, 0), (80.0, 1), (130.0, 1)])
def test_a_full_disk_explains_errors_of_its_time_alone(when, faults):
    error = explaining.met("putter", OSError(27, "File too large"), when)
    assert len(list(explaining.unexplained([error], [disk_full(90, 110)]))) == faults
    assert len(list(explaining.unexplained([error], []))) == 1


def met_by(target, message, error="", text="", logger="zc.async.events"):
    return explaining.Met(logger, message, error, text, 100.0, target=target)


def is_explained(met, *outages):
    """Outages are those of the time, by kind and target."""
    found = [explaining.Outage(kind, target, 90, 101) for kind, target in outages]
    return not list(explaining.unexplained([met], found))


def test_what_was_broken_elsewhere_explains_no_lost_connection():
    loading = "Couldn't load state for x.Y 0x01"
    met = met_by("worker-1", loading, "ZEO.Exceptions.ClientDisconnected", "", "ZODB.Connection")
    assert not is_explained(met, ("cut", "worker-2"), ("cut", "clients"))
    assert is_explained(met, ("cut", "worker-1"))
    assert is_explained(met, ("kill server", "server"))


def test_whoever_was_killed_explains_that_a_sibling_buries_him():
    met = met_by("worker-1", "dispatcher 1-2 is dead; its jobs are handed back")
    assert not is_explained(met)
    assert is_explained(met, ("kill for long", "worker-2"))


def test_while_the_disk_is_full_no_worker_can_leave_its_queue():
    leaving = "could not deactivate; a sibling, or the next start, will clean up"
    refused = "ZEO.Exceptions.ServerException", "('builtins.OSError', (27, 'File too large'))"
    assert not is_explained(met_by("worker-1", leaving, *refused))
    assert is_explained(met_by("worker-1", leaving, *refused), ("disk full", "server"))


def test_only_who_is_told_to_end_while_the_server_is_away_may_not_stop():
    met = met_by("worker-1", "dispatcher 1-2 did not stop; a sibling will clean up after it")
    assert not is_explained(met, ("terminate", "worker-1"), ("cut", "worker-2"))
    assert not is_explained(met, ("kill server", "server"), ("terminate", "worker-2"))
    assert is_explained(met, ("kill server", "server"), ("terminate", "worker-1"))


def test_a_conflict_of_a_putter_is_explained_by_a_server_that_was_away_alone():
    met = explaining.met("putter", ConflictError(), 100.0)
    assert not is_explained(met, ("kill", "worker-1"), ("disk full", "server"))
    assert is_explained(met, ("cut", "clients"))


def test_what_a_worker_logged_as_an_error_is_read_with_its_exception(tmp_path):
    (tmp_path / "worker-1.1.log").write_text(
        "2026-01-01 00:00:00,500 CRITICAL zc.async.events zc.async dispatcher 1-2 poll of queue '' "
        "failed; it is tried again\nTraceback (most recent call last):\n  File\n"
        "AttributeError: no such thing\n2026-01-01 00:00:01,000 INFO zc.async.events MainThread x\n"
    )
    (met,) = logs.logged(tmp_path)
    assert met.message == "poll of queue '' failed; it is tried again"
    assert (met.error, met.text) == ("AttributeError", "no such thing")
    assert len(list(explaining.unexplained([met], [disk_full(0, met.when)]))) == 1


def test_a_machine_that_stands_still_explains_that_a_worker_is_silent(tmp_path):
    outages = []
    watch = StallWatch(tmp_path, outages)
    watch.note(90.0, 90.0 + stalls.LONGEST)
    dead = "dispatcher 1 is dead; its jobs are handed back"
    assert len(list(explaining.unexplained([met_by("worker-1", dead)], outages))) == 1
    watch.note(98.0, 99.0)
    assert list(explaining.unexplained([met_by("worker-1", dead)], outages)) == []


def test_the_first_start_of_a_worker_explains_for_some_time_that_it_is_silent():
    started = breaking.Outage(breaking.START, "worker-1", 60.0, 85.0)
    dead = "dispatcher 1 was taken for dead, and is not: its process was paused"
    assert list(explaining.unexplained([met_by("worker-1", dead)], [started])) == []
    earlier = started._replace(ended=75.0)
    assert len(list(explaining.unexplained([met_by("worker-1", dead)], [earlier]))) == 1
    of_another = started._replace(target="worker-2")
    assert len(list(explaining.unexplained([met_by("worker-1", dead)], [of_another]))) == 1


def test_starts_of_supervised_workers_are_read_from_the_log_of_their_supervisor(tmp_path):
    (tmp_path / "workers.1.log").write_text(
        "2026-11-27 22:00:00,000 INFO supervisor[7] zc.async.worker: worker 1 is process 77\n"
        "2026-11-27 22:00:00,500 INFO supervisor[7] zc.async.worker: worker 2 is process 78\n"
        "2026-11-27 22:00:08,250 INFO supervisor[7] zc.async.worker: worker 2 is up\n"
        "2026-11-27 22:00:09,000 ERROR worker-2[78] zc.async.events: dispatcher 5 was taken for "
        "dead, and is not: its process was paused\n"
        "2026-11-27 22:00:10,000 INFO supervisor[7] zc.async.worker: worker 2 is up\n"
    )
    (start,) = logs.starts(tmp_path, "workers")
    assert (start.kind, start.target) == (breaking.START, "workers")
    assert start.ended - start.began == 7.75
    errors = list(logs.logged(tmp_path))
    assert len(errors) == 1
    assert list(explaining.unexplained(errors, [start])) == []
    assert len(list(explaining.unexplained(errors, []))) == 1


def test_stalls_are_looked_for_until_nobody_wants_it_any_more(tmp_path):
    watch = StallWatch(tmp_path, [])
    watch.start()
    watch.stop()
    assert (tmp_path / "alive").read_bytes()


def test_a_future_that_nobody_asked_is_explained_by_a_lost_connection(tmp_path):
    (tmp_path / "worker-1.1.log").write_text(
        "2026-11-26 21:23:32,322 ERROR asyncio ('127.0.0.1', 1) zeo client networking thread "
        "Future exception was never retrieved\n"
        "future: <ZEO.asyncio.futures.Future object at 0x7f500a603a10>\n"
        "ZEO.Exceptions.ClientDisconnected: Connection lost\n"
    )
    (met,) = logs.logged(tmp_path)
    cut = explaining.Outage("cut", "worker-1", met.when - 1, met.when - 1)
    assert list(explaining.unexplained([met], [cut])) == []
    assert len(list(explaining.unexplained([met], []))) == 1


def test_what_psycopg2_prints_is_no_part_of_what_was_logged(tmp_path):
    (tmp_path / "worker-1.1.log").write_text(
        "2026-11-27 22:00:05,195 ERROR ZODB.Connection MainThread Couldn't load state for Ping\n"
        "Traceback (most recent call last):\n  File\n"
        "zc.async_.relstorage.driver.LostError: server closed the connection\n"
        "psycopg2.errors.AdminShutdown: terminating connection\n\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "SystemError: <function decode at 0x7f58> returned a result with an exception set\n"
    )
    (met,) = logs.logged(tmp_path)
    assert met.error == "zc.async_.relstorage.driver.LostError"
    assert "SystemError" not in met.traceback


def test_what_a_supervised_worker_logs_is_read_too(tmp_path):
    (tmp_path / "workers.2.log").write_text(
        "2026-11-27 22:00:05,195 ERROR worker-1[77] zc.async.events: dispatcher 5 is dead; its "
        "jobs are handed back\n"
    )
    (met,) = logs.logged(tmp_path)
    assert (met.target, met.whose) == ("workers", "zc.async.events")
    assert met.message == "dispatcher 5 is dead; its jobs are handed back"
