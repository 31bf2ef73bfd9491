"""The folder of identities and locks."""

import os
import subprocess
import sys

import pytest

from tests.programs import run_program
from zc.async_.worker import WorkerError
from zc.async_.worker.statefolder import StateFolder, note_holder


@pytest.fixture
def folder(tmp_path):
    """A folder that this process has."""
    folder = StateFolder(str(tmp_path / "a" / "state"))
    yield folder
    os.close(folder._descriptor)


def test_the_folder_is_made(folder):
    assert os.path.isdir(folder.path)
    assert folder.uuid_path(3) == os.path.join(folder.path, "worker-3.uuid")


def test_only_one_supervisor_has_it_and_the_other_is_told_who(folder, tmp_path):
    done = run_program(
        tmp_path,
        f"""
        from zc.async_.worker import WorkerError
        from zc.async_.worker.statefolder import StateFolder
        try:
            StateFolder({folder.path!r})
        except WorkerError as error:
            print(error)
        """,
    )
    assert done.stdout == (
        f"the state folder {folder.path} is in use by another supervisor (process {os.getpid()}): "
        "end that, or name another folder with --state\n"
    )


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match=r"cannot keep the state in .*name another folder") as e:
        StateFolder(str(tmp_path / "file" / "state"))
    assert e.value.status == 2


def test_a_slot_belongs_to_a_process_that_inherits_it(folder):
    lock = folder.lock_slot(1)
    assert folder.lock_slot(1) is None
    other = folder.lock_slot(2)
    os.close(other)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock]
    )
    note_holder(lock, child.pid)
    os.close(lock)
    assert folder.lock_slot(1) is None
    assert folder.holder(1) == f" (process {child.pid})"
    child.communicate(b"\n")
    lock = folder.lock_slot(1)
    assert lock is not None
    os.close(lock)


def test_what_is_in_the_file_of_a_lock_need_not_make_sense(folder):
    assert folder.holder(7) == ""
    with open(os.path.join(folder.path, "worker-7.lock"), "w") as file:
        file.write("who knows")
    assert folder.holder(7) == ""
