"""Workers on a ZEO server, as in production."""

import contextlib
import itertools
import os
import re
import signal
import time

import pytest
import ZEO.ClientStorage
import ZODB

from benchmarks import storages
from benchmarks.children import child, said
from benchmarks.storages import SERVER
from tests.processes import Entry, lines
from tests.races.parties import Client
from tests.worker import supervisors
from tests.worker.supervisors import is_alive
from tests.zeoservers import server
from zc.async_.interfaces import ACTIVE, COMPLETED, KEY, PENDING
from zc.async_.job import Job, RetryCommonForever

pytestmark = pytest.mark.slow


@pytest.fixture
def put(client):
    """Puts jobs, and commits."""

    def put(*jobs):
        made = [client.queue.put(job) for job in jobs]
        client.manager.commit()
        return made

    return put


@pytest.fixture
def note(entries, put, tmp_path):
    """Puts jobs that write down when they begin and end, each taking so many seconds."""

    def note(*seconds):
        found = entries(len(seconds))
        jobs = put(
            *[
                Job(supervisors.note, entry, tmp_path / "ledger", number, duration)
                for number, (entry, duration) in enumerate(zip(found, seconds, strict=True))
            ]
        )
        return found, jobs

    return note


@pytest.fixture
def ledger(tmp_path):
    """What jobs have written down: pairs of "start" or "end" and a number."""
    return lambda: [(word, int(number)) for word, number in lines(tmp_path / "ledger")]


@pytest.fixture
def begun(ledger, work):
    """Waits until jobs have begun."""

    def begun(supervisor, *numbers):
        supervisor.wait_until(lambda: {("start", number) for number in numbers} <= set(ledger()))

    return begun


def test_jobs_are_run_by_all_processes(work, put, wait_for, tmp_path, client):
    supervisor = work(
        *("--processes", "2", "--threads", "1", "--setup", "tests.worker.supervisors:write_down"),
        environment={"SETUP_LOG": str(tmp_path / "setup")},
    )
    # Each is set up once, before it has a dispatcher.
    pids = supervisor.pids()
    assert sorted(lines(tmp_path / "setup")) == sorted(
        [str(pid), str(number), "DB", "True"] for number, pid in pids.items()
    )
    jobs = put(*[Job(supervisors.burn, 0.2) for _ in range(20)])
    wait_for(*jobs)
    assert {job.result for job in jobs} == set(pids.values())
    assert {job.agent.parent.UUID for job in jobs} == set(supervisor.uuids().values())
    assert {job.agent.size for job in jobs} == {1}
    assert supervisor.end() == 0
    client.manager.begin()
    assert not any(agents.activated for agents in client.queue.dispatchers.values())
    assert "Traceback" not in supervisor.said()


def needing(*labels):
    job = Job(supervisors.burn, 0.01)
    job.needs = labels
    return job


def test_jobs_are_run_where_there_is_what_they_need(work, put, wait_for, client):
    supervisor = work("--processes", "2", "--threads", "1", "--labels", "gpu, eu")
    uuids = supervisor.uuids()
    (nowhere,) = put(needing("gpu", "us"))
    anywhere = put(*[needing("gpu", "eu") for _ in range(5)])
    there = put(*[needing(uuids[2], "gpu") for _ in range(20)])
    wait_for(*anywhere, *there)
    assert {job.agent.parent.UUID for job in there} == {uuids[2]}
    assert supervisor.end() == 0
    client.manager.begin()
    assert nowhere.status == PENDING


