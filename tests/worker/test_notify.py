"""What is said to whoever listens at NOTIFY_SOCKET."""

import logging
import os
import re
import socket
import time
from typing import NamedTuple

import pytest

from zc.async_.worker.notify import Notifier


class Listener(NamedTuple):
    """A socket and its address, as NOTIFY_SOCKET has it."""

    name: str
    socket: socket.socket

    def heard(self):
        """The next datagram."""
        return self.socket.recv(1000)


@pytest.fixture(params=["path", "abstract"])
def listener(request, tmp_path):
    """A socket that listens, with its address."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@zc-async-{tmp_path}"[:100]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listening.settimeout(10)
        yield Listener(name, listening)


@pytest.fixture
def notifier(listener):
    """One that somebody listens to."""
    notifier = Notifier({"NOTIFY_SOCKET": listener.name})
    yield notifier
    notifier.close()


def test_each_state_is_a_datagram(notifier, listener):
    notifier.ready()
    assert listener.heard() == b"READY=1"
    notifier.stopping()
    assert listener.heard() == b"STOPPING=1"
    notifier.alive()
    assert listener.heard() == b"WATCHDOG=1"
    notifier.status("four\nworkers\x20 up")
    assert listener.heard() == b"STATUS=four workers up"


def test_a_reload_has_the_time_of_the_monotonic_clock(notifier, listener):
    before = time.monotonic()
    notifier.reloading()
    found = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", listener.heard())
    assert before <= int(found[1]) / 1_000_000 + 0.001
    assert int(found[1]) / 1_000_000 <= time.monotonic()


def test_nobody_listens_and_nothing_happens(caplog):
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    notifier.ready()
    notifier.close()
    assert notifier.watchdog is None
    assert caplog.records == []


def test_a_listener_that_went_away_is_told_of_and_harms_nobody(tmp_path, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    with caplog.at_level(logging.WARNING):
        notifier.ready()
    notifier.close()
    assert "cannot notify" in caplog.text


def test_a_listener_that_reads_nothing_does_not_hold_up(notifier, listener):
    for _ in range(10_000):
        notifier.alive()
    assert listener.heard() == b"WATCHDOG=1"


def test_an_address_that_makes_no_sense_is_told_of(caplog):
    Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready()
    assert "cannot notify 'vsock:2:1234'" in caplog.text


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_this_process(variables, seconds, listener):
    notifier = Notifier({"NOTIFY_SOCKET": listener.name, **variables})
    assert notifier.watchdog == seconds
    notifier.close()
