"""Whole runs, in this process."""

import io
import os
import signal
import sys
import threading

import pytest
import transaction
import ZODB

from tests.demo.tools import demo, figure, make_files, what_counts
from zc.async_.demo import files, report, search, session, storage
from zc.async_.demo.alone import Alone
from zc.async_.demo.stopping import Stop
from zc.async_.process.instanceuuid import getUUID


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(files, "BATCH_FILES", 20)


@pytest.fixture
def folder(tmp_path):
    return make_files(tmp_path / "files", 50)


@pytest.fixture
def instance(tmp_path):
    return tmp_path / "instance"


def test_all_files_are_indexed_and_found(folder, instance, capsys):
    (folder / "binary.txt").write_bytes(b"\0")
    (folder / "link.txt").symlink_to("nowhere")
    (folder / "best.rst").write_text("thread pool " * 100)
    assert demo(folder, "--instance", instance) == 0
    output = capsys.readouterr()
    assert output.err == ""
    lines = output.out.splitlines()
    assert lines[0] == f"indexing 53 files of {folder}"
    assert lines[1] == "files    51 indexed, 2 skipped (1 no text, 1 vanished)"
    words = sum(len(path.read_text().split()) for path in folder.glob("file*.txt")) + 200
    size = sum(path.stat().st_size for path in folder.glob("file*.txt")) + 1200
    assert lines[2] == f"words    {words:,}"
    assert lines[3].startswith(f"bytes    {size:,} read, ")
    # One for each file, and two for each of three batches.
    assert figure(output.out, "jobs") == 59
    assert lines[6] == "best of 6 hits for 'thread pool':"
    assert lines[7].endswith(" best.rst")
    assert len(lines) == 13
    assert "\x1b" not in output.out


def test_finished_instance_just_reports(folder, instance, capsys):
    demo(folder, "--instance", instance)
    first = capsys.readouterr().out.splitlines()
    size = (instance / "demo.fs").stat().st_size
    (folder / "file0000.txt").write_text("changed")
    assert demo("--instance", instance) == 0
    assert capsys.readouterr().out.splitlines() == first[1:]
    assert demo(folder, "--instance", instance, "--query", "nothing") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no hits for 'nothing'"
    assert (instance / "demo.fs").stat().st_size == size