def test_a_process_that_is_killed_is_started_again_and_its_jobs_run_again(
    work, note, wait_for, see, begun, client, ledger
):
    supervisor = work("--processes", "2", "--threads", "2")
    uuids = supervisor.uuids()
    found, jobs = note(*[1.0] * 4)
    begun(supervisor, *range(4))
    pid = supervisor.pids()[1]
    os.kill(pid, signal.SIGKILL)
    wait_for(*jobs)
    assert [entry.count for entry in found] == [1] * 4
    supervisor.wait_for("worker 1 is up", 2)
    assert f"worker 1 (process {pid}) was ended by SIGKILL; it is started again" in (
        supervisor.said()
    )
    # Two of them were begun twice, and ended once.
    assert len([word for word, _number in ledger() if word == "start"]) == 6
    assert len([word for word, _number in ledger() if word == "end"]) == 4
    assert supervisor.uuids() == uuids
    assert supervisor.end() == 0
    client.manager.begin()
    assert set(client.queue.dispatchers) == set(uuids.values())


def test_jobs_that_end_their_processes_do_not_stop_the_others(work, put, wait_for):
    supervisor = work("--processes", "2", "--threads", "1")
    deadly = Job(supervisors.end_process, signal.SIGSEGV)
    # It is not given up however long the others take.
    deadly.retry_policy_factory = RetryCommonForever
    put(deadly)
    jobs = put(*[Job(supervisors.burn, 0.01) for _ in range(50)])
    wait_for(*jobs)
    supervisor.wait_for("was ended by SIGSEGV", 2)
    assert supervisor.end() == 0
    assert deadly.status != COMPLETED


def test_when_the_supervisor_is_killed_the_workers_end_their_jobs_and_themselves(
    work, note, wait_for, begun, client, ledger
):
    supervisor = work("--processes", "2", "--threads", "2")
    uuids = supervisor.uuids()
    found, jobs = note(*[3.0] * 4, *[0.0] * 4)
    begun(supervisor, *range(4))
    supervisor.process.kill()
    supervisor.process.wait()
    # The next one waits for them.
    successor = work("--processes", "2", "--threads", "2")
    assert "of an earlier supervisor, which has not ended yet" in successor.said()
    for pid in supervisor.pids().values():
        assert not is_alive(pid)
    wait_for(*jobs)
    # None was interrupted.
    assert sorted(ledger()) == sorted((word, n) for n in range(8) for word in ("start", "end"))
    assert [entry.count for entry in found] == [1] * 8
    assert {job.result for job in jobs[:4]} == set(supervisor.pids().values())
    assert {job.result for job in jobs[4:]} <= set(successor.pids().values())
    assert successor.uuids() == uuids
    assert successor.end() == 0


def test_a_termination_lets_jobs_end_and_begins_no_more(
    work, note, begun, client, ledger, wait_for
):
    supervisor = work("--processes", "2", "--threads", "2")
    found, jobs = note(*[2.0] * 4, *[0.0] * 10)
    begun(supervisor, *range(4))
    assert supervisor.end() == 0
    client.manager.begin()
    assert [job.status for job in jobs] == [COMPLETED] * 4 + [PENDING] * 10
    assert [entry.count for entry in found] == [1] * 4 + [0] * 10
    assert len(ledger()) == 8
    assert not any(agents.activated for agents in client.queue.dispatchers.values())


def test_after_the_grace_period_jobs_are_interrupted(work, note, begun, client):
    supervisor = work("--threads", "2", "--grace", "1")
    _found, jobs = note(600.0, 0.2)
    begun(supervisor, 0, 1)
    assert supervisor.end() == 0
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE, COMPLETED]
    # Whoever comes next asks its policy.
    assert [job.callable for job in client.queue] == [jobs[0].handleInterrupt]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_interrupts_at_once(work, note, begun, client, number):
    supervisor = work("--processes", "2", "--threads", "1", "--grace", "1h")
    _found, jobs = note(600.0, 600.0)
    begun(supervisor, 0, 1)
    supervisor.send(number)
    supervisor.wait_for("the workers are told to end")
    supervisor.send(number)
    assert supervisor.ended() == 0
    client.manager.begin()
    assert {job.callable for job in client.queue} == {job.handleInterrupt for job in jobs}
    assert not any(agents.activated for agents in client.queue.dispatchers.values())


