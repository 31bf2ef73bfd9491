"""Nothing is lost or done twice, whatever breaks."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.torture import run
from tests.torture.run import options

ROOT = Path(__file__).resolve().parents[2]


def torture(tmp_path, *arguments):
    """Run the command; the logs of one that fails are kept with those of the test."""
    return subprocess.run(
        [sys.executable, "-m", "tests.torture", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
def test_jobs_take_effect_once_whatever_breaks(tmp_path):
    finished = torture(tmp_path, "--seconds", "10", "--seed", "1", "--kills", "10")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "seed 1" in finished.stdout
    assert "\nbroken 0" not in finished.stdout
    assert list(tmp_path.glob("zc.async-torture-*")) == []


@pytest.mark.slow
def test_jobs_take_effect_once_whatever_breaks_for_long(tmp_path):
    finished = torture(tmp_path, "--seconds", "60")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_command_line_says_how_much_is_wanted():
    assert options(["--seconds", "10", "--seed", "3"])[:4] == (10, 3, 400, 8)
    wanted = options(["--jobs", "7", "--kills", "2", "--without", "cut, kill"])
    assert (wanted.jobs, wanted.kills, wanted.without) == (7, 2, ("cut", "kill"))


@pytest.mark.slow
def test_what_does_not_end_is_a_fault_and_gives_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # No time is given to end.
    monkeypatch.setattr(run, "LONGEST_DRAIN", 0)
    assert run.main(["--seconds", "1", "--seed", "1", "--kills", "0"]) == 1
    told = capsys.readouterr().out
    assert "\nNOT ENDED after" in told
    assert "NOT ENDED: jobs were left in the end" in told
