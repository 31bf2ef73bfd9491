"""Nothing is lost or done twice, whatever breaks; and the torture would notice."""

import collections
import contextlib
import datetime
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import pytest
import ZEO.ClientStorage
import ZEO.Exceptions
from ZODB.POSException import ConflictError
from ZODB.utils import z64

import zc.async_.configure
import zc.async_.testing
import zc.twist
from benchmarks.storages import server
from benchmarks.workers import wait_until
from tests.processes import queue_of, write_line
from tests.races.parties import Dispatcher, make_queue
from tests.torture import breaking, explaining, kinds, places, report, run, stalls, verdict, work
from tests.torture.faults import Fault
from tests.torture.processes import PATIENCE, Settings, StorageServer, Worker
from tests.torture.proxy import Proxy
from tests.torture.putting import prepare
from tests.torture.run import options
from tests.torture.stalls import StallWatch
from tests.torture.watching import Watcher
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING
from zc.async_.job import Job
from zc.async_.job.proxies import CallbackProxy

ROOT = Path(__file__).resolve().parents[2]


def torture(tmp_path, *arguments):
    """Run the command; the logs of one that fails are kept with those of the test."""
    return subprocess.run(
        [sys.executable, "-m", "tests.torture", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
def test_jobs_take_effect_once_whatever_breaks(tmp_path):
    finished = torture(tmp_path, "--seconds", "10", "--seed", "1", "--kills", "10")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "seed 1" in finished.stdout
    assert "\nbroken 0" not in finished.stdout
    assert list(tmp_path.glob("zc.async-torture-*")) == []


@pytest.mark.slow
def test_jobs_take_effect_once_whatever_breaks_for_long(tmp_path):
    finished = torture(tmp_path, "--seconds", "60")
    assert finished.returncode == 0, finished.stdout + finished.stderr


# -- that what is wrong is found


@pytest.fixture
def torn(db, tmp_path, monkeypatch):
    """A database with a record of each kind, whose jobs have ended well, as `Torn`."""
    monkeypatch.setattr(work, "USUAL", 0)
    monkeypatch.setattr(work, "LONG", 0)
    zc.async_.configure.base()
    zc.async_.testing.set_now(zc.async_.testing.BEGINNING)
    make_queue(db)
    with contextlib.closing(Torn(db, tmp_path / "effects")) as torn:
        torn.put()
        torn.work()
        yield torn


class Torn:
    """What is judged, and somebody who does the jobs."""

    def __init__(self, database, effects):
        self.effects = effects
        self.dispatcher = Dispatcher(database)
        self.manager = self.dispatcher.manager
        self.connection = self.dispatcher.connection
        prepare(self.connection, 1)
        agent = self.dispatcher.queue.dispatchers[self.dispatcher.uuid]["main"]
        agent.labels = {label for needs in places.NEEDS for label in needs}
        self.manager.commit()
        self.records = self.connection.root()[work.ROOT]["records"][0]

    def put(self):
        shared = self.connection.root()[work.ROOT]["shared"]
        place = kinds.Place(str(self.effects), shared, random.Random(1))
        for number, kind in enumerate(kinds.KINDS):
            record = self.records[number] = kinds.make(kind, place, number)
            queue_of(self.connection).put(record.job)
        self.manager.commit()

    def work(self):
        later = zc.async_.testing.BEGINNING + datetime.timedelta(seconds=10)
        self.dispatcher.work()
        zc.async_.testing.set_now(later)
        self.dispatcher.work()
        self.manager.begin()

    def record(self, kind):
        return next(record for record in self.records.values() if record.kind == kind)

    def problems(self, acknowledged=()):
        found = verdict.judge(self.connection, self.effects, set(acknowledged))
        return [(kind, fault.problem) for kind, fault in found]

    def close(self):
        self.dispatcher.close()


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
    assert {*run.WORKERS, *run.STEADY_WORKERS} == set(places.LABELS)


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


# -- that it breaks what it says


def test_a_plan_follows_from_its_seed_and_breaks_nothing_twice_at_a_time():
    plan = breaking.plan(1, 120, 60, ["a", "b"], ["c"])
    assert plan == breaking.plan(1, 120, 60, ["a", "b"], ["c"])
    assert plan != breaking.plan(2, 120, 60, ["a", "b"], ["c"])
    assert len(plan) >= 50
    assert {one.kind for one in plan if one.target == "c"} <= set(breaking.CONNECTION_BREAKAGES)
    free_at = {}
    for one in plan:
        assert one.at >= free_at.get(one.target, 0)
        free_at[one.target] = one.at + one.seconds


def test_a_plan_leaves_out_what_it_is_told_to():
    without = set(breaking.CONNECTION_BREAKAGES) | set(breaking.SERVER_BREAKAGES)
    assert {one.target for one in breaking.plan(1, 60, 40, ["a"], ["c"], without)} == {"a"}
    assert breaking.plan(1, 60, 40, [], ["c"], without) == []


def test_the_command_line_says_how_much_is_wanted():
    assert options(["--seconds", "10", "--seed", "3"])[:4] == (10, 3, 400, 8)
    wanted = options(["--jobs", "7", "--kills", "2", "--without", "cut, kill"])
    assert (wanted.jobs, wanted.kills, wanted.without) == (7, 2, ("cut", "kill"))


@pytest.fixture
def echo():
    """The address of a server that sends back what it gets, and what it got."""
    got = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            while chunk := connection.recv(100):
                got.append(chunk)
                connection.sendall(chunk)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname(), got
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo):
    with Proxy(echo[0]).running() as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with socket.create_connection(proxy.address, PATIENCE) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        yield client


def is_cut(client):
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_cut_ends_connections_and_new_ones_are_accepted(proxy, client):
    proxy.cut()
    assert is_cut(client)
    with socket.create_connection(proxy.address, PATIENCE) as other:
        other.sendall(b"again")
        assert other.recv(100) == b"again"


def test_a_closed_proxy_refuses_connections_until_it_is_opened(proxy, client):
    proxy.close()
    assert is_cut(client)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy.address, PATIENCE)
    proxy.open()
    socket.create_connection(proxy.address, PATIENCE).close()


