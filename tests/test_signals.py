"""Signals and the end of the interpreter, in real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import ZODB
from ZODB.FileStorage import FileStorage

from zc.async_.interfaces import KEY

#: Starts a dispatcher; the rest of a program follows.
START = """
    import os, signal, sys, threading, time
    import ZODB, ZODB.FileStorage
    import zc.async_.configure, zc.async_.dispatcher, zc.async_.subscribers, zc.async_.testing

    # Whatever measures the coverage may have put a handler of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    db = ZODB.DB(ZODB.FileStorage.FileStorage("data.fs"))
    zc.async_.configure.base()

    def start():
        zc.async_.configure.start(db, poll_interval=0.1)
        zc.async_.testing.get_poll(zc.async_.dispatcher.get(), 0)

    def idle():
        print("ready", flush=True)
        wait()

    def wait():
        # In pieces: the system may deliver a signal to any thread, and Python handles it when the
        # main thread runs next. A single wait of the main thread would just go on.
        for _ in range(6000):
            time.sleep(0.01)
"""


@pytest.fixture
def program(tmp_path):
    """Starts a program; those that are left are killed in the end."""
    started = []

    def program(code):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(START) + textwrap.dedent(code)],
            cwd=tmp_path,
            env={**os.environ, "ZC_ASYNC_UUID": str(tmp_path / "uuid.txt")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield program
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def activated(tmp_path, identity):
    """Tells whether the database says that the dispatcher is active."""

    def activated():
        database = ZODB.DB(FileStorage(str(tmp_path / "data.fs"), read_only=True))
        try:
            connection = database.open()
            agents = connection.root()[KEY][""].dispatchers[identity]
            return bool(agents.activated)
        finally:
            connection.close()
            database.close()

    return activated


def ready(process):
    """Wait until the program says that it is ready."""
    line = process.stdout.readline()
    assert line == "ready\n", line + process.stderr.read()


def ended(process):
    """Wait for the end; return the status and what was written."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_an_interrupt_stops_the_dispatcher_and_goes_on_as_keyboard_interrupt(program, activated):
    process = program(
        """
        start()
        dispatcher = zc.async_.dispatcher.get()
        try:
            idle()
        except KeyboardInterrupt:
            print(bool(dispatcher.activated), dispatcher.thread.is_alive())
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
            print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
            print(zc.async_.subscribers.signal_handlers)
        """
    )
    ready(process)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "False False\nTrue\nTrue\n{}\n", "")
    assert not activated()


def test_a_termination_stops_the_dispatcher_and_ends_the_process(program, activated):
    process = program("start(); idle()")
    ready(process)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (-signal.SIGTERM, "", "")
    assert not activated()


def test_a_signal_may_be_delivered_to_any_thread(program, activated):
    """As the system does now and then, when the main thread is slow to wake."""
    process = program(
        """
        start()

        def receive():
            time.sleep(0.1)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        threading.Thread(target=receive, daemon=True).start()
        idle()
        """
    )
    assert ended(process) == (-signal.SIGTERM, "ready\n", "")
    assert not activated()


def test_a_process_that_is_killed_says_nothing(program, activated):
    process = program("start(); idle()")
    ready(process)
    process.kill()
    assert ended(process) == (-signal.SIGKILL, "", "")
    assert activated()


def test_handlers_of_the_application_stay(program, activated):
    process = program(
        """
        def handle(number, frame):
            os.write(1, b"handled\\n")
            raise SystemExit(3)

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        start()
        print(signal.getsignal(signal.SIGTERM) is handle)
        print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
        print(zc.async_.subscribers.signal_handlers)
        idle()
        """
    )
    assert [process.stdout.readline() for _ in range(3)] == ["True\n", "True\n", "{}\n"]
    ready(process)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (3, "handled\n", "")
    # It was stopped at the exit of the interpreter.
    assert not activated()


def test_handlers_are_installed_from_the_main_thread_only(program, activated):
    process = program(
        """
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        zc.async_.subscribers.restore_signal_handlers()
        idle()
        """
    )
    assert process.stdout.readline() == "True\n"
    ready(process)
    process.send_signal(signal.SIGINT)
    status, _out, err = ended(process)
    assert status == -signal.SIGINT
    assert err.endswith("KeyboardInterrupt\n")
    assert not activated()


def test_handlers_are_not_restored_from_another_thread(program):
    process = program(
        """
        start()
        thread = threading.Thread(target=zc.async_.subscribers.restore_signal_handlers)
        thread.start()
        thread.join()
        print(len(zc.async_.subscribers.signal_handlers))
        """
    )
    assert ended(process) == (0, "1\n", "")


