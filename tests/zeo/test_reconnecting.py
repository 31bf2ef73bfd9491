"""Workers whose connections to their server are cut again and again, in four ways.

ZC_ASYNC_TEST_ROUNDS says how often (30 take some minutes); ZC_ASYNC_TEST_WATCH how the workers are
watched (see `tests.zeo.worker`).
"""

import contextlib
import os
import random
import time

import pytest

from benchmarks.storages import Server
from tests.processes import Entry, lines, queue_of, write_line
from tests.zeo.network import RoughProxy
from tests.zeo.worker import worker
from tests.zeoservers import server
from zc.async_.job import Job

ROUNDS = int(os.environ.get("ZC_ASYNC_TEST_ROUNDS", "3"))

WATCH = os.environ.get("ZC_ASYNC_TEST_WATCH", "on")

MODES = ["closing", "hang", "drop", "pass"]

WORKERS = ["a", "b", "c", "d"]

#: Seconds within which a worker has to be back.
PROMISED = 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_worker_does_jobs_again_soon_after_every_fault_of_the_network(tmp_path, seed):
    chance = random.Random(seed)
    path = tmp_path / "lines"
    path.touch()
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(server(tmp_path))
        database = stack.enter_context(running.database())
        with database.transaction() as connection:
            connection.root().update({name: Entry() for name in WORKERS})
        proxy = stack.enter_context(RoughProxy(running.address).running())
        logs = [
            stack.enter_context(worker(Server(proxy.address), tmp_path, name, WATCH))
            for name in WORKERS
        ]
        took = []
        for number in range(ROUNDS):
            fail(proxy, chance)
            took.append(do_jobs(database, path, str(number)))
        given_up = [log.read_text().count("trying anew") for log in logs]
    print(f"seed {seed}: {len(took)} rounds, longest {max(took):.1f} s, given up {given_up}")


def fail(proxy, chance):
    """One fault of the network, which is all right afterwards."""
    proxy.mode = chance.choice(MODES)
    time.sleep(0.05)
    proxy.cut()
    time.sleep(chance.uniform(0.1, 6))
    proxy.mode = "pass"
    proxy.cut()


def do_jobs(database, path, number):
    """Have each worker do a job; return the seconds it took."""
    began = time.monotonic()
    with database.transaction() as connection:
        for name in WORKERS:
            queue_of(connection).put(Job(write_line, path, number, name))
    left = set(WORKERS)
    while left:
        left = {name for name in WORKERS if [number, name] not in lines(path)}
        assert not left or time.monotonic() - began < PROMISED, f"round {number} lacks {left}"
        time.sleep(0.05)
    return time.monotonic() - began
