"""The connection of a worker with its supervisor."""

import os
import queue
import socket
import threading

import pytest

from zc.async_.worker import messages
from zc.async_.worker.channel import Channel


@pytest.fixture
def ends():
    """The supervisor's socket, and the worker's channel."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    channel = Channel(theirs.detach())
    yield ours, channel
    ours.close()
    channel._socket.close()


def test_messages_go_both_ways(ends):
    ours, channel = ends
    ours.sendall(messages.encode(messages.DRAIN, seconds=None))
    assert channel.receive() == {"say": "drain", "seconds": None}
    channel.say(messages.FAILED, text="a\nb \N{SNOWMAN}", again=False)
    assert messages.decode(ours.recv(1000)) == {
        "say": "failed",
        "text": "a\nb \N{SNOWMAN}",
        "again": False,
    }


def test_the_end_is_heard(ends):
    ours, channel = ends
    heard = queue.Queue()
    channel.listen(heard.put)
    ours.sendall(messages.encode(messages.DRAIN, seconds=3) * 2)
    ours.close()
    assert [heard.get(timeout=10) for _ in range(3)] == [{"say": "drain", "seconds": 3}] * 2 + [
        None
    ]


def test_a_supervisor_that_does_not_read_holds_nobody_up_and_gets_whole_messages(ends):
    ours, channel = ends

    def say_much():
        for number in range(20_000):
            channel.say(messages.ALIVE, jobs=number, memory=1 << 30, silence=0.0)

    threads = [threading.Thread(target=say_much, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    channel._socket.shutdown(socket.SHUT_WR)
    with ours.makefile("rb") as reader:
        found = [messages.decode(line) for line in reader]
    assert 0 < len(found) < 40_000
    assert all(message["memory"] == 1 << 30 for message in found)


def test_a_supervisor_that_is_gone_harms_nobody(ends):
    ours, channel = ends
    ours.close()
    for _ in range(3):
        channel.say(messages.READY)
    assert channel.receive() is None


def test_a_process_that_a_job_forks_does_not_keep_the_connection(ends):
    ours, channel = ends
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(reading, 1)
        os._exit(0)
    channel._socket.close()
    channel._reader.close()
    try:
        assert ours.recv(10) == b""
    finally:
        os.write(writing, b"x")
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("line", [b"", b"nonsense", b"[]", b"{}", b'{"say": 3}', b"\xff"])
def test_what_is_no_message(line):
    with pytest.raises(ValueError):  # noqa: PT011
        messages.decode(line)


def test_texts_are_shortened():
    assert messages.shortened("x" * 10_000) == "x" * 3997 + "..."
    assert len(messages.encode(messages.FAILED, text="\N{SNOWMAN}" * 4000)) < messages.MAX_LINE
