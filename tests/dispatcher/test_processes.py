"""Worker processes on a ZEO server, as in production."""

import contextlib
import shutil
import signal
import threading
import uuid

import pytest
import transaction
import ZEO

import zc.async_.clock
from benchmarks import storages
from benchmarks.children import child, said
from benchmarks.storages import SERVER, Server, server
from benchmarks.workers import wait_until
from tests import processes, servers
from tests.dispatcher.polls import PollerByHand
from tests.processes import PATIENCE, Entry, lines, worker
from tests.races.parties import Client, make_queue
from zc.async_.agent import Agent
from zc.async_.dispatcher import wakeup
from zc.async_.interfaces import ACTIVE, PENDING
from zc.async_.job import Job, parallel
from zc.async_.relstorage import can_listen
from zc.async_.testing import BEGINNING, set_now

shared, database, see, wait_for = servers.shared, servers.database, servers.see, servers.wait_for


def add_entries(client, count):
    entries = client.root["entries"] = [Entry() for _ in range(count)]
    client.manager.commit()
    return entries


@pytest.mark.slow
def test_two_processes_run_each_job_once(shared, tmp_path, client, wait_for, see):
    ledger = tmp_path / "ledger"
    entries = add_entries(client, 200)
    with worker(shared, tmp_path, "one") as one, worker(shared, tmp_path, "two") as two:
        jobs = [
            client.queue.put(Job(processes.count, entry, ledger, number))
            for number, entry in enumerate(entries)
        ]
        client.manager.commit()
        wait_for(*jobs)
        assert len(client.queue) == 0
    # Whatever is left to do, nothing may be done twice.
    see(lambda: not any(agents.activated for agents in client.queue.dispatchers.values()))
    assert [entry.count for entry in entries] == [1] * 200
    assert sorted(int(number) for (number,) in lines(ledger)) == list(range(200))
    uuids = {job.agent.parent.UUID for job in jobs}
    assert uuids <= {one.uuid, two.uuid}
    # Each kept the books of what it did, and handed nothing back.
    histories = [list(client.queue.dispatchers[uuid]["main"].completed) for uuid in uuids]
    assert sum(map(len, histories)) == 200


@pytest.mark.slow
def test_what_follows_a_job_on_another_process_completes_it(shared, tmp_path, client, wait_for):
    """The parts of parallel jobs run in one process, all the rest in the other."""
    count = 9
    entries = add_entries(client, count)
    with (
        worker(shared, tmp_path, "parts", filter="is_part") as parts,
        worker(shared, tmp_path, "rest", filter="is_no_part") as rest,
    ):
        jobs = []
        for entry in entries:
            composed = parallel(processes.part, processes.part, postprocess=processes.collect)
            composed.addCallback(Job(processes.note_process, entry))
            jobs.append(client.queue.put(composed))
        client.manager.commit()
        wait_for(*jobs)
        assert [job.result for job in jobs] == [(rest.pid, [parts.pid] * 2)] * count
        # A callback that comes late is performed by either.
        late = [
            job.addCallback(Job(processes.note_process, entry))
            for job, entry in zip(jobs, entries, strict=True)
        ]
        client.manager.commit()
        wait_for(*late)
    assert [entry.count for entry in entries] == [2] * count
    assert {entry.process for entry in entries} <= {parts.pid, rest.pid}


@pytest.mark.slow
def test_a_quota_is_never_overfilled(shared, tmp_path, client, wait_for):
    ledger = tmp_path / "ledger"
    size = 2
    client.queue.quotas.create("few", size)
    client.manager.commit()
    with worker(shared, tmp_path, "one", size=4), worker(shared, tmp_path, "two", size=4):
        jobs = [client.queue.put(Job(processes.hold_place, ledger)) for _ in range(40)]
        for job in jobs:
            job.quota_names = ["few"]
        client.manager.commit()
        wait_for(*jobs)
    running = most = 0
    for (word,) in lines(ledger):
        running += 1 if word == "start" else -1
        most = max(most, running)
    assert len(lines(ledger)) == 80
    assert running == 0
    assert 1 <= most <= size