def test_replies_are_held_from_a_request_on_that_is_heard(proxy, client, echo):
    proxy.hold_replies_from(b"finish")
    client.sendall(b"begin")
    assert client.recv(100) == b"begin"
    assert not proxy.sprung.is_set()
    client.sendall(b"finish")
    assert proxy.sprung.wait(PATIENCE)
    wait_until(lambda: echo[1][-1] == b"finish", PATIENCE)
    proxy.cut()
    assert is_cut(client)


def test_what_was_held_passes_when_the_proxy_is_opened(proxy, client, echo):
    proxy.hold()
    client.sendall(b"late")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(100)
    client.settimeout(PATIENCE)
    proxy.open()
    assert client.recv(100) == b"late"


# -- the report


def test_the_table_has_a_line_for_each_kind_and_for_what_is_of_none():
    counts = {"plain": collections.Counter(put=2, completed=1)}
    faults = [("plain", Fault("stuck", "")), ("", Fault("broken", ""))]
    lines = [line.split() for line in report.table(counts, faults).splitlines()]
    assert lines[1] == ["plain", "2", "1", "0", ".", ".", "1", *"......"]
    assert lines[2][:3] == ["(no", "single", "job)"]
    assert lines[2][-1] == "1"
    assert lines[3] == ["all", "2", "1", "0", ".", ".", "1", *".....", "1"]


