"""The monitor server, asked by real clients."""

import contextlib
import gc
import logging
import os
import socket
import struct
import subprocess
import sys
import threading

import hypothesis
import hypothesis.strategies as st
import pytest
import zope.component.testing

import zc.monitor
from zc.monitor import protocol, server
from zc.monitor.interfaces import (
    CannotStartError,
    ConnectionEndedError,
    IMonitorConnection,
    IMonitorPlugin,
    MonitorError,
)

#: Real seconds that anything is given.
PATIENCE = 90


@pytest.fixture(autouse=True)
def components():
    """A registry of its own, and no server left behind."""
    zope.component.testing.setUp()
    before = open_files()
    yield
    zc.monitor.stop()
    zope.component.testing.tearDown()
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("zc.monitor")]
    for thread in ours:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in ours)
    if set(open_files()) - set(before):
        # An exception that a test has caught may still refer to a socket.
        gc.collect()
    assert not set(open_files()) - set(before)


def open_files():
    if not os.path.isdir("/proc/self/fd"):
        return []
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(f"{name}: {os.readlink(f'/proc/self/fd/{name}')}")
    # Twisted keeps one in reserve.
    return sorted(name for name in found if not name.endswith("/dev/null"))


@pytest.fixture
def address():
    """That of a server with the usual commands."""
    zc.monitor.register_basics()
    return zc.monitor.start(0)


@contextlib.contextmanager
def client(address):
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        yield connection


def read_all(connection):
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces).decode()


def ask(address, text):
    """What a client is told until the connection is closed."""
    with client(address) as connection:
        connection.sendall(text.encode() if isinstance(text, str) else text)
        return read_all(connection)


HELP = """\
Supported commands:
  help -- Get help about server commands
  interactive -- Turn on monitor's interactive mode
  quit -- Quit the monitor
"""


# -- commands


def test_a_command_is_answered_and_the_connection_closed(address):
    assert ask(address, "help\n") == HELP
    assert ask(address, "help\r\nquit\r\n") == HELP


def test_help_tells_all_about_a_command(address):
    def explain(connection, *args):
        """Explain it.

        With the details.
        """

    zc.monitor.register(explain)
    assert "  explain -- Explain it.\n" in ask(address, "help\n")
    assert (
        ask(address, "help explain\n") == "Help for explain:\n\nExplain it.\n\nWith the details.\n"
    )
    assert ask(address, "help nothing\n") == "Unknown command: 'nothing'. Try \"help\".\n"
    zc.monitor.register(lambda connection: None, "silent")
    assert "  silent -- ?\n" in ask(address, "help\n")
    assert "no documentation" in ask(address, "help silent\n")


def test_an_interactive_connection_stays_open(address):
    lines = "interactive\nhelp quit\n\nquit\nhelp\n"
    told = "Help for quit:\n\nQuit the monitor\n\nCloses this connection. The process goes on.\n"
    assert ask(address, lines) == (
        f'Interactive mode on.  Use "quit" To exit.\n{told}{told}Goodbye.\n'
    )


def test_commands_get_words_and_may_turn_the_mode_off(address):
    calls = []

    def note(connection, *args):
        calls.append((args, connection.interactive))
        assert IMonitorConnection.providedBy(connection)
        connection.interactive = False
        connection.write("noted")

    zc.monitor.register(note, "write-down")
    assert ask(address, "interactive\n write-down  a\tb:c é \nhelp\n").endswith("exit.\nnoted\n")
    assert calls == [(("a", "b:c", "é"), True)]


def test_the_name_of_a_command_is_one_word():
    for name in ("", "two words", " x"):
        with pytest.raises(ValueError, match="one word"):
            zc.monitor.register(print, name)
    zc.monitor.register_basics()
    found = dict(zope.component.getUtilitiesFor(IMonitorPlugin))
    assert found == {
        "help": zc.monitor.help,
        "interactive": zc.monitor.interactive,
        "quit": zc.monitor.quit,
    }


def test_an_unknown_command_and_wrong_arguments_are_told(address):
    assert ask(address, "helf\n") == "Unknown command: 'helf'. Try \"help\".\n"
    assert ask(address, "quit now\n") == 'quit does not take these arguments. Try "help quit".\n'
    assert ask(address, "\n") == ""
    assert (
        ask(address, b"\xff\xfb\x01\n") == "Unknown command: '\\\\xff\\\\xfb\\x01'. Try \"help\".\n"
    )


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("wrong"), "half\nValueError: wrong\n"),
        (SystemExit(3), "half\nSystemExit: 3\n"),
        (Unprintable(), "half\nUnprintable: (its text cannot be told: ValueError)\n"),
    ],
)
def test_a_command_that_raises_is_told_and_logged(address, error, told, caplog):
    def fail(connection):
        connection.write("half")
        raise error

    zc.monitor.register(fail)
    assert ask(address, "fail\n") == told
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("zc.monitor", logging.ERROR)
    assert record.exc_info[1] is error
    assert ask(address, "help\n").startswith("Supported")