@pytest.mark.slow
def test_jobs_run_in_processes_that_have_what_they_need(shared, tmp_path, client, wait_for, see):
    path, end = tmp_path / "begun", tmp_path / "end"
    with (
        worker(shared, tmp_path, "gpu", labels=["eu", "gpu"]) as gpu,
        worker(shared, tmp_path, "eu", labels=["eu"]) as eu,
        worker(shared, tmp_path, "plain") as plain,
    ):
        wanted = {
            ("gpu",): {gpu.pid},
            ("eu", "gpu"): {gpu.pid},
            ("eu",): {gpu.pid, eu.pid},
            (str(plain.uuid),): {plain.pid},
            (): {gpu.pid, eu.pid, plain.pid},
        }
        jobs = [client.queue.put(processes.part, needs=needs) for needs in [*wanted] * 20]
        nowhere = client.queue.put(processes.part, needs=["us"])
        client.manager.commit()
        wait_for(*jobs)
        assert all(job.result in wanted[job.needs] for job in jobs)
        job = client.queue.put(Job(processes.note_and_wait, path, end), needs=["gpu"])
        client.manager.commit()
        wait_until(lambda: lines(path), PATIENCE)
        gpu.kill()
        see(lambda: job.status == PENDING)
        see(lambda: client.queue.unserved() == {("gpu",): 1, ("us",): 1})
    end.touch()
    with (
        worker(shared, tmp_path, "other gpu", labels=["gpu"]) as other_gpu,
        worker(shared, tmp_path, "other eu", labels=["eu"]),
    ):
        wait_for(job)
        assert job.result == other_gpu.pid
        see(lambda: client.queue.unserved() == {("us",): 1})
    assert nowhere.status == PENDING
    assert [int(pid) for (pid,) in lines(path)] == [gpu.pid, other_gpu.pid]


@pytest.mark.slow
def test_a_terminated_process_hands_back_its_work(shared, tmp_path, client, wait_for, see):
    path = tmp_path / "begun"
    with worker(shared, tmp_path, "one", size=1) as one:
        job = client.queue.put(Job(processes.wait_once, path))
        unstarted = client.queue.put(processes.part)
        client.manager.commit()
        wait_until(lambda: lines(path), PATIENCE)
        one.send_signal(signal.SIGTERM)
        assert one.wait(PATIENCE) == -signal.SIGTERM
        see(lambda: not client.queue.dispatchers[one.uuid].activated)
        assert job.status == ACTIVE
        assert unstarted.status == PENDING
        assert len(client.queue.dispatchers[one.uuid]["main"]) == 0
    with worker(shared, tmp_path, "two") as two:
        wait_for(job, unstarted)
        assert (job.result, unstarted.result) == (two.pid, two.pid)
    assert [int(pid) for (pid,) in lines(path)] == [one.pid, two.pid]
    assert job.getRetryPolicy().data["interruptions"] == 1
    assert one.log.read_text() == ""


@pytest.mark.slow
def test_a_rolling_restart_loses_nothing_and_interrupts_nothing(
    shared, tmp_path, client, wait_for, see
):
    """Each worker is stopped and started again while it has jobs that end within the grace."""
    entries = add_entries(client, 120)
    with contextlib.ExitStack() as stack:
        workers = {
            name: stack.enter_context(worker(shared, tmp_path, name, grace=PATIENCE))
            for name in ("one", "two")
        }
        jobs = [client.queue.put(Job(processes.take_a_moment, entry)) for entry in entries]
        client.manager.commit()
        for name, old in workers.items():
            agents = client.queue.dispatchers[old.uuid]
            see(lambda agents=agents: len(agents["main"]) > 0)
            old.send_signal(signal.SIGTERM)
            assert old.wait(PATIENCE) == -signal.SIGTERM
            see(lambda agents=agents: not agents.activated)
            stack.enter_context(worker(shared, tmp_path, name, grace=PATIENCE))
        wait_for(*jobs)
    assert [entry.count for entry in entries] == [1] * len(entries)
    assert not any("interruptions" in job.getRetryPolicy().data for job in jobs)
    assert [old.log.read_text() for old in workers.values()] == [""] * 2