# -- that what is spoilt is told, and nothing ends in a traceback


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
def test_what_does_not_end_is_a_fault_and_gives_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # No time is given to end.
    monkeypatch.setattr(run, "LONGEST_DRAIN", 0)
    assert run.main(["--seconds", "1", "--seed", "1", "--kills", "0"]) == 1
    told = capsys.readouterr().out
    assert "\nNOT ENDED after" in told
    assert "NOT ENDED: jobs were left in the end" in told


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
    (fault,) = explaining.unexplained(explaining.logged(tmp_path), [])
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
    (met,) = explaining.logged(tmp_path)
    assert met.message == "poll of queue '' failed; it is tried again"
    assert (met.error, met.text) == ("AttributeError", "no such thing")
    assert len(list(explaining.unexplained([met], [disk_full(0, met.when)]))) == 1


def test_a_server_is_restarted_gently_and_often():
    plan = breaking.plan(78, 200, 160, ["a", "b"], ["c"])
    kinds_of_server = collections.Counter(one.kind for one in plan if one.target == "server")
    assert kinds_of_server["restart server"] >= 5
    assert kinds_of_server["kill server"] >= 5


@pytest.mark.slow
def test_a_full_disk_refuses_no_commit_that_was_voted_for(tmp_path):
    """Otherwise FileStorage closes, and nothing goes on before the server is started again."""
    running = SlowlyFilled(tmp_path)
    running.start()
    with contextlib.ExitStack() as stack:
        stack.callback(running.leave)
        database = stack.enter_context(running.database())
        with database.transaction() as connection:
            # The limit is that of the server's log, too, which tells of each refusal.
            connection.root()["text"] = "x" * 10_000_000
        commits = CommitsUntilTold(database)
        commits.start()
        try:
            for _filling in range(20):
                running.fill_disk()
                running.clear_disk()
                done = commits.done
                wait_until(lambda done=done: commits.done > done, PATIENCE)
        finally:
            commits.stop()
        with database.transaction() as connection:
            connection.root()["text"] = "there is room again"
    log = (tmp_path / "server.1.log").read_text()
    assert "Failure in _finish" not in log


class SlowlyFilled(StorageServer):
    """There is time for commits between the look at the file and the limit."""

    def _limit(self, process, size):
        time.sleep(0.05)
        super()._limit(process, size)


class CommitsUntilTold(threading.Thread):
    """Commits something large, again and again, also if that is refused."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self._database = database
        self._ending = threading.Event()
        self.done = 0

    def run(self):
        while not self._ending.is_set():
            with contextlib.suppress(ZEO.Exceptions.ServerException):
                with self._database.transaction() as connection:
                    connection.root()["text"] = "x" * 100_000
                self.done += 1

    def stop(self):
        self._ending.set()
        self.join()


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


def test_stalls_are_looked_for_until_nobody_wants_it_any_more(tmp_path):
    watch = StallWatch(tmp_path, [])
    watch.start()
    watch.stop()
    assert (tmp_path / "alive").read_bytes()


def test_of_a_worker_that_ended_by_itself_its_last_lines_are_told(tmp_path):
    worker = Worker("worker-1", tmp_path, "zeo:127.0.0.1:1", Settings(1, "no number", 1))
    worker.start()
    wait_until(lambda: worker.ended is not None, 30, 0.05)
    told = worker.how_it_ended()
    worker.kill()
    assert told.startswith("worker-1 ended by itself with 1:\n")
    assert "could not convert string to float: 'no number'" in told


def test_a_future_that_nobody_asked_is_explained_by_a_lost_connection(tmp_path):
    (tmp_path / "worker-1.1.log").write_text(
        "2026-11-26 21:23:32,322 ERROR asyncio ('127.0.0.1', 1) zeo client networking thread "
        "Future exception was never retrieved\n"
        "future: <ZEO.asyncio.futures.Future object at 0x7f500a603a10>\n"
        "ZEO.Exceptions.ClientDisconnected: Connection lost\n"
    )
    (met,) = explaining.logged(tmp_path)
    cut = explaining.Outage("cut", "worker-1", met.when - 1, met.when - 1)
    assert list(explaining.unexplained([met], [cut])) == []
    assert len(list(explaining.unexplained([met], []))) == 1
