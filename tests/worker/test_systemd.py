"""The notify socket: what systemd is told by a real supervisor."""

import os
import signal
import socket

import pytest

from tests.worker.supervisors import PATIENCE

pytestmark = pytest.mark.slow


class Heard:
    """Datagrams of a supervisor."""

    def __init__(self, listening):
        self._socket = listening
        #: All so far.
        self.all = []

    def next(self):
        """Wait for the next one."""
        text = self._socket.recv(10_000).decode()
        self.all.append(text)
        return text

    def wait_for(self, start):
        """Wait for one that begins so, and return it."""
        while not (text := self.next()).startswith(start):
            pass
        return text


@pytest.fixture
def address(tmp_path):
    """What NOTIFY_SOCKET is."""
    return str(tmp_path / "notify")


@pytest.fixture
def heard(address):
    """What is said there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(PATIENCE)
        yield Heard(listening)


def test_readiness_reload_and_end(work, heard, address):
    supervisor = work("--processes", "2", environment={"NOTIFY_SOCKET": address})
    heard.wait_for("READY=1")
    # Not before all were up.
    assert heard.all[0].startswith("STATUS=workers: 2 starting")
    assert "STATUS=workers: 1 starting, 1 up" in heard.all
    assert "WATCHDOG=1" not in heard.all
    supervisor.send(signal.SIGHUP)
    reloading = heard.wait_for("RELOADING=1")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    heard.wait_for("STATUS=workers: 1 up, 1 draining")
    heard.wait_for("READY=1")
    assert len(supervisor.starts(1)) == len(supervisor.starts(2)) == 2
    supervisor.send(signal.SIGTERM)
    heard.wait_for("STOPPING=1")
    assert supervisor.ended() == 0


def test_a_reload_that_fails_ends_as_well(start, zeo, heard, address, tmp_path):
    config = tmp_path / "worker.toml"
    config.write_text("db = 'zeo://{}:{}'".format(*zeo.address))
    supervisor = start("--config", config, environment={"NOTIFY_SOCKET": address})
    heard.wait_for("READY=1")
    config.write_text("nonsense")
    supervisor.send(signal.SIGHUP)
    heard.wait_for("RELOADING=1")
    assert heard.wait_for("READY=1")
    assert supervisor.end() == 0


def test_the_watchdog_hears_as_long_as_the_workers_live(work, heard, address):
    supervisor = work(
        *("--processes", "2", "--hang-timeout", "0"),
        environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"},
    )
    for _ in range(3):
        heard.wait_for("WATCHDOG=1")
    # One does nothing any more, and nobody is to kill it: systemd would end them all.
    os.kill(supervisor.pids()[2], signal.SIGSTOP)
    heard._socket.settimeout(10)
    with pytest.raises(TimeoutError):
        heard.wait_for("nothing more")
    heard._socket.settimeout(PATIENCE)
    os.kill(supervisor.pids()[2], signal.SIGCONT)
    heard.wait_for("WATCHDOG=1")
    assert supervisor.end() == 0


def test_a_worker_that_hangs_is_replaced_before_the_watchdog_bites(work, heard, address):
    supervisor = work(
        *("--processes", "2", "--hang-timeout", "3"),
        environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000"},
    )
    os.kill(supervisor.pids()[2], signal.SIGSTOP)
    supervisor.wait_for("worker 2 is up", 2)
    heard.wait_for("WATCHDOG=1")
    assert supervisor.end() == 0


def test_workers_do_not_speak_for_the_supervisor(work, heard, address):
    supervisor = work(environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"})
    with open(f"/proc/{supervisor.pids()[1]}/environ", "rb") as file:
        names = {entry.partition(b"=")[0] for entry in file.read().split(b"\0")}
    assert b"ZC_ASYNC_UUID" in names
    assert not names & {b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID"}
    assert supervisor.end() == 0