def test_what_is_no_text_is_refused(address):
    zc.monitor.register(lambda connection: connection.write(b"x"), "bytes")
    assert (
        ask(address, "bytes\n") == "TypeError: the answer of a command is text (str), not bytes\n"
    )
    zc.monitor.register(lambda connection: connection.write("\ud800\n"), "surrogate")
    assert ask(address, "surrogate\n") == "\\ud800\n"


# -- clients of all kinds


@pytest.fixture
def gate(address):
    """Holds up those who call the command `wait` until it is set."""
    gate = threading.Event()
    waiting = threading.Semaphore(0)

    def wait(connection):
        waiting.release()
        gate.wait(PATIENCE)
        connection.write("waited\n")

    zc.monitor.register(wait)
    gate.waiting = waiting
    yield gate
    gate.set()


def test_a_slow_command_keeps_nobody_else_waiting(address, gate):
    with client(address) as slow:
        slow.sendall(b"wait\n")
        assert gate.waiting.acquire(timeout=PATIENCE)
        assert ask(address, "quit\n") == "Goodbye.\n"
        gate.set()
        assert read_all(slow) == "waited\n"


def test_of_too_many_connections_one_goes_that_says_nothing(address, gate, monkeypatch):
    monkeypatch.setattr(server, "MOST_CLIENTS", 2)
    with client(address) as silent, client(address) as busy:
        busy.sendall(b"wait\n")
        assert gate.waiting.acquire(timeout=PATIENCE)
        assert ask(address, "quit\n") == "Goodbye.\n"
        with pytest.raises(ConnectionResetError):
            silent.recv(1)
        with client(address) as another:
            another.sendall(b"wait\n")
            assert gate.waiting.acquire(timeout=PATIENCE)
            assert ask(address, "") == "Too many connections. Try again later.\n"
        gate.set()
        assert read_all(busy) == "waited\n"


def test_a_line_without_end_is_refused(address):
    limit = protocol.LONGEST_LINE
    with client(address) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"x" * (limit + 1))
        assert "Line too long" in read_all(connection)
    name = "y" * (limit - 1)
    assert ask(address, name + "\n") == f"Unknown command: '{'y' * 100}'. Try \"help\".\n"


def test_many_lines_at_once_are_answered_one_after_the_other(address):
    zc.monitor.register(lambda connection, number: connection.write(number + "\n"), "say")
    count = 5 * protocol.MOST_LINES
    lines = ["interactive", *(f"say {number}" for number in range(count)), "quit", ""]
    told = ask(address, "\n".join(lines)).splitlines()
    assert told[1:-1] == [str(number) for number in range(count)]


def test_a_large_answer_arrives_whole(address):
    text = "".join(f"{number}\n" for number in range(1_000_000))
    zc.monitor.register(lambda connection: connection.write(text), "large")
    assert ask(address, "large\n") == text


def talker(written, ended, size):
    """A command that writes pieces of that size until it hears that the client is gone."""

    def talk(connection):
        try:
            while True:
                connection.write("x" * size)
                written()
        except ConnectionEndedError:
            ended.set()
            raise

    return talk


def test_a_client_that_does_not_read_holds_up_its_own_command_and_not_for_long(
    address, monkeypatch
):
    monkeypatch.setattr(protocol, "PATIENCE", 0.1)
    ended = threading.Event()
    written = []
    zc.monitor.register(talker(lambda: written.append(1), ended, 100_000), "flood")
    with client(address) as lazy:
        lazy.sendall(b"flood\n")
        assert ended.wait(PATIENCE)
        assert ask(address, "help\n").startswith("Supported")
    # What the client's system takes ahead, and a bounded rest.
    assert len(written) < 1000


def test_a_command_whose_client_has_gone_hears_of_it(address):
    ended = threading.Event()
    begun = threading.Event()
    zc.monitor.register(talker(begun.set, ended, 1000), "talk")
    with client(address) as gone:
        gone.sendall(b"talk\n")
        assert begun.wait(PATIENCE)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ended.wait(PATIENCE)


