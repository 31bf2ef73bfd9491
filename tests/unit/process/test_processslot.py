"""Slots of the processes that share a UUID file."""

import os
import subprocess
import sys
import textwrap

import pytest

#: Prints its slot, and another line for each line it is sent; ends with its input.
HOLD = """
    import sys
    from zc.async_.process.processslot import process_slot
    print(process_slot(), flush=True)
    for line in sys.stdin:
        print(process_slot(), flush=True)
"""


class Interpreters:
    """Fresh interpreters that share one UUID file."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, code, *, where="uuid.txt"):
        """Start one that runs `code`."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            cwd=self.folder,
            env={**os.environ, "ZC_ASYNC_UUID": str(self.folder / where)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def hold(self, **options):
        """Start one that takes a slot and keeps it; return it and the slot."""
        process = self.start(HOLD, **options)
        return process, int(process.stdout.readline())

    def run(self, code):
        """Run `code` to its end; return what it printed."""
        out, err = self.start(code).communicate(timeout=60)
        assert err == ""
        return out

    def end(self, process):
        """End one in good order."""
        process.communicate(timeout=60)

    def close(self):
        """End all that are left."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()


@pytest.fixture
def interpreters(tmp_path):
    """Start interpreters in a folder of their own."""
    interpreters = Interpreters(tmp_path)
    yield interpreters
    interpreters.close()


def test_living_processes_have_different_slots_from_zero_upwards(interpreters):
    assert [interpreters.hold()[1] for _ in range(3)] == [0, 1, 2]


def test_a_process_keeps_its_slot(interpreters):
    first, slot = interpreters.hold()
    second, _ = interpreters.hold()
    interpreters.end(second)
    first.stdin.write("\n")
    first.stdin.flush()
    assert int(first.stdout.readline()) == slot


def test_the_lowest_free_slot_is_taken(interpreters):
    (first, _), _, _ = (interpreters.hold() for _ in range(3))
    interpreters.end(first)
    assert interpreters.hold()[1] == 0
    assert interpreters.hold()[1] == 3


def test_a_killed_process_frees_its_slot(interpreters):
    killed, slot = interpreters.hold()
    killed.kill()
    killed.wait()
    assert interpreters.hold()[1] == slot


def test_processes_of_different_instances_do_not_meet(interpreters):
    assert interpreters.hold(where="one.txt")[1] == 0
    assert interpreters.hold(where="other.txt")[1] == 0


def test_the_locks_are_beside_the_uuid_file_and_empty(interpreters, tmp_path):
    interpreters.hold()
    interpreters.hold()
    names = ["uuid.txt", "uuid.txt.0.lock", "uuid.txt.1.lock"]
    assert sorted(os.listdir(tmp_path)) == names
    assert (tmp_path / "uuid.txt.0.lock").stat().st_size == 0


def test_threads_that_ask_at_once_get_one_slot(interpreters):
    printed = interpreters.run(
        """
        import sys, threading
        from zc.async_.process.processslot import process_slot
        sys.setswitchinterval(1e-6)
        start = threading.Barrier(16)
        slots = []

        def ask():
            start.wait()
            slots.append(process_slot())

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(set(slots))
        """
    )
    assert printed == "{0}\n"


def test_taking_a_slot_logs_nothing(interpreters):
    interpreters.hold()
    printed = interpreters.run(
        """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, level=0)
        from zc.async_.process.processslot import process_slot
        print(process_slot())
        """
    )
    assert printed == "1\n"


FORK = """
    import os
    from zc.async_.process.processslot import process_slot

    def in_child(function):
        # Return what `function` gave in a forked child that is still alive, and end the child.
        out, result = os.pipe()
        wait, go_on = os.pipe()
        child = os.fork()
        if not child:
            os.write(result, str(function()).encode())
            os.close(go_on)
            os.read(wait, 1)
            os._exit(0)
        os.close(result)
        text = os.read(out, 1000).decode()
        return text, lambda: (os.close(go_on), os.close(wait), os.waitpid(child, 0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
class TestForking:
    """A forked child is a process of its own."""

    def test_a_child_takes_a_slot_of_its_own_and_the_parent_keeps_its(self, interpreters):
        printed = interpreters.run(
            FORK
            + """
    print(process_slot())
    slot, end = in_child(process_slot)
    print(slot)
    end()
    print(process_slot())
    """
        )
        assert printed.split() == ["0", "1", "0"]

    def test_a_child_lets_the_slot_of_its_parent_go_without_unlocking_it(self, interpreters):
        parent = interpreters.start(
            FORK
            + """
    process_slot()
    slot, end = in_child(lambda: "no slot asked for")
    print("forked", flush=True)
    end_parent = input()
    end()
    """
        )
        assert parent.stdout.readline() == "forked\n"
        # The child closed its part of the lock: the parent still has it.
        assert interpreters.hold()[1] == 1

    def test_a_child_that_outlives_its_parent_does_not_keep_its_slot(self, interpreters):
        parent = interpreters.start(
            """
    import os
    from zc.async_.process.processslot import process_slot
    process_slot()
    parent_lives, held_by_parent = os.pipe()
    if os.fork():
        input()
        os._exit(0)
    os.close(held_by_parent)
    print("forked", flush=True)
    os.read(parent_lives, 1)
    input()
    print(process_slot(), flush=True)
    os._exit(0)
    """
        )
        assert parent.stdout.readline() == "forked\n"
        parent.stdin.write("\n")
        parent.stdin.flush()
        parent.wait(timeout=60)
        assert interpreters.hold()[1] == 0
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "1\n"

    def test_a_child_forked_while_another_thread_takes_the_slot_is_not_stuck(self, interpreters):
        printed = interpreters.run(
            """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # a fork among threads is the point
    """
            + FORK
            + """
    import threading
    import zc.async_.process.processslot as module
    taking, go_on = threading.Event(), threading.Event()
    take = module._take_slot

    def slowly():
        taking.set()
        go_on.wait()
        return take()

    module._take_slot = slowly
    thread = threading.Thread(target=process_slot)
    thread.start()
    taking.wait()
    module._take_slot = take
    slot, end = in_child(process_slot)
    print(slot)
    go_on.set()
    thread.join()
    print(process_slot())
    end()
    """
        )
        assert printed.split() == ["0", "1"]


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        pytest.param(
            "import os; os.mkdir(lock_path(0))", "directory", id="the file cannot be opened"
        ),
        pytest.param(
            "import errno, fcntl\n"
            "def flock(*_): raise OSError(errno.ENOLCK, 'no locks available')\n"
            "fcntl.flock = flock",
            "no locks available",
            id="the file system has no locks",
        ),
        pytest.param(
            "module.MAX_SLOTS = 0", "all of 0 are taken", id="there are too many processes"
        ),
    ],
)
def test_where_locks_cannot_be_had_the_slot_is_zero_and_that_is_logged_for_debugging(
    interpreters, obstacle, reason
):
    code = "\n".join(
        [
            "import logging, sys",
            "import zc.async_.process.processslot as module",
            "from zc.async_.process.processslot import lock_path, process_slot",
            "logging.basicConfig(stream=sys.stdout, level=0, format='%(levelname)s %(message)s')",
            obstacle,
            "print(process_slot(), process_slot())",
        ]
    )
    lines = interpreters.run(code).splitlines()
    assert lines[-1] == "0 0"
    assert len(lines) == 2
    assert lines[0].startswith("DEBUG no lock beside ")
    assert reason in lines[0]