def test_a_third_signal_kills(work, note, begun):
    supervisor = work("--threads", "1", "--grace", "1h")
    note(600.0)
    begun(supervisor, 0)
    (pid,) = supervisor.pids().values()
    # It does not hear of the second one.
    os.kill(pid, signal.SIGSTOP)
    for text in ("are told to end", "are interrupted", "are killed"):
        supervisor.send(signal.SIGTERM)
        supervisor.wait_for(text)
    assert supervisor.ended() == 1


def test_ctrl_c_reaches_the_supervisor_alone(work, note, begun, client):
    supervisor = work("--threads", "1")
    _found, jobs = note(1.0)
    begun(supervisor, 0)
    # As a terminal does.
    os.killpg(supervisor.process.pid, signal.SIGINT)
    assert supervisor.ended() == 0
    client.manager.begin()
    assert jobs[0].status == COMPLETED


def test_a_worker_that_is_told_itself_to_end_ends_its_jobs_and_is_replaced(
    work, note, begun, wait_for, ledger
):
    supervisor = work("--threads", "1")
    _found, jobs = note(1.0, 0.0)
    begun(supervisor, 0)
    before = supervisor.pids()[1]
    os.kill(before, signal.SIGTERM)
    wait_for(*jobs)
    assert len(ledger()) == 4
    assert [job.result for job in jobs] == [before, supervisor.pids()[1]]
    assert before != supervisor.pids()[1]
    # Who means the supervisor, and all that have a similar name, does no harm.
    os.kill(supervisor.pids()[1], signal.SIGHUP)
    (job,) = note(0.0)[1]
    wait_for(job)
    assert job.result == jobs[1].result
    assert supervisor.end() == 0


def test_a_rolling_restart_of_four_workers_under_2000_jobs(
    work, note, wait_for, client, ledger, tmp_path
):
    supervisor = work("--processes", "4", "--threads", "5", "--queues", "")
    uuids, pids = supervisor.uuids(), supervisor.pids()
    found, jobs = note(*[0.1] * 2000)
    supervisor.wait_until(lambda: len(ledger()) > 200)
    supervisor.send(signal.SIGHUP)
    supervisor.wait_until(lambda: all(len(supervisor.starts(n)) == 2 for n in range(1, 5)))
    supervisor.wait_for("worker 4 is up", 2)
    before = len([word for word, _number in ledger() if word == "end"])
    wait_for(*jobs)
    # It was over before the jobs were.
    assert before < 2000
    # None was interrupted: each began once, and ended once.
    assert sorted(ledger()) == sorted((word, n) for n in range(2000) for word in ("end", "start"))
    assert [entry.count for entry in found] == [1] * 2000
    assert all(not dict(job.getRetryPolicy().data) for job in jobs)
    # At any time three were at work, as the log tells: one ends, and its successor comes up.
    told = re.findall(r"worker (\d) is (replaced|process|up)", supervisor.said())
    assert told[8:] == [
        (str(n), word) for n in range(1, 5) for word in ("replaced", "process", "up")
    ]
    assert supervisor.uuids() == uuids
    assert not set(supervisor.pids().values()) & set(pids.values())
    assert {job.agent.parent.UUID for job in jobs} == set(uuids.values())
    # Nobody was late: there was always somebody who claimed.
    ends = sorted(job.active_end for job in jobs)
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(ends)]
    assert max(gaps) < 10
    assert supervisor.end() == 0
    assert "Traceback" not in supervisor.said()