WORDS = st.sampled_from(
    [b"help", b"quit", b"interactive", b"fail", b"nothing", b"\n", b"\r\n", b" "]
)
BYTES = st.lists(st.one_of(WORDS, st.binary(max_size=40)), max_size=12).map(b"".join)
BEHAVIOURS = st.sampled_from(["reads", "goes", "resets", "stays silent", "says half"])


@pytest.fixture
def open_clients():
    clients = contextlib.ExitStack()
    with clients:
        yield clients


@hypothesis.settings(max_examples=200)
@hypothesis.given(BYTES, BEHAVIOURS)
def test_whatever_clients_send_and_do_others_are_answered(address, open_clients, text, behaviour):
    """Two hundred here, two thousand with the slow tests."""
    behave(address, open_clients, text, behaviour)


@pytest.mark.slow
@hypothesis.settings(max_examples=2000)
@hypothesis.given(BYTES, BEHAVIOURS)
def test_whatever_many_clients_send_and_do_others_are_answered(
    address, open_clients, text, behaviour
):
    behave(address, open_clients, text, behaviour)


def behave(address, open_clients, text, behaviour):
    with contextlib.suppress(ConnectionError):
        if behaviour == "stays silent":
            connection = open_clients.enter_context(client(address))
            connection.sendall(text)
        else:
            with client(address) as connection:
                if behaviour == "says half":
                    connection.sendall(text + b"hel")
                else:
                    connection.sendall(text + b"\nquit\nquit\n")
                if behaviour == "reads":
                    read_all(connection)
                if behaviour == "resets":
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert ask(address, "help\n") == HELP


# -- servers


def test_a_port_alone_is_opened_on_the_loopback_interface(address):
    host, port = address
    assert host == "127.0.0.1"
    assert port > 0


def test_another_interface_is_opened_if_asked_for():
    zc.monitor.register_basics()
    address = zc.monitor.start(("0.0.0.0", 0))
    assert address[0] == "0.0.0.0"
    assert ask(("127.0.0.1", address[1]), "help\n") == HELP


def test_a_unix_socket_is_open_to_its_user_alone(tmp_path):
    zc.monitor.register_basics()
    path = str(tmp_path / "monitor.sock")
    assert zc.monitor.start(path) == path
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert ask(path, "help\n") == HELP
    zc.monitor.stop(path)
    assert not os.path.exists(path)


def test_a_unix_socket_of_a_process_that_was_killed_is_replaced(tmp_path):
    path = str(tmp_path / "monitor.sock")
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.bind({path!r}); s.listen()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert os.path.exists(path)
    zc.monitor.register_basics()
    zc.monitor.start(path)
    assert ask(path, "help\n") == HELP


def test_what_another_uses_is_refused_in_words(address, tmp_path):
    with pytest.raises(CannotStartError, match=r"cannot listen on .*in use"):
        zc.monitor.start(address)
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(CannotStartError, match="no socket"):
        zc.monitor.start(str(path))
    assert path.read_text() == "mine"
    in_use = zc.monitor.start(str(tmp_path / "socket"))
    with pytest.raises(CannotStartError, match="another process does"):
        zc.monitor.start(in_use)
    with pytest.raises(CannotStartError, match="cannot listen on"):
        zc.monitor.start(str(tmp_path / "missing" / "socket"))
    assert ask(in_use, "help\n") == ask(address, "help\n") == HELP


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("", ValueError),
        (-1, ValueError),
        (65536, ValueError),
        (True, TypeError),
        (None, TypeError),
        (("localhost",), TypeError),
        (("localhost", "80"), TypeError),
        ((1, 80), TypeError),
    ],
)
def test_what_is_no_address_is_refused(wrong, error):
    with pytest.raises(error):
        zc.monitor.start(wrong)


def test_a_stop_frees_the_port_and_ends_connections(address, gate):
    with client(address) as idle, client(address) as busy:
        busy.sendall(b"wait\n")
        assert gate.waiting.acquire(timeout=PATIENCE)
        zc.monitor.stop(address)
        for connection in (idle, busy):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
    assert zc.monitor.start(address) == address
    assert ask(address, "help\n").startswith("Supported")
    with pytest.raises(MonitorError, match="listens on"):
        zc.monitor.stop(("127.0.0.1", 1))


def test_servers_are_started_and_stopped_often(address):
    other = zc.monitor.start(0)
    zc.monitor.stop(address)
    assert ask(other, "help\n") == HELP
    zc.monitor.stop()
    zc.monitor.stop()
    for _round in range(50):
        again = zc.monitor.start(0)
        assert ask(again, "help\n") == HELP
        zc.monitor.stop()