def test_the_work_of_a_killed_process_is_done_by_another(shared, tmp_path, client, wait_for, see):
    """At once, since both are on one host: the pings are missed only after a minute."""
    path = tmp_path / "begun"
    with worker(shared, tmp_path, "one", size=1) as one, worker(shared, tmp_path, "two") as two:
        see(lambda: "main" in client.queue.dispatchers.get(two.uuid, ()))
        client.queue.dispatchers[two.uuid]["main"].size = 0
        client.manager.commit()
        job = client.queue.put(Job(processes.wait_once, path))
        client.manager.commit()
        wait_until(lambda: lines(path), PATIENCE)
        one.kill()
        client.manager.begin()
        client.queue.dispatchers[two.uuid]["main"].size = 3
        client.manager.commit()
        wait_for(job)
        assert job.result == two.pid
    assert [int(pid) for (pid,) in lines(path)] == [one.pid, two.pid]


@pytest.mark.slow
def test_a_process_goes_on_where_its_killed_predecessor_was(shared, tmp_path, client, wait_for):
    """At once, too."""
    path = tmp_path / "begun"
    with worker(shared, tmp_path, "one") as first:
        job = client.queue.put(Job(processes.wait_once, path))
        client.manager.commit()
        wait_until(lambda: lines(path), PATIENCE)
        first.kill()
        first.wait(PATIENCE)
        with worker(shared, tmp_path, "one") as second:
            assert second.uuid == first.uuid
            wait_for(job)
            assert job.result == second.pid
    assert [int(pid) for (pid,) in lines(path)] == [first.pid, second.pid]
    assert "an earlier process crashed; cleaning up" in second.log.read_text()