def test_a_reload_reads_the_file_again(start, zeo, put, wait_for, tmp_path):
    config = tmp_path / "worker.toml"
    text = "db = 'zeo://{}:{}'\nstate = 'state'\n".format(*zeo.address)
    config.write_text(text + "threads = 2")
    supervisor = start("--config", config, state=None).wait_until_up()
    (job,) = put(Job(supervisors.name, "long"))
    wait_for(job)
    assert (job.result[1], job.agent.size) == ("main", 2)
    config.write_text(
        text
        + """\
        processes = 3
        [[agents]]
        name = "short"
        filter = "tests.worker.supervisors:is_short"
        size = 7
        """
    )
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("worker 3 is up")
    supervisor.wait_for("worker 1 is up", 2)
    (other,) = put(Job(supervisors.name, "long"))
    (job,) = put(Job(supervisors.name, "short"))
    wait_for(job)
    assert (job.result[1], job.agent.size) == ("short", 7)
    # The agent of the settings before takes no jobs any more.
    assert other.status == PENDING
    config.write_text(text)
    supervisor.send(signal.SIGHUP)
    wait_for(other)
    supervisor.wait_for("worker 2 has ended")
    supervisor.wait_for("worker 3 has ended")
    assert supervisor.end() == 0


def test_a_file_that_is_wrong_changes_nothing(start, zeo, tmp_path):
    config = tmp_path / "worker.toml"
    text = "db = 'zeo://{}:{}'\n".format(*zeo.address)
    config.write_text(text + "state = 'state'")
    supervisor = start("--config", config, state=None).wait_until_up()
    for wrong, message in (
        ("threads = 'many'", f"{config}: threads is 'many': give a number of jobs of at least 1"),
        ("threads =", f"{config} is no TOML: "),
        ("state = 'other'", f"the state folder is now {tmp_path}/other, and was {tmp_path}/state"),
    ):
        config.write_text(text + wrong)
        supervisor.send(signal.SIGHUP)
        supervisor.wait_for(f"the settings stay as they were: {message}")
    config.unlink()
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for(f"cannot read the file {config}: No such file or directory")
    assert len(supervisor.starts(1)) == 1
    assert supervisor.end() == 0
    assert "Traceback" not in supervisor.said()


def test_new_code_that_cannot_begin_leaves_the_others_at_work(work, put, wait_for, tmp_path):
    obstacle = tmp_path / "obstacle"
    supervisor = work(
        *("--processes", "2", "--setup", "tests.worker.supervisors:fail_if_told"),
        environment={"FAIL_IF": str(obstacle)},
    )
    pids = supervisor.pids()
    obstacle.touch()
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("worker 1 cannot begin: setup ")
    supervisor.wait_until(lambda: len(supervisor.starts(1)) >= 4)
    assert supervisor.said().count("ValueError: there is that file") == 1
    assert supervisor.pids()[2] == pids[2]
    (job,) = put(Job(supervisors.burn, 0))
    wait_for(job)
    assert job.result == pids[2]
    obstacle.unlink()
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("worker 2 is up", 2)
    assert supervisor.end() == 0
    assert "Traceback" not in supervisor.said()


def test_after_enough_jobs_a_worker_is_replaced_and_none_is_interrupted(
    work, note, wait_for, ledger
):
    supervisor = work("--processes", "2", "--threads", "2", "--max-jobs", "20")
    rounds = 0
    while supervisor.said().count("is replaced") < 4:
        assert rounds < 50, "too few are replaced"
        found, jobs = note(*[0.1] * 40)
        wait_for(*jobs)
        assert [entry.count for entry in found] == [1] * 40
        rounds += 1
    steps = [(word, number) for word in ("start", "end") for number in range(40)]
    assert sorted(ledger()) == sorted(steps * rounds)
    told = re.findall(r"worker (\d) is (replaced|up)", supervisor.said())
    # Never two at once.
    for first, second in zip(told[2::2], told[3::2], strict=False):
        assert (first[1], second[1]) == ("replaced", "up")
        assert first[0] == second[0]
    counts = [int(count) for count in re.findall(r"it has run (\d+)", supervisor.said())]
    assert len(counts) >= 4
    assert min(counts) >= 20
    assert supervisor.end() == 0


