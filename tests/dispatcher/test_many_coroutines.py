"""Thousands of coroutines that wait at once in one process, and what becomes of them if it ends."""

import signal
from pathlib import Path

import pytest

from benchmarks.storages import Server
from benchmarks.workers import wait_until
from tests import processes, servers
from tests.processes import Entry, lines, worker
from zc.async_.interfaces import ACTIVE, COMPLETED
from zc.async_.job import Job

shared, database, see = servers.shared, servers.database, servers.see

#: How many wait at once, and how many those are that another process begins anew.
NUMBER = 2000
FEWER = 500

#: Threads for jobs, and so many again for steps of coroutines; the rest is ZEO's and the reactor's.
SIZE = 10
OTHER_THREADS = 16

#: Real seconds in which all begin, or end.
PATIENCE = 300

pytestmark = pytest.mark.slow


@pytest.fixture
def put_many(client, tmp_path):
    """Puts a number of them; returns them, and what they are to change."""

    def put_many(number):
        entries = client.root["entries"] = [Entry() for _job in range(number)]
        client.manager.commit()
        files = tmp_path / "begun", tmp_path / "end"
        jobs = [client.queue.put(Job(processes.begin_and_wait, *files, entry)) for entry in entries]
        client.manager.commit()
        return jobs, entries

    return put_many


def wait_for_begins(path, number):
    wait_until(lambda: len(lines(path)) >= number, PATIENCE, 0.2)


def all_have(client, jobs, status):
    client.manager.begin()
    return all(job.status == status for job in jobs)


def number_of_threads(process):
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def test_they_wait_in_few_threads_and_all_end(shared, tmp_path, client, put_many):
    # PostgreSQL makes it take longer, and no different.
    number = NUMBER if isinstance(shared, Server) else FEWER
    jobs, entries = put_many(number)
    with worker(shared, tmp_path, "one", size=SIZE) as one:
        wait_for_begins(tmp_path / "begun", number)
        assert {int(pid) for (pid,) in lines(tmp_path / "begun")} == {one.pid}
        assert all_have(client, jobs, ACTIVE)
        # Plain jobs have all their places.
        plain = [client.queue.put(processes.part) for _job in range(20)]
        client.manager.commit()
        wait_until(lambda: all_have(client, plain, COMPLETED), PATIENCE, 0.2)
        assert number_of_threads(one) <= 2 * SIZE + OTHER_THREADS
        (tmp_path / "end").touch()
        wait_until(lambda: all_have(client, jobs, COMPLETED), PATIENCE, 0.5)
        assert number_of_threads(one) <= 2 * SIZE + OTHER_THREADS
    assert [job.result for job in jobs] == [one.pid] * number
    assert [entry.count for entry in entries] == [1] * number
    assert len(lines(tmp_path / "begun")) == number


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_another_process_runs_all_if_theirs_ends(shared, tmp_path, client, put_many, end):
    jobs, entries = put_many(FEWER)
    with worker(shared, tmp_path, "one", size=SIZE) as one:
        wait_for_begins(tmp_path / "begun", FEWER)
        one.send_signal(end)
        one.wait(processes.PATIENCE)
    (tmp_path / "end").touch()
    with worker(shared, tmp_path, "two", size=SIZE) as two:
        wait_until(lambda: all_have(client, jobs, COMPLETED), PATIENCE, 0.5)
    assert {job.result for job in jobs} == {two.pid}
    assert [entry.count for entry in entries] == [1] * FEWER
