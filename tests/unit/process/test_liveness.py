"""The locks by which dispatchers of one host know of each other's end."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import uuid

import pytest

from zc.async_.process import instanceuuid, liveness
from zc.async_.process.liveness import HeldElsewhereError, Holder

UUID = uuid.UUID(int=5)

HOLD = """
    import sys, uuid
    from zc.async_.process import liveness
    holder = liveness.hold(uuid.UUID(int=5))
    print(*holder, flush=True)
    for line in sys.stdin:
        if line == "fork\\n":
            import os
            ours, childs = os.pipe()
            child = os.fork()
            if not child:
                os.close(1)
                os.write(childs, b"x")
                os.read(0, 1)
                os._exit(0)
            # It has let go of what it inherited before it does anything else.
            os.read(ours, 1)
            print(child, flush=True)
        elif line == "release\\n":
            liveness.release(uuid.UUID(int=5))
            print("released", flush=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the UUID file is."""
    monkeypatch.setattr(instanceuuid, "UUID_PATH", str(tmp_path / "uuid.txt"))
    yield tmp_path
    liveness.release(UUID)


@pytest.fixture
def process(folder):
    """Another process that holds the lock, and what it holds."""
    started = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(HOLD)],
        env={**os.environ, "ZC_ASYNC_UUID": str(folder / "uuid.txt")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started.holder = Holder(*started.stdout.readline().split())
    yield started
    started.kill()
    started.communicate()


def tell(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_process_that_lives_is_not_gone(process):
    assert not liveness.is_gone(process.holder)
    with pytest.raises(HeldElsewhereError) as caught:
        liveness.hold(UUID)
    assert caught.value.args == (process.holder.path, str(process.pid))
    assert not liveness.is_gone(process.holder)


def test_a_stopped_process_is_not_gone(process):
    process.send_signal(signal.SIGSTOP)
    assert not liveness.is_gone(process.holder)


def test_a_killed_process_is_gone_at_once_and_another_can_follow(process):
    process.kill()
    process.wait()
    assert liveness.is_gone(process.holder)
    holder = liveness.hold(UUID)
    assert holder.mark != process.holder.mark
    assert not liveness.is_gone(holder)
    # Who followed it may end before his record takes the place of the old one.
    assert liveness.is_gone(process.holder)


def test_of_some_that_followed_each_other_all_are_known(folder, monkeypatch):
    monkeypatch.setattr(liveness, "EARLIER", 3)
    holders = []
    for _process in range(6):
        holders.append(liveness.hold(UUID))
        liveness.release(UUID)
    assert [liveness.is_gone(holder) for holder in holders] == [False, False, *[True] * 4]
    present = liveness.hold(UUID)
    assert [liveness.is_gone(holder) for holder in holders] == [*[False] * 3, *[True] * 3]
    assert not liveness.is_gone(present)
    # Somebody has put something else there.
    liveness.release(UUID)
    with open(present.path, "wb") as file:
        file.write(b"\xff\n\n x y z\n" * 1000)
    assert not liveness.is_gone(present)
    assert liveness.hold(UUID).mark != present.mark


def test_who_follows_one_that_lives_knows_of_those_before(process):
    process.kill()
    process.wait()
    second = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(HOLD)],
        env={**os.environ, "ZC_ASYNC_UUID": instanceuuid.UUID_PATH},
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    # It has ended without a trace in the database, where there is the first one's name.
    assert Holder(*second.stdout.split()).mark != process.holder.mark
    assert liveness.hold(UUID) is not None
    assert liveness.is_gone(process.holder)


def test_a_process_that_let_go_makes_room(process):
    assert tell(process, "release") == "released"
    assert liveness.hold(UUID).mark != process.holder.mark


def test_a_fork_does_not_outlive_its_parent(process):
    child = int(tell(process, "fork"))
    assert not liveness.is_gone(process.holder)
    process.kill()
    process.wait()
    assert liveness.is_gone(process.holder)
    os.kill(child, signal.SIGKILL)


def test_the_same_process_holds_it_once(folder):
    holder = liveness.hold(UUID)
    assert liveness.hold(UUID) == holder
    assert not liveness.is_gone(holder)
    liveness.release(UUID)
    liveness.release(UUID)
    assert liveness.is_gone(holder)
    assert liveness.hold(UUID).mark != holder.mark


def test_nothing_is_known_of_other_hosts_and_other_boots(process, monkeypatch):
    process.kill()
    process.wait()
    assert not liveness.is_gone(process.holder._replace(boot="another"))
    assert not liveness.is_gone(process.holder._replace(boot=""))
    assert not liveness.is_gone(None)
    monkeypatch.setattr(liveness, "_BOOT_ID", liveness._BOOT_ID / "missing")
    assert not liveness.is_gone(process.holder)


def test_another_file_at_the_same_place_says_nothing(process):
    """As in another container of the host."""
    process.kill()
    process.wait()
    with open(process.holder.path, "w") as file:
        file.write("something else\n")
    assert not liveness.is_gone(process.holder)
    os.unlink(process.holder.path)
    assert not liveness.is_gone(process.holder)


def test_a_holder_whose_file_is_being_written_lives(process):
    with open(process.holder.path, "w"):
        pass
    with pytest.raises(HeldElsewhereError) as caught:
        liveness.hold(UUID)
    assert caught.value.args[1] == "?"


def test_where_there_is_no_place_for_a_file_nothing_is_held(monkeypatch, tmp_path):
    monkeypatch.setattr(instanceuuid, "UUID_PATH", str(tmp_path / "none" / "uuid.txt"))
    assert liveness.hold(UUID) is None


def test_where_nothing_can_be_written_the_file_is_not_locked(folder):
    """As on a full disk. When there is room again, this process itself is not in the way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert liveness.hold(UUID) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert liveness.hold(UUID) is not None


def test_a_host_that_tells_no_boot_id_holds_a_lock_all_the_same(folder, monkeypatch):
    monkeypatch.setattr(liveness, "_BOOT_ID", liveness._BOOT_ID / "missing")
    holder = liveness.hold(UUID)
    assert holder.boot == ""
    assert not liveness.is_gone(holder)