def test_a_worker_with_too_much_memory_is_replaced_when_its_jobs_have_ended(
    work, put, note, begun, wait_for
):
    supervisor = work("--threads", "3", "--max-memory", "200M", "--grace", "0")
    _found, (slow,) = note(4.0)
    begun(supervisor, 0)
    (job,) = put(Job(supervisors.hoard, 200))
    wait_for(job)
    supervisor.wait_for("MiB of memory")
    # Without a grace period: this is no stop.
    wait_for(slow)
    assert slow.result == job.result
    supervisor.wait_for("worker 1 is up", 2)
    (again,) = put(Job(supervisors.burn, 0))
    wait_for(again)
    assert again.result != job.result
    assert supervisor.end() == 0


def test_a_worker_that_hangs_is_killed_and_replaced(work, put, wait_for):
    supervisor = work("--processes", "2", "--hang-timeout", "4")
    pids = supervisor.pids()
    os.kill(pids[2], signal.SIGSTOP)
    supervisor.wait_for(f"worker 2 (process {pids[2]}) has given no sign of life for ")
    supervisor.wait_for("worker 2 is up", 2)
    assert supervisor.pids()[1] == pids[1]
    (job,) = put(Job(supervisors.burn, 0))
    wait_for(job)
    assert supervisor.end() == 0


def test_a_worker_whose_polls_hang_is_killed_and_replaced(work, put, wait_for, tmp_path):
    config = tmp_path / "worker.toml"
    config.write_text(
        "[[agents]]\nname = 'main'\nchooser = 'tests.worker.supervisors:choose_unless_told'"
    )
    obstacle = tmp_path / "obstacle"
    supervisor = work(
        *("--config", config, "--hang-timeout", "4", "--poll-interval", "0.5"),
        environment={"HANG_IF": str(obstacle)},
    )
    obstacle.touch()
    (job,) = put(Job(supervisors.burn, 0))
    supervisor.wait_for("has given no sign of life for ")
    wait_for(job)
    assert job.result == supervisor.pids()[1]
    assert len(supervisor.starts(1)) == 2
    assert supervisor.end() == 0


def test_a_worker_whose_dispatcher_ends_by_itself_is_replaced(work, put, wait_for, see):
    supervisor = work()
    put(Job(supervisors.close_database))
    supervisor.wait_for("worker 1 is up", 2)
    (job,) = put(Job(supervisors.burn, 0))
    wait_for(job)
    assert supervisor.end() == 0


def test_a_database_out_of_reach_at_the_start_is_waited_for(start, tmp_path):
    address = "127.0.0.1", storages.free_port()
    uri = "zeo://{}:{}?wait_timeout=1".format(*address)
    supervisor = start("--db", uri, "--processes", "2")
    supervisor.wait_for(f"the database {uri} is out of reach: ClientDisconnected: timed out")
    log = tmp_path / "zeo.log"
    with child([str(SERVER), "{}:{}".format(*address), str(tmp_path / "Data.fs")], log) as process:
        said(process, log)
        # Both make the root of the new database, and the queue.
        supervisor.wait_until_up()
        # By the other, too, if one is up before.
        assert supervisor.said().count("out of reach") <= 2
        assert supervisor.end() == 0
    assert "Traceback" not in supervisor.said()


def test_another_server_that_is_out_of_reach_at_the_start_is_waited_for(start, zeo, tmp_path):
    printer = tmp_path / "printer"
    supervisor = start(
        *("--db", "zeo://{}:{}".format(*zeo.address)),
        *("--setup", "tests.worker.supervisors:fail_without_printer"),
        environment={"PRINTER": str(printer)},
    )
    supervisor.wait_for(
        "worker 1 cannot begin yet: setup (tests.worker.supervisors:fail_without_printer) has "
        "raised ConnectionRefusedError: [Errno 111] Connection refused ("
    )
    supervisor.wait_until(lambda: len(supervisor.starts(1)) == 3)
    assert supervisor.said().count("Connection refused") == 1
    printer.touch()
    supervisor.wait_until_up()
    assert supervisor.end() == 0


