"""The benchmarks run, and report what they are to report. How fast anything is, is not tested."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.figures import Figure, at_least, at_most, median, rate

ROOT = Path(__file__).resolve().parent.parent

KEYS = {"name", "value", "unit", "raw", "ratio", "required", "met", "note"}


@pytest.fixture
def temporary():
    """A folder whose name is short: a server of PostgreSQL listens to a socket in it."""
    with tempfile.TemporaryDirectory(prefix="zc.async-") as folder:
        # That server runs under another account if root starts it.
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def bench(tmp_path, temporary):
    """Run `python -m benchmarks --quick`; return the process and what it wrote as JSON."""

    def run(*options):
        path = tmp_path / "bench.json"
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--quick", "--json", str(path), *options],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
            capture_output=True,
            text=True,
            timeout=240,
        )
        return finished, json.loads(path.read_text()) if path.exists() else None

    return run


def _check_shape(finished, content, temporary):
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert content["broken"] == []
    assert content["versions"]["zc.async"]
    assert all(set(figure) == KEYS for figure in content["figures"])
    assert all(figure["name"] in finished.stdout for figure in content["figures"])
    assert list(temporary.iterdir()) == []


def test_measures_of_one_process_report_their_figures(bench, temporary):
    finished, content = bench("--only", "claim,parallel", "--repeat", "2")
    _check_shape(finished, content, temporary)
    assert content["repeat"] == 2
    assert [figure["name"] for figure in content["figures"]] == [
        "claim, 10 blocked jobs",
        "claim, 600 blocked jobs",
        "claim, 600 to 10",
        "claim, 10 jobs for others",
        "claim, 600 jobs for others",
        "claim, 600 to 10, for others",
        "parallel jobs on 1 worker that ended",
    ]
    assert content["figures"][6]["met"] is True
    # Each measure says what it found before the next one begins.
    lines = finished.stdout.splitlines()
    found = [line.partition(":")[0] for line in lines[1 : lines.index("parallel (1 of 2) ...")]]
    assert found == [f"  {figure['name']}" for figure in content["figures"][:6]]


@pytest.mark.slow
def test_all_measures_report_figures_over_zeo_too(bench, temporary):
    finished, content = bench()
    _check_shape(finished, content, temporary)
    figures = {figure["name"]: figure for figure in content["figures"]}
    assert figures["put, ZEO"]["raw"] > 0
    assert figures["drain, ZEO, 2 x 20 workers"]["ratio"] > 0
    conflicts = [figure for name, figure in figures.items() if name.startswith("conflicts")]
    assert len(conflicts) == 3
    assert any("without zc.async" in figure["name"] for figure in conflicts)
    assert all(figure["met"] for figure in conflicts)


def test_an_unknown_measure_is_refused_with_the_names_of_the_known(bench):
    finished, content = bench("--only", "speed")
    assert finished.returncode == 2
    assert "'speed' is none of put, drain" in finished.stderr
    assert content is None


def test_a_figure_meets_its_bound_or_misses_it():
    assert rate("put", 60, 100, at_least(0.55)).met is True
    assert rate("put", 50, 100, at_least(0.55)).met is False
    assert Figure("latency", 5.1, "ms", required=at_most(5)).met is False
    assert Figure("latency", 5.1, "ms", required=at_least(0.5)).met is False
    assert Figure("latency", 5.1, "ms").met is None


def test_ratios_have_medians_of_their_own():
    runs = [[rate("put", 10, 100)], [rate("put", 30, 40)], [rate("put", 20, 50)]]
    (figure,) = median(runs)
    assert (figure.value, figure.raw, figure.ratio) == (20, 50, 0.4)


def test_a_figure_is_shown_by_itself():
    assert [
        report.line(rate("put", 1234.5, 6000, at_least(0.55), "one by one")),
        report.line(Figure("conflicts", 0, "errors", required=at_most(0))),
        report.line(Figure("latency", 5.1, "ms")),
    ] == [
        "  put:  1,234 jobs/s, 0.21 of 6,000/s  at least 0.55 of raw  MISSED  one by one",
        "  conflicts:  0 errors  at most 0  ok",
        "  latency:  5.10 ms",
    ]


def test_the_table_is_aligned_and_says_what_was_missed():
    lines = report.table(
        [
            rate("put", 1234.5, 6000, at_least(0.55), "one by one"),
            Figure("conflicts", 0, "errors", required=at_most(0)),
        ]
    ).splitlines()
    assert [line.rstrip() for line in lines] == [
        "               measured  raw commits  ratio  required",
        "put        1,234 jobs/s      6,000/s   0.21  at least 0.55 of raw  MISSED  one by one",
        "conflicts      0 errors                      at most 0             ok",
    ]
