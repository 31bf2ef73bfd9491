"""What is said to be broken is."""

import collections
import contextlib
import socket
import threading
import time

import pytest
import ZEO.ClientStorage
import ZEO.Exceptions

from benchmarks.workers import wait_until
from tests.torture import breaking
from tests.torture.processes import PATIENCE, ZEO_BREAKAGES, Settings, StorageServer, Worker
from tests.torture.proxy import Proxy

#: Workers, one of which loses connections alone, and who else is broken.
TARGETS = {
    **{name: {**breaking.WORKER_BREAKAGES, **breaking.CONNECTION_BREAKAGES} for name in "ab"},
    "c": breaking.CONNECTION_BREAKAGES,
    breaking.CLIENTS: breaking.CONNECTION_BREAKAGES,
    breaking.SERVER: ZEO_BREAKAGES,
}


def test_a_plan_follows_from_its_seed_and_breaks_nothing_twice_at_a_time():
    plan = breaking.plan(1, 120, 60, TARGETS)
    assert plan == breaking.plan(1, 120, 60, TARGETS)
    assert plan != breaking.plan(2, 120, 60, TARGETS)
    assert len(plan) >= 50
    assert {one.kind for one in plan if one.target == "c"} <= set(breaking.CONNECTION_BREAKAGES)
    free_at = {}
    for one in plan:
        assert one.at >= free_at.get(one.target, 0)
        free_at[one.target] = one.at + one.seconds


def test_a_plan_leaves_out_what_it_is_told_to():
    without = set(breaking.CONNECTION_BREAKAGES) | set(breaking.SERVER_BREAKAGES)
    assert {one.target for one in breaking.plan(1, 60, 40, TARGETS, without)} == {"a", "b"}
    others = {name: TARGETS[name] for name in ("c", "clients", "server")}
    assert breaking.plan(1, 60, 40, others, without) == []


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


def test_a_server_is_restarted_gently_and_often():
    plan = breaking.plan(78, 200, 160, TARGETS)
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


def test_of_a_worker_that_ended_by_itself_its_last_lines_are_told(tmp_path):
    worker = Worker("worker-1", tmp_path, "zeo:127.0.0.1:1", Settings(1, "no number", 1))
    worker.start()
    wait_until(lambda: worker.ended is not None, 30, 0.05)
    told = worker.how_it_ended()
    worker.kill()
    assert told.startswith("worker-1 ended by itself with 1:\n")
    assert "could not convert string to float: 'no number'" in told
