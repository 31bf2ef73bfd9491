"""The demo with worker processes: killed, stopped and out of space as the other."""

import os
import signal
import time

import pytest
import ZODB
from ZODB.FileStorage import FileStorage
from zope.interface.verify import verifyClass

from tests.demo.test_interruptions import (
    assert_it_says_that_there_is_no_space,
    kill,
    undisturbed,
)
from tests.demo.tools import PATIENCE, demo, make_files, start, wait_for_size, what_counts
from zc.async_.demo import jobs, records
from zc.async_.demo.alone import Alone
from zc.async_.demo.crewed import Crewed
from zc.async_.demo.place import IPlace
from zc.async_.demo.storage import open_storage
from zc.async_.worker.statefolder import StateFolder

pytestmark = pytest.mark.slow

TWO = ("--processes", "2")


def workers(instance):
    """How many dispatchers have run jobs that read files."""
    database = ZODB.DB(FileStorage(str(instance / "demo.fs"), read_only=True))
    with database.transaction() as connection:
        demo = connection.root()[records.KEY]
        found = {
            job.agent.parent.UUID
            for batch in demo.batches
            for job in jobs.all_jobs(batch)
            if job.callable is jobs.read_file
        }
    database.close()
    return len(found)


def assert_nobody_is_left(instance):
    """The locks of supervisor and workers are free."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            folder = StateFolder(str(instance / "workers"))
            break
        except Exception:
            assert time.monotonic() < end
            time.sleep(0.05)
    locks = [folder.lock_slot(1), folder.lock_slot(2), folder._descriptor]
    for lock in locks:
        os.close(lock)


def test_two_processes_do_the_work(tmp_path, capsys):
    folder = make_files(tmp_path / "files", 250)
    expected, _size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    assert demo(folder, "--instance", instance, *TWO) == 0
    output = capsys.readouterr()
    assert what_counts(output.out) == expected
    assert output.err == ""
    assert workers(instance) == 2
    assert_nobody_is_left(instance)
    # Any other run can look at it.
    assert demo("--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == expected


def test_killed_it_goes_on_with_or_without_processes(tmp_path, capsys):
    folder = make_files(tmp_path / "files", 400)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    for moment, arguments in ((0.2, TWO), (0.4, ()), (0.6, TWO)):
        process = start(folder, "--instance", instance, *arguments)
        assert wait_for_size(process, instance / "demo.fs", int(size * moment))
        process.kill()
        process.communicate(timeout=PATIENCE)
    # At once: what it left behind is about to end.
    assert demo(folder, "--instance", instance, *TWO) == 0
    assert what_counts(capsys.readouterr().out) == expected
    assert_nobody_is_left(instance)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_goes_on(number, tmp_path, capsys):
    folder = make_files(tmp_path / "files", 250)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    process = start(folder, "--instance", instance, *TWO)
    assert wait_for_size(process, instance / "demo.fs", size // 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert len(out.splitlines()) == len(err.splitlines()) == 1
    assert_nobody_is_left(instance)
    assert demo(folder, "--instance", instance, *TWO) == 0
    assert what_counts(capsys.readouterr().out) == expected


@pytest.mark.parametrize("share", [0.0001, 0.5])
def test_out_of_space_it_says_so_and_goes_on_with_space(share, tmp_path, capsys):
    folder = make_files(tmp_path / "files", 200)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    limit = int(size * share)
    for _run in range(2):
        assert_it_says_that_there_is_no_space(
            start(folder, "--instance", instance, *TWO, limit=limit)
        )
    assert demo(folder, "--instance", instance, *TWO) == 0
    assert what_counts(capsys.readouterr().out) == expected


def test_workers_that_cannot_begin_are_told_of(tmp_path, capsys):
    instance = tmp_path / "instance"
    folder = make_files(tmp_path / "files", 10)
    kill(folder, instance, 1)
    (instance / "workers").write_text("in the way")
    assert demo(folder, "--instance", instance, *TWO) == 1
    assert capsys.readouterr().err == (
        f"zc-async demo: the worker processes have ended: events.log in {instance} says why\n"
    )
    assert "cannot keep the state in" in (instance / "events.log").read_text()


def test_an_instance_in_use(tmp_path, capsys):
    instance = tmp_path / "instance"
    instance.mkdir()
    opened = open_storage(str(instance))
    assert demo(make_files(tmp_path / "files", 1), "--instance", instance, *TWO) == 1
    opened.close()
    assert "is in use by another process" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [Alone, Crewed])
def test_each_kind_of_place_is_one(kind):
    verifyClass(IPlace, kind)
