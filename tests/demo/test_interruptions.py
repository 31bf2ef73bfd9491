"""Processes that are killed, stopped and out of space, and started again."""

import os
import random
import shutil
import signal
import subprocess

import pytest

from tests.demo.tools import PATIENCE, demo, make_files, start, wait_for_size, what_counts


def undisturbed(folder, instance, capsys):
    """What counts of the report of an undisturbed run, and the size of its database."""
    assert demo(folder, "--instance", instance) == 0
    return what_counts(capsys.readouterr().out), (instance / "demo.fs").stat().st_size


def kill(folder, instance, size):
    """Run until the database has a size, and kill without a warning."""
    process = start(folder, "--instance", instance)
    running = wait_for_size(process, instance / "demo.fs", size)
    process.kill()
    output = process.communicate(timeout=PATIENCE)
    assert running, output


def test_killed_once_it_goes_on(tmp_path, capsys):
    folder = make_files(tmp_path / "files", 60)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    kill(folder, instance, size // 2)
    assert demo(folder, "--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == expected


@pytest.mark.slow
def test_killed_at_three_random_moments_it_goes_on(tmp_path, capsys):
    seed = int(os.environ.get("DEMO_SEED") or random.SystemRandom().randrange(1_000_000))
    with capsys.disabled():
        print(f"DEMO_SEED={seed}")
    folder = make_files(tmp_path / "files", 800, seed)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    for moment in sorted(random.Random(seed).uniform(0.02, 0.9) for _kill in range(3)):
        kill(folder, instance, int(size * moment))
    assert demo(folder, "--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == expected


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_process_goes_on(number, tmp_path, capsys):
    folder = make_files(tmp_path / "files", 600)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    process = start(folder, "--instance", instance)
    assert wait_for_size(process, instance / "demo.fs", size // 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert len(out.splitlines()) == len(err.splitlines()) == 1
    assert demo(folder, "--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == expected


def assert_it_says_that_there_is_no_space(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1
    assert err.startswith("zc-async demo: no space to write in ")
    assert len(out.splitlines()) <= 1


@pytest.mark.parametrize(
    "share",
    [
        0.0001,
        pytest.param(0.3, marks=pytest.mark.slow),
        pytest.param(0.5, marks=pytest.mark.slow),
        pytest.param(0.7, marks=pytest.mark.slow),
        pytest.param(0.9, marks=pytest.mark.slow),
    ],
)
def test_out_of_space_it_says_so_and_goes_on_with_space(share, tmp_path, capsys):
    folder = make_files(tmp_path / "files", 100)
    expected, size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = tmp_path / "instance"
    limit = int(size * share)
    for _run in range(2):
        assert_it_says_that_there_is_no_space(start(folder, "--instance", instance, limit=limit))
    assert demo(folder, "--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == expected


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own for an instance; the test is skipped where that is not allowed."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(mounted)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.slow
def test_on_a_full_disk_it_says_so_and_goes_on_with_space(small_disk, tmp_path, capsys):
    folder = make_files(tmp_path / "files", 600)
    expected, _size = undisturbed(folder, tmp_path / "undisturbed", capsys)
    instance = small_disk / "instance"
    for _run in range(2):
        assert_it_says_that_there_is_no_space(start(folder, "--instance", instance))
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert demo(folder, "--instance", instance) == 0
    assert what_counts(capsys.readouterr().out) == expected