def test_a_supervisor_can_be_ended_while_the_database_is_waited_for(start):
    uri = f"zeo://127.0.0.1:{storages.free_port()}"
    supervisor = start("--db", uri)
    supervisor.wait_for("worker 1 waits: for the database")
    started = time.monotonic()
    assert supervisor.end() == 0
    assert time.monotonic() - started < supervisors.PATIENCE / 2


def test_workers_that_wait_for_the_database_end_with_the_supervisor(start):
    uri = f"zeo://127.0.0.1:{storages.free_port()}"
    supervisor = start("--db", uri, "--processes", "2")
    supervisor.wait_for("waits: for the database")
    assert len(supervisor.pids()) == 2
    supervisor.process.kill()
    supervisor.process.wait()
    supervisor.wait_until_alone()


def test_a_second_supervisor_is_refused_the_folder(work, start, zeo):
    supervisor = work()
    second = start("--db", "zeo://{}:{}".format(*zeo.address))
    assert second.ended() == 1
    assert second.said() == (
        f"zc-async worker: the state folder {supervisor.state} is in use by another supervisor "
        f"(process {supervisor.process.pid}): end that, or name another folder with --state\n"
    )
    assert supervisor.end() == 0


def test_deferreds_of_the_installed_reactor_fire(work, put, wait_for):
    supervisor = work()
    (job,) = put(Job(supervisors.by_the_reactor))
    wait_for(job)
    assert job.result == supervisor.pids()[1]
    assert supervisor.end() == 0


def test_a_process_that_a_job_forks_ends_by_a_signal(work, put, wait_for):
    supervisor = work()
    (job,) = put(Job(supervisors.terminated_fork))
    wait_for(job)
    assert job.result == -signal.SIGTERM
    assert supervisor.end() == 0


def test_a_thread_of_the_application_does_not_keep_a_worker(work, put, wait_for):
    supervisor = work()
    (job,) = put(Job(supervisors.threads_that_stay))
    wait_for(job)
    assert supervisor.end() == 0


def test_the_queues_may_be_in_a_database_of_their_own(start, tmp_path, base):
    with contextlib.ExitStack() as stack:
        servers = []
        for name in ("main", "async"):
            (tmp_path / name).mkdir()
            servers.append(stack.enter_context(server(tmp_path / name)))
        uris = ["zeo://{}:{}".format(*one.address) for one in servers]
        databases = {}
        for name, one in zip(("unnamed", "async"), servers, strict=True):
            database = ZODB.DB(
                ZEO.ClientStorage.ClientStorage(one.address),
                databases=databases,
                database_name=name,
            )
            stack.callback(database.close)
            with database.transaction() as connection:
                del connection.root()[KEY]
        supervisor = start(
            *("--db", uris[0], "--db", f"{uris[1]}?database_name=async", "--queue-db", "async")
        ).wait_until_up()
        client = Client(databases["unnamed"])
        stack.callback(client.close)
        assert client.queue._p_jar.db().database_name == "async"
        entry = client.root["entry"] = Entry()
        client.manager.commit()
        job = client.put(Job(supervisors.note, entry, tmp_path / "ledger", 0))
        # Two servers finish a commit one after the other, and are looked at one after the other.
        supervisor.wait_until(
            lambda: client.manager.begin() and job.status == COMPLETED and entry.count
        )
        assert (job._p_jar.db().database_name, entry._p_jar) == ("async", client.connection)
        assert entry.count == 1
        assert supervisor.end() == 0


def test_the_queues_and_agents_are_those_of_the_settings(work, client, wait_for):
    supervisor = work("--queues", "mail,print", "--threads", "2")
    client.manager.begin()
    queues = client.root[KEY]
    assert sorted(queues) == ["", "mail", "print"]
    jobs = [queues[name].put(Job(supervisors.name)) for name in ("", "mail", "print")]
    client.manager.commit()
    wait_for(*jobs[1:])
    assert jobs[0].status == PENDING
    assert [job.agent.size for job in jobs[1:]] == [2, 2]
    assert supervisor.end() == 0
