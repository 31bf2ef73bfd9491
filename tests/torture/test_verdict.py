"""What is wrong is found, and told; nothing ends in a traceback."""

import collections
import contextlib
import random
import types

import pytest
import ZEO.ClientStorage
import ZEO.Exceptions
from ZODB.POSException import ConflictError
from ZODB.utils import z64

import zc.async_.configure
import zc.async_.testing
import zc.twist
from benchmarks.workers import wait_until
from tests.processes import write_line
from tests.torture import kinds, places, report, run, verdict, work
from tests.torture.faults import Fault
from tests.torture.processes import PATIENCE
from tests.torture.proxy import Proxy
from tests.torture.watching import Watcher
from tests.zeoservers import server
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING
from zc.async_.job import Job
from zc.async_.job.proxies import CallbackProxy


def test_jobs_of_all_kinds_that_ended_well_are_in_order(torn):
    assert torn.problems(range(len(kinds.KINDS))) == []
    counts = verdict.counts(torn.connection)
    assert {kind: counter["completed"] for kind, counter in counts.items()} == dict.fromkeys(
        kinds.KINDS, 1
    )
    assert [kind for kind, counter in counts.items() if counter["ended badly"]] == ["raising"]


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (kind, entry)
        for kind, entries in {
            "plain": [0],
            "delayed": [0],
            "never again": [0],
            "followed": [0, 1, 3],
            "raising": [2, 3],
            "serial": [0, 1, 3],
            "parallel": [0, 1, 3],
            "limited": [0],
            "returning": [0, 1],
            "conflicting": [0],
            "committing": [0, 1],
            "waiting": [0, 1],
        }.items()
        for entry in entries
    ],
)
def test_what_had_no_effect_is_lost(torn, kind, entry):
    torn.record(kind).entries[entry].count -= 1
    assert (kind, "lost") in torn.problems()


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        *((kind, 0) for kind in kinds.KINDS if kind != "committing"),
        ("followed", 2),
        ("raising", 1),
        ("serial", 3),
        ("returning", 1),
        ("committing", 1),
        ("waiting", 1),
    ],
)
def test_what_took_effect_twice_is_doubled(torn, kind, entry):
    torn.record(kind).entries[entry].count += 1
    assert (kind, "doubled") in torn.problems()


def test_what_begins_twice_is_doubled_if_it_must_not(torn):
    for kind in ("plain", "never again"):
        write_line(torn.effects, torn.record(kind).number)
    assert torn.problems() == [("never again", "doubled")]


def test_what_was_put_and_is_not_there_is_lost(torn):
    assert torn.problems([0, 1000]) == [("", "lost")]


def test_a_job_that_runs_where_it_must_not_tells_it(torn, monkeypatch):
    number, job = torn.record("plain").number, torn.record("plain").job
    steady = types.SimpleNamespace(UUID=places.UUIDS["worker-3"], labels=("steady",))
    monkeypatch.setattr(zc.async_.local, "dispatcher", steady)
    monkeypatch.setattr(zc.async_.local, "job", job)
    for needs in ((), ("steady",), (str(steady.UUID),)):
        job.kept_needs = needs
        work.note_place(str(torn.effects), number)
    assert torn.problems() == []
    job.kept_needs = ("mortal", "steady")
    work.note_place(str(torn.effects), number)
    ((kind, fault),) = verdict.judge(torn.connection, torn.effects, set())
    assert (kind, fault.problem) == ("", "wrong place")
    assert fault.text == f"job {number} ran in worker {steady.UUID}, which has not mortal"


def test_some_jobs_and_some_parts_need_what_some_workers_have(torn):
    place = kinds.Place(str(torn.effects), None, random.Random(2))
    jobs = [job for number in range(100) for job in kinds.make("parallel", place, number).jobs()]
    assert {job.needs for job in jobs} == {(), *places.NEEDS}
    served = [{*labels, str(places.UUIDS[name])} for name, labels in places.LABELS.items()]
    assert all(any(labels.issuperset(needs) for labels in served) for needs in places.NEEDS)
    assert {*run.WORKERS, *run.STEADY_WORKERS, run.CREW} == set(places.LABELS)


def test_what_has_not_ended_is_stuck_and_told_in_full(torn, tmp_path):
    job = torn.record("plain").job
    job._set_status(ACTIVE)
    assert torn.problems() == [("plain", "stuck")]
    log = tmp_path / "worker-1.1.log"
    oid = int.from_bytes(job._p_oid)
    log.write_text(f"2026-01-01 00:00:00,000 ERROR zc.async.events gave up (oid {oid})\nmore\n")
    faults = list(verdict.judge(torn.connection, torn.effects, set()))
    text = report.details(tmp_path, faults)
    assert "tests.torture.work.count" in text
    assert "active-status" in text
    assert "gave up" in text
    assert "more" not in text


def test_the_many_faults_of_one_kind_hide_no_other(tmp_path):
    many = [("", Fault("stuck", f"the job {number}")) for number in range(100)]
    text = report.details(tmp_path, [*many, ("", Fault("unexplained", "why"))])
    assert text.startswith("unexplained: why\n\nstuck: the job 0\n")
    assert text.endswith("\n\n... and 95 more: stuck")


def test_what_nobody_has_done_yet_is_stuck(torn):
    torn.put()
    problems = set(torn.problems())
    assert {(kind, "stuck") for kind in kinds.KINDS} <= problems
    assert ("", "stuck") in problems
    assert verdict.unfinished(torn.connection)