def test_a_handler_put_before_this_one_may_call_it(program, activated):
    process = program(
        """
        start()
        earlier = signal.getsignal(signal.SIGTERM)

        def handle(number, frame):
            os.write(1, b"handled\\n")
            earlier(number, frame)

        signal.signal(signal.SIGTERM, handle)
        idle()
        """
    )
    ready(process)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (-signal.SIGTERM, "handled\n", "")
    assert not activated()


def test_a_signal_stops_all_dispatchers(program, activated):
    process = program(
        """
        import uuid
        start()
        second = uuid.UUID(int=1)
        zc.async_.subscribers.ThreadedDispatcherInstaller(0.1, uuid=second)(
            zc.async_.interfaces.DatabaseOpened(db))
        first, second = zc.async_.dispatcher.get(), zc.async_.dispatcher.get(second)
        # Only one of them is forgotten.
        other = uuid.UUID(int=2)
        zc.async_.subscribers.ThreadedDispatcherInstaller(0.1, uuid=other)(
            zc.async_.interfaces.DatabaseOpened(db))
        zc.async_.subscribers.restore_signal_handlers(zc.async_.dispatcher.get(other))
        try:
            idle()
        except KeyboardInterrupt:
            print(first.thread.is_alive(), second.thread.is_alive())
            print(zc.async_.dispatcher.get(other).thread.is_alive())
        """
    )
    ready(process)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "False False\nTrue\n", "")
    assert not activated()


def test_the_end_of_the_program_stops_the_dispatcher(program, activated):
    assert ended(program("start()")) == (0, "", "")
    assert not activated()


def test_a_program_that_ends_with_an_error_stops_the_dispatcher(program, activated):
    status, _out, err = ended(program("start(); 1 / 0"))
    assert status == 1
    assert err.endswith("ZeroDivisionError: division by zero\n")
    assert not activated()


def test_an_interrupt_in_a_session_ends_a_statement_and_not_the_dispatcher(tmp_path, activated):
    statements = """
        start()
        os.kill(os.getpid(), signal.SIGINT)
        print(bool(zc.async_.dispatcher.get().activated))
    """
    session = subprocess.run(
        [sys.executable, "-W", "error", "-i", "-c", textwrap.dedent(START)],
        cwd=tmp_path,
        env={**os.environ, "ZC_ASYNC_UUID": str(tmp_path / "uuid.txt")},
        input=textwrap.dedent(statements),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert session.stdout == "True\n"
    assert session.stderr.count("KeyboardInterrupt") == 1
    assert session.returncode == 0
    # It has left at the end.
    assert not activated()


@pytest.fixture
def work(tmp_path):
    """A module of programs, with a job that waits."""
    (tmp_path / "work.py").write_text(
        "import os, threading\n"
        "begun, go_on = threading.Event(), threading.Event()\n"
        "def work():\n"
        "    begun.set()\n"
        "    go_on.wait(60)\n"
        "    return 'done'\n"
    )


def test_jobs_are_given_their_grace_period_at_the_end(program, work, activated):
    process = program(
        """
        import transaction
        sys.path.insert(0, os.getcwd())
        import work

        start()
        dispatcher = zc.async_.dispatcher.get()
        dispatcher.shutdown_grace_period = 60
        connection = db.open()
        job = zc.async_.interfaces.IQueue(connection).put(work.work)
        transaction.commit()
        work.begun.wait(60)

        def let_go_on():
            # Once the dispatcher has been told to stop, and not before.
            while dispatcher.activated:
                time.sleep(0.01)
            work.go_on.set()

        threading.Thread(target=let_go_on, daemon=True).start()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            wait()
        except KeyboardInterrupt:
            transaction.begin()
            print(job.result, job.status)
        """
    )
    assert ended(process) == (0, "done completed-status\n", "")
    assert not activated()


def test_a_second_interrupt_ends_the_grace_period(program, work, tmp_path, activated):
    process = program(
        """
        import transaction
        sys.path.insert(0, os.getcwd())
        import work

        start()
        dispatcher = zc.async_.dispatcher.get()
        dispatcher.shutdown_grace_period = 3600
        connection = db.open()
        zc.async_.interfaces.IQueue(connection).put(work.work)
        transaction.commit()
        work.begun.wait(60)

        def be_impatient():
            while dispatcher.activated:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=be_impatient, daemon=True).start()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            wait()
        except KeyboardInterrupt:
            print("left", not dispatcher.thread.is_alive())
        """
    )
    assert ended(process) == (0, "left True\n", "")
    assert not activated()
    # The job was handed back: whoever comes next is to ask its policy.
    database = ZODB.DB(FileStorage(str(tmp_path / "data.fs")))
    with contextlib.closing(database), database.transaction() as connection:
        (interruption,) = connection.root()[KEY][""]
        assert interruption.callable.__name__ == "handleInterrupt"
