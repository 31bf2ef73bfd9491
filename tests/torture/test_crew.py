"""The workers of a supervisor can be broken, and are ended with it."""

import os
import signal

import pytest

from benchmarks.workers import wait_until
from tests.torture import breaking, explaining, logs, run
from tests.torture.crew import PROCESSES, Crew
from tests.torture.processes import PATIENCE
from tests.zeoservers import server

pytestmark = pytest.mark.slow


@pytest.fixture
def crew(tmp_path):
    """Workers on a ZEO server that has nothing."""
    with server(tmp_path) as running:
        crew = Crew(tmp_path, "zeo://{}:{}".format(*running.address))
        crew.start()
        wait_until(lambda: len(crew._pids()) == PROCESSES, PATIENCE)
        yield crew
        crew.leave()
        wait_until(lambda: crew._pids() == [], PATIENCE)


def logged(crew):
    return [log.read_text() for log in sorted(crew._folder.glob("workers.*.log"))]


def test_one_is_killed_and_started_again(crew, tmp_path):
    before = crew._pids()
    crew.kill_one()
    wait_until(lambda: "was ended by SIGKILL; it is started again" in logged(crew)[0], PATIENCE)
    wait_until(lambda: len(set(crew._pids()) - set(before)) == 1, PATIENCE)
    crew.end()
    # That is in order, at that time alone.
    (met,) = logs.logged(tmp_path)
    assert met.target == run.CREW
    killed = breaking.Outage("kill one", run.CREW, met.when, met.when)
    assert list(explaining.unexplained([met], [killed])) == []
    assert len(list(explaining.unexplained([met], [killed._replace(ended=met.when - 60)]))) == 1


def test_of_a_supervisor_that_is_killed_the_workers_make_room_for_others(crew):
    before = set(crew._pids())
    crew.kill()
    crew.start()
    wait_until(lambda: len(set(crew._pids()) - before) == PROCESSES, PATIENCE)
    assert len(logged(crew)) == 2
    crew.end()


def test_a_reload_replaces_all(crew):
    before = set(crew._pids())
    wait_until(lambda: "all workers are up" in logged(crew)[0], PATIENCE)
    crew.reload()
    wait_until(lambda: len(set(crew._pids()) - before) == PROCESSES, PATIENCE)
    # Each worker that was started can be busy with that, while others take it for dead.
    wait_until(lambda: len(list(logs.starts(crew._folder, run.CREW))) == 2 * PROCESSES, PATIENCE)
    crew.end()


def test_one_is_suspended_for_a_while(crew):
    def state(pid):
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]

    def suspended():
        return ["T" in state(pid) for pid in crew._pids()].count(True)

    with crew.one_suspended():
        wait_until(lambda: suspended() == 1, PATIENCE)
    wait_until(lambda: suspended() == 0, PATIENCE)
    crew.end()


def test_a_worker_that_is_left_is_told(crew):
    pid = crew._pids()[0]
    # It outlives its supervisor.
    crew.suspend()
    os.kill(pid, signal.SIGSTOP)
    crew.kill()
    with pytest.raises(RuntimeError, match=f"{pid}"):
        crew.check_none_is_left()
