"""`setUp` and `tearDown` under zope.testrunner, with layers: a real run of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent

#: What zope.testrunner says of threads that a test has begun and left.
LEFT = "left new threads behind"


@pytest.fixture
def run(tmp_path):
    """Runs the tests of a module of the application; returns the exit code and what is printed."""

    def run(module):
        options = f"--path {HERE} --package application --tests-pattern ^{module}$ -vv"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "zope.testrunner", *options.split()],
            cwd=tmp_path,
            env={**os.environ, "ZC_ASYNC_UUID": str(tmp_path / "uuid.txt")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_tests_of_a_layer_have_jobs_run_and_leave_no_thread(run):
    code, printed = run("tests")
    assert code == 1
    # Of the layer two pass, of the other class one does.
    assert "Ran 4 tests with 1 failures, 1 errors" in printed, printed
    assert "Ran 2 tests with 1 failures, 0 errors" in printed, printed
    assert "order 8, on purpose" in printed
    assert "ZeroDivisionError: on purpose" in printed
    assert "threads that are left: []" in printed
    assert LEFT not in printed


def test_zope_testrunner_would_have_told_of_threads_that_are_left(run):
    code, printed = run("leaving")
    assert code == 0, printed
    assert LEFT in printed
    assert "zc.async dispatcher" in printed