def test_temporary_instance_is_removed(folder, tmp_path, capsys, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert demo(folder) == 0
    assert figure(capsys.readouterr().out, "files") == 50
    assert list(temporary.iterdir()) == []


def test_temporary_instance_that_cannot_be_made(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert demo(folder) == 1
    assert "cannot make a temporary folder (No such file or directory)" in capsys.readouterr().err


def test_environment_is_left_as_it_was(folder, monkeypatch):
    monkeypatch.delenv("ZC_ASYNC_UUID")
    assert demo(folder) == 0
    assert "ZC_ASYNC_UUID" not in os.environ


def test_standard_library_is_the_default(tmp_path, instance, capsys, monkeypatch):
    library = make_files(tmp_path / "library", 2)
    make_files(library / "site-packages", 1)
    monkeypatch.setattr(files, "standard_library", lambda: str(library))
    assert demo("--instance", instance) == 0
    assert figure(capsys.readouterr().out, "files") == 2


def test_instance_inside_the_folder_is_not_indexed(folder, capsys):
    assert demo(folder, "--instance", folder / "instance") == 0
    assert figure(capsys.readouterr().out, "files") == 50


def test_folders_that_cannot_be_read_are_told(folder, capsys, monkeypatch):
    list_files = files.list_files
    monkeypatch.setattr(
        files, "list_files", lambda *args: list_files(*args)._replace(unreadable_folders=2)
    )
    assert demo(folder) == 0
    assert "folders  2 could not be read\n" in capsys.readouterr().out


def test_progress_is_shown_on_a_terminal(folder, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert demo(folder) == 0
    assert "\x1b[" in terminal.getvalue()
    assert "indexing" in terminal.getvalue()


# -- instances that cannot be used


def test_instance_of_another_folder(folder, instance, tmp_path, capsys):
    demo(folder, "--instance", instance)
    capsys.readouterr()
    other = make_files(tmp_path / "other", 1)
    assert demo(other, "--instance", instance) == 2
    assert f"is of the folder {folder}: name another" in capsys.readouterr().err


def test_instance_in_use(folder, instance, capsys):
    instance.mkdir()
    opened = storage.open_storage(str(instance))
    assert demo(folder, "--instance", instance) == 1
    opened.close()
    assert "is in use by another process" in capsys.readouterr().err


def test_folder_of_something_else_is_left_alone(folder, instance, capsys):
    instance.mkdir()
    (instance / "thesis.tex").touch()
    assert demo(folder, "--instance", instance) == 2
    assert "is no instance of the demo" in capsys.readouterr().err
    assert [path.name for path in instance.iterdir()] == ["thesis.tex"]


def test_database_of_something_else(folder, instance, capsys):
    instance.mkdir()
    database = ZODB.DB(storage.open_storage(str(instance)))
    with database.transaction() as connection:
        connection.root()["accounts"] = {}
    database.close()
    assert demo(folder, "--instance", instance) == 2
    assert "is no instance of the demo" in capsys.readouterr().err


def test_instance_that_is_a_file(folder, instance, capsys):
    instance.touch()
    assert demo(folder, "--instance", instance) == 2
    assert f"cannot make or read the instance {instance}: File exists" in capsys.readouterr().err


# -- jobs that fail


def test_failed_jobs_are_told_and_the_rest_is_done(folder, instance, capsys, monkeypatch):
    split_words = search.split_words

    def fail(size, text):
        if text == "bad":
            raise ValueError(text)
        return split_words(size, text)

    (folder / "file0007.txt").write_text("bad")
    monkeypatch.setattr(search, "split_words", fail)
    assert demo(folder, "--instance", instance) == 1
    output = capsys.readouterr()
    assert figure(output.out, "files") == 49
    assert output.err == (
        f"zc-async demo: jobs of 1 files failed: events.log in {instance} says why\n"
    )
    assert "ValueError" in (instance / "events.log").read_text()


def test_failed_merge_does_not_keep_the_rest_waiting(folder, capsys, monkeypatch):
    add = search.add

    def fail(index, number, words):
        if number == 21:
            raise ValueError(number)
        add(index, number, words)

    monkeypatch.setattr(search, "add", fail)
    assert demo(folder) == 1
    output = capsys.readouterr()
    assert figure(output.out, "files") == 30
    assert "jobs of 20 files failed" in output.err


# -- stopping and going on


@pytest.fixture
def undisturbed(folder, capsys):
    """What counts of the report of a run that nothing disturbed."""
    assert demo(folder) == 0
    return what_counts(capsys.readouterr().out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda demo: demo.batches[1].job is None, id="while putting"),
        pytest.param(lambda demo: demo.read() > 0, id="while jobs run"),
    ],
)
def test_stopped_by_a_signal_it_goes_on(
    moment, number, folder, instance, undisturbed, capsys, monkeypatch
):
    show = report.Display.show
    sent = []

    def send(self, demo):
        show(self, demo)
        if not sent and moment(demo):
            sent.append(number)
            signal.raise_signal(number)

    monkeypatch.setattr(report.Display, "show", send)
    monkeypatch.setattr(session, "LOOK_INTERVAL", 0.001)
    previous = signal.getsignal(number)
    assert demo(folder, "--instance", instance) == 128 + number
    assert signal.getsignal(number) is previous
    assert capsys.readouterr().err == (
        f"zc-async demo: stopped by {number.name}: run it again with the same --instance, and it "
        "goes on where it was\n"
    )
    assert demo(folder, "--instance", instance) == 0
    output = capsys.readouterr().out
    assert output.startswith("going on with 50 files of")
    assert what_counts(output) == undisturbed


def test_stopped_temporary_instance_is_not_to_be_run_again(folder, capsys, monkeypatch):
    monkeypatch.setattr(report.Display, "show", lambda *args: signal.raise_signal(signal.SIGINT))
    assert demo(folder) == 130
    assert capsys.readouterr().err == "zc-async demo: stopped by SIGINT\n"


def crash(folder, instance, claimed):
    """Leave an instance as a process does that is killed when it has claimed some jobs."""
    instance.mkdir()
    os.environ["ZC_ASYNC_UUID"] = str(instance / "uuid.txt")
    opened = storage.open_storage(str(instance))
    made = session._Session(str(instance), Alone(opened))
    made.begin(str(folder), Stop())
    identity = getUUID()
    made._commit(made._start_run)
    made._commit(lambda: made._put_batch(made._demo.batches[0]))
    made._commit(lambda: claim(made._queue, identity, claimed))
    made.close()


def claim(queue, identity, claimed):
    agents = queue.dispatchers[identity]
    agents.activate()
    for _job in range(claimed):
        agents["main"].claimJob().activate_at(1)


def test_jobs_of_a_killed_process_are_done_again(
    folder, instance, undisturbed, capsys, monkeypatch
):
    monkeypatch.setenv("ZC_ASYNC_UUID", "")
    crash(folder, instance, 1)
    assert demo("--instance", instance) == 0
    output = capsys.readouterr().out
    assert output.startswith("going on with")
    assert what_counts(output) == undisturbed
    assert figure(output, "retries") >= 1


def test_instance_with_a_new_identity_goes_on_too(
    folder, instance, undisturbed, capsys, monkeypatch
):
    monkeypatch.setenv("ZC_ASYNC_UUID", "")
    crash(folder, instance, 1)
    (instance / "uuid.txt").unlink()
    assert demo("--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == undisturbed


def test_each_file_is_read_and_counted_once(folder, instance):
    assert demo(folder, "--instance", instance) == 0
    opened = storage.open_storage(str(instance))
    made = session._Session(str(instance), Alone(opened))
    assert made._demo.read() == 50
    assert made._demo.index.documentCount() == 50
    assert len(made._queue) == 0
    assert [agents.activated for agents in made._queue.dispatchers.values()] == [None]
    made.close()


def test_full_disk_of_a_temporary_instance(folder, capsys, monkeypatch):
    def fail(self, demo):
        self_error = OSError(28, "No space left on device")
        opened[0].error = self_error

    opened = []
    open_storage = session.open_storage
    monkeypatch.setattr(
        session, "open_storage", lambda path: opened.append(open_storage(path)) or opened[0]
    )
    monkeypatch.setattr(report.Display, "show", fail)
    assert demo(folder) == 1
    assert "no space to write in" in capsys.readouterr().err
    transaction.abort()
    opened[0].close()


def test_signals_are_left_alone_by_other_threads(folder, capsys):
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(demo(folder)))
    thread.start()
    thread.join()
    assert statuses == [0]


def test_errors_that_are_not_of_the_database_are_passed_on(folder, capsys, monkeypatch):
    def fail(self, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report.Display, "say", fail)
    assert demo(folder) == 1
    assert capsys.readouterr().err == "zc-async demo: [Errno 28] No space left on device\n"