@pytest.mark.slow
def test_a_second_process_of_one_identity_says_so_and_claims_nothing(
    shared, tmp_path, client, wait_for
):
    with worker(shared, tmp_path, "one") as first:
        shutil.copy(tmp_path / "one.uuid", tmp_path / "two.uuid")
        # A copy of the file is another file; what both have in common is the database.
        with worker(shared, tmp_path, "two") as copied, worker(shared, tmp_path, "one") as same:
            jobs = [client.queue.put(processes.part) for _ in range(20)]
            client.manager.commit()
            wait_for(*jobs)
            assert {job.result for job in jobs} == {first.pid}
        assert "already activated in queue" in copied.log.read_text()
        said = same.log.read_text()
        assert f"another process? (process {first.pid} has locked" in said
        assert f"of {tmp_path / 'one.uuid'} is in use: each process with a dispatcher" in said
        assert "set the environment variable ZC_ASYNC_UUID to the path of another" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bare", "identity_file"),
    [
        pytest.param(False, "id.txt", id="knows the project"),
        pytest.param(False, "missing/id.txt", id="can have no identity"),
        pytest.param(True, "id.txt", id="lacks the project"),
    ],
)
def test_putters_meet_no_conflict_whatever_the_server_can_import(
    tmp_path, base, monkeypatch, bare, identity_file
):
    """Nothing that they write is written by others, or else its class is one of BTrees'."""
    count, each = 4, 20
    monkeypatch.setenv("ZC_ASYNC_UUID", str(tmp_path / identity_file))
    with (
        server(tmp_path, bare=bare) as shared,
        worker(shared, tmp_path, "one"),
        worker(shared, tmp_path, "two"),
        shared.database() as database,
    ):
        errors = []
        together = threading.Barrier(count)
        threads = [
            threading.Thread(target=put, args=(database, each, together, errors))
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert errors == []
        with contextlib.closing(Client(database)) as client:
            wait_until(lambda: completed(client) == count * each, PATIENCE)
        assert "UUIDFileError" not in (tmp_path / "zeo.log").read_text()
        assert not (tmp_path / identity_file).exists()


def put(database, count, together, errors):
    """Put jobs, each in a transaction of its own."""
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    try:
        together.wait(PATIENCE)
        for _ in range(count):
            processes.queue_of(connection).put(processes.part)
            manager.commit()
    except Exception as error:
        errors.append(error)
    finally:
        manager.abort()
        connection.close()


def completed(client):
    """How many jobs are in the histories, once the queue is empty."""
    client.manager.begin()
    if len(client.queue):
        return 0
    return sum(len(agents["main"].completed) for agents in client.queue.dispatchers.values())


@pytest.mark.slow
def test_a_client_hears_of_the_commits_of_others_and_not_of_the_poller_s_own(
    shared, database, client
):
    """ZEO tells of both in a thread of its own."""

    def hears(times):
        wait_until(lambda: len(poller.woken) >= times, PATIENCE)
        return len(poller.woken) == times

    set_now(BEGINNING)
    client.queue.quotas.create("one")
    client.manager.commit()
    with (
        contextlib.closing(PollerByHand(database, uuid.uuid4())) as poller,
        contextlib.ExitStack() as stack,
    ):
        poller.poll()
        poller.listener.oids = frozenset(poller.poll().watched[database])
        stack.callback(wakeup.forget, database, poller.listener)
        assert wakeup.listen(database, poller.listener)
        if can_listen(database):
            # When that begins, there may be news already.
            assert hears(1)
            poller.woken.clear()
        client.manager.begin()
        client.queue.dispatchers[poller.uuid]["main"] = Agent()
        client.manager.commit()
        assert hears(1)
        # Of a client of the same process, and of another one.
        for _job in range(2):
            client.queue.put(processes.part).quota_names = ["one"]
        client.manager.commit()
        assert hears(2)
        (claimed,) = (outcome := poller.poll()).jobs
        # The next claim writes a record that is watched since then: a job waits for the place.
        poller.listener.oids = frozenset(outcome.watched[database])
        client.manager.begin()
        client.connection.get(claimed.job_id[0]).end_with(42)
        client.manager.commit()
        (claimed,) = (outcome := poller.poll()).jobs
        client.manager.begin()
        assert client.connection.get(claimed.job_id[0]).status == ACTIVE
        assert hears(2)
        poller.listener.oids = frozenset(outcome.watched[database])
        with shared.database() as other, contextlib.closing(Client(other)) as stranger:
            stranger.queue.put(processes.part)
            stranger.manager.commit()
        assert hears(3)


@pytest.mark.slow
def test_a_poller_outlives_a_restart_of_the_server(tmp_path, base, caplog):
    """Each of its polls has to write a ping."""
    moment = zc.async_.clock.to_microseconds(BEGINNING)
    # Of the monotonic clock, too.
    zc.async_.clock.replace_source(lambda: moment)
    address = "127.0.0.1", storages.free_port()
    arguments = [str(SERVER), ":".join(map(str, address)), str(tmp_path / "Data.fs")]
    log = tmp_path / "zeo.log"
    with contextlib.ExitStack() as stack:
        with child(arguments, log) as process:
            said(process, log)
            with Server(address).database() as patient:
                make_queue(patient)
            database = ZEO.DB(address, wait_timeout=2)
            stack.callback(database.close)
            poller = PollerByHand(database, uuid.uuid4())
            stack.callback(poller.close)
            assert not poller.poll().failed
            process.kill()
            process.wait()
        waits = []
        for _minute in range(2):
            moment += 60_000_000
            outcome = poller.poll()
            waits.append((outcome.failed, outcome.again))
        assert waits == [(True, 1), (True, 2)]
        assert "database out of reach" in caplog.text
        stack.enter_context(child(arguments, log))
        wait_until(lambda: not poller.poll().failed, PATIENCE)