def test_a_job_that_fails_for_no_good_reason_is_found(torn):
    record = torn.record("plain")
    record.job._result = zc.twist.Failure(ZeroDivisionError())
    record.entries[0].count = 0
    assert torn.problems() == [("plain", "failed")]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("plain", OSError(28, "No space")),
        ("never again", ConflictError(serials=(z64, z64))),
        ("never again", ValueError("A different object already has the same oid")),
    ],
)
def test_a_job_may_fail_if_its_storage_is_full_or_gives_oids_twice(torn, kind, error):
    record = torn.record(kind)
    record.job._result = zc.twist.Failure(error)
    record.entries[0].count = 0
    assert torn.problems() == []


def test_the_watcher_finds_more_jobs_than_places_whatever_the_quota_says(torn):
    watcher = Watcher(None)
    torn.put()
    watcher.look(torn.connection)
    assert watcher.faults == []
    for record in torn.records.values():
        record.job.quota_names = ("one",) if record.job.status == PENDING else ()
    watcher = Watcher(None)
    for record in torn.records.values():
        record.job._set_status(ACTIVE)
    watcher.look(torn.connection)
    assert [fault.problem for fault in watcher.faults] == ["over quota"]
    # What has ended is not looked at again.
    for record in torn.records.values():
        record.job._set_status(COMPLETED)
    watcher.look(torn.connection)
    assert watcher._open == {}


@pytest.mark.parametrize("wrong", [{"places": 9}, {"has_place": False}])
def test_a_job_that_saw_its_quota_overfilled_tells(torn, wrong):
    vars(torn.record("limited").entries[0]).update(wrong)
    assert torn.problems() == [("limited", "over quota")]


def test_a_shared_counter_tells_what_was_lost(torn):
    torn.connection.root()[work.ROOT]["shared"].count = 0
    assert torn.problems() == [("conflicting", "lost")]


def test_the_table_has_a_line_for_each_kind_and_for_what_is_of_none():
    counts = {"plain": collections.Counter(put=2, completed=1)}
    faults = [("plain", Fault("stuck", "")), ("", Fault("broken", ""))]
    lines = [line.split() for line in report.table(counts, faults).splitlines()]
    assert lines[1] == ["plain", "2", "1", "0", ".", ".", "1", *"......"]
    assert lines[2][:3] == ["(no", "single", "job)"]
    assert lines[2][-1] == "1"
    assert lines[3] == ["all", "2", "1", "0", ".", ".", "1", *".....", "1"]


def test_a_record_whose_job_is_something_else_is_a_fault_that_names_it(torn):
    record = torn.record("plain")
    record.job = record.entries[0]
    faults = list(verdict.judge(torn.connection, torn.effects, set()))
    # Its entry is led to twice, besides.
    problems = [(kind, fault.problem) for kind, fault in faults]
    assert problems == [("plain", "broken"), ("", "wrong reference")]
    assert "tests.processes.Entry" in faults[0][1].text
    assert verdict.unfinished(torn.connection) == []
    assert verdict.counts(torn.connection)["raising"]["completed"] == 1


def test_two_records_that_lead_to_one_job_are_a_wrong_reference(torn):
    torn.record("plain").job = torn.record("delayed").job
    assert ("", "wrong reference") in torn.problems()


def test_a_job_that_is_not_in_the_database_is_a_fault(torn):
    record = torn.record("plain")
    missing = Job.__new__(Job)
    torn.connection._cache.new_ghost(b"\0\0\0\0\1\0\0\0", missing)
    missing._p_jar = torn.connection
    record.job = missing
    faults = list(verdict.judge(torn.connection, torn.effects, set()))
    assert [(kind, fault.problem) for kind, fault in faults] == [("plain", "broken")]
    assert "POSKeyError" in faults[0][1].text
    assert verdict.unfinished(torn.connection) == []
    assert verdict.counts(torn.connection)["raising"]["completed"] == 1


def test_a_callback_that_is_something_else_is_a_fault(torn):
    record = torn.record("followed")
    proxy = next(one for one in record.job.callbacks if isinstance(one, CallbackProxy))
    proxy.job = record.entries[0]
    faults = list(verdict.judge(torn.connection, torn.effects, set()))
    assert [(kind, fault.problem) for kind, fault in faults] == [("followed", "broken")]
    assert "a callback of" in faults[0][1].text


@pytest.mark.slow
def test_references_on_a_server_that_is_away_are_a_fault_and_no_traceback(tmp_path):
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(server(tmp_path))
        proxy = stack.enter_context(Proxy(running.address).running())
        storage = stack.enter_context(closing_client(proxy.address))
        assert verdict.judge_storage(storage, PATIENCE) == []
        proxy.close()
        wait_until(lambda: not storage.is_connected(), PATIENCE)
        # What was loaded before is not asked for again.
        storage._cache.clear()
        (fault,) = verdict.judge_storage(storage, 0)
        assert fault.problem == "broken"
        assert "ClientDisconnected" in fault.text
        proxy.open()
        assert verdict.judge_storage(storage, PATIENCE) == []


@contextlib.contextmanager
def closing_client(address):
    """A client's storage that gives up a server after a second."""
    storage = ZEO.ClientStorage.ClientStorage(address, wait_timeout=1)
    with contextlib.closing(storage):
        yield storage
