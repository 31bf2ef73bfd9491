"""Worker processes whose clocks differ, or are set."""

import datetime
import signal
import time

import pytest

from benchmarks.workers import wait_until
from tests import processes
from tests.dispatcher.test_processes import database, see, shared, wait_for
from tests.processes import PATIENCE, lines, worker
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job

__all__ = ["database", "see", "shared", "wait_for"]

SECOND = datetime.timedelta(seconds=1)


def agents_of(client, process):
    return client.queue.dispatchers[process.uuid]


@pytest.mark.slow
@pytest.mark.parametrize("fast", [90, -90])
def test_processes_whose_clocks_differ_let_each_other_live(
    shared, tmp_path, client, wait_for, see, fast
):
    ledger, end = tmp_path / "ledger", tmp_path / "end"
    with (
        worker(shared, tmp_path, "one", size=1, poll_interval=0.5) as one,
        worker(shared, tmp_path, "two", size=1, poll_interval=0.5, clock=(fast, fast)) as two,
    ):
        jobs = [client.queue.put(Job(processes.note_and_wait, ledger, end)) for _ in range(2)]
        client.manager.commit()
        see(lambda: all(agents_of(client, process)["main"] for process in (one, two)))
        for process in (one, two):
            agents_of(client, process).ping_interval = SECOND
        client.manager.commit()
        activated = [agents_of(client, process).activated for process in (one, two)]
        for _ping in range(4):
            pings = [agents_of(client, process).last_ping.value for process in (one, two)]
            see(
                lambda pings=pings: all(
                    agents_of(client, process).last_ping.value != ping
                    for process, ping in zip((one, two), pings, strict=True)
                )
            )
        end.touch()
        wait_for(*jobs)
        assert [agents_of(client, process).activated for process in (one, two)] == activated
        assert {job.result for job in jobs} == {one.pid, two.pid}
        assert {int(pid) for (pid,) in lines(ledger)} == {one.pid, two.pid}
        assert len(lines(ledger)) == 2
        for process in (one, two):
            told = process.log.read_text()
            assert "is dead" not in told
            # Once, however often it pings.
            assert told.count("Have the clocks synchronized") == 1


@pytest.mark.slow
@pytest.mark.parametrize("reactor", ["own", "twisted"])
@pytest.mark.parametrize("fast", [-3600, 3600])
def test_a_process_whose_clock_is_set_goes_on_polling_pinging_and_running_what_is_due(
    shared, tmp_path, client, wait_for, see, fast, reactor
):
    with worker(
        shared, tmp_path, "one", poll_interval=0.5, reactor=reactor, clock=(0, fast)
    ) as process:
        see(lambda: process.uuid in client.queue.dispatchers)
        agents_of(client, process).ping_interval = SECOND
        client.manager.commit()
        known = agents_of(client, process).last_ping.value
        see(lambda: agents_of(client, process).last_ping.value != known)
        process.send_signal(signal.SIGUSR1)
        began = time.monotonic()
        # Of these, one is due, or soon to be, by the clock as it is now.
        now = datetime.datetime.now(datetime.UTC)
        wait = 2 * SECOND if fast > 0 else -SECOND
        moments = [now + 2 * SECOND, now + fast * SECOND + wait]
        client.manager.begin()
        jobs = [client.queue.put(processes.part, begin_after=moment) for moment in moments]
        client.manager.commit()
        for _ping in range(4):
            known = agents_of(client, process).last_ping.value
            see(lambda known=known: agents_of(client, process).last_ping.value != known)
        wait_for(jobs[1])
        another = client.queue.put(processes.part)
        client.manager.commit()
        wait_until(lambda: client.manager.begin() and another.status == COMPLETED, PATIENCE)
        assert agents_of(client, process).activated
        # An hour is not over, nor is the patience of what waits here.
        assert time.monotonic() - began < PATIENCE
