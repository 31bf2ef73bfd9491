"""The command: what it says to users who are wrong. No traceback, and a remedy."""

import os
import subprocess
import sys

import pytest

import zc.async_.cli
from benchmarks.children import ROOT
from tests.worker.supervisors import PATIENCE


@pytest.fixture
def refused(tmp_path):
    """Runs `zc-async worker` to its end; returns the error and the status."""

    def refused(*arguments, environment=None):
        done = subprocess.run(
            [sys.executable, "-m", "zc.async_", "worker", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert "Traceback" not in done.stdout + done.stderr
        *records, last = done.stderr.splitlines()
        # Not even as records, and told once.
        assert all(" INFO supervisor[" in record for record in records), done.stderr
        name, _, text = last.partition(": ")
        assert name == "zc-async worker"
        return text, done.returncode

    return refused


def test_help_names_all_settings(capsys):
    with pytest.raises(SystemExit):
        zc.async_.cli.main(["worker", "--help"])
    help_ = capsys.readouterr().out
    for name in ("config", "db", "zope-conf", "setup", "grace", "max-memory", "hang-timeout"):
        assert f"--{name} " in help_


def test_arguments_are_checked_before_anything_is_started(refused, tmp_path):
    text, status = refused("--db", "zeo://localhost:1", "--threads", "x")
    assert (text, status) == ("--threads is 'x': give a number of jobs of at least 1", 2)
    text, status = refused()
    assert (text.partition(":")[0], status) == ("no database", 2)
    text, status = refused("--config", tmp_path / "nowhere.toml")
    assert text.startswith(f"cannot read the file {tmp_path}/nowhere.toml: No such file")
    assert status == 2
    assert not (tmp_path / "state").exists()


def test_an_extra_that_is_missing_is_named(monkeypatch, capsys):
    find_spec = zc.async_.cli.importlib.import_module("importlib.util").find_spec
    for package, arguments in (
        ("zodburi", ["--db", "zeo://localhost:1"]),
        ("psutil", ["--zope-conf", "zope.conf", "--max-memory", "1G"]),
    ):
        monkeypatch.setattr(
            "importlib.util.find_spec",
            lambda name, missing=package: None if name == missing else find_spec(name),
        )
        assert zc.async_.cli.main(["worker", *arguments]) == 2
        assert f"needs the package {package}: pip install 'zc.async[worker]'" in (
            capsys.readouterr().err
        )


def test_a_state_folder_that_cannot_be_used(refused, tmp_path):
    (tmp_path / "file").touch()
    text, status = refused("--db", "zeo://localhost:1", "--state", tmp_path / "file" / "state")
    assert text.startswith(f"cannot keep the state in {tmp_path}/file/state: Not a directory: ")
    assert status == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--db", "nix://x"], "nothing here can open the database nix://x: install the package "),
        (["--db", "file:///nowhere/Data.fs"], "cannot open the database file:///nowhere/Data.fs: "),
        (
            ["--db", "file://{folder}/letter.txt"],
            "cannot open the database file://{folder}/letter.txt: FileStorageFormatError",
        ),
        (
            ["--queue-db", "other"],
            "queue-db is 'other', and there is no such database: there are 'unnamed'; name one of",
        ),
        (["--setup", "tests.worker.nowhere:f"], "there is no module tests.worker.nowhere: correct"),
        (["--setup", "tests.worker.supervisors:f"], "tests.worker.supervisors has no f: correct"),
        (
            ["--setup", "tests.worker.supervisors:fail"],
            "setup (tests.worker.supervisors:fail) has raised ValueError: no such printer at all (",
        ),
        (
            ["--setup", "tests.worker.supervisors:leave"],
            "setup (tests.worker.supervisors:leave) has raised SystemExit: 3 (",
        ),
        (["--zope-conf", "{folder}/nowhere.conf"], "cannot read the file {folder}/nowhere.conf"),
        (
            ["--zope-conf", "{folder}/letter.txt"],
            "needs the package Zope, which cannot be imported",
        ),
    ],
)
def test_workers_that_cannot_begin_say_why_once(refused, tmp_path, arguments, message):
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam,\n")
    if not {"--db", "--zope-conf"} & set(arguments):
        arguments = ["--db", "file://{folder}/Data.fs", *arguments]
    text, status = refused(*[argument.format(folder=tmp_path) for argument in arguments])
    assert message.format(folder=tmp_path) in text
    assert status == 2


@pytest.mark.slow
def test_several_workers_say_it_once(refused, tmp_path, zeo):
    uri = "zeo://{}:{}".format(*zeo.address)
    text, status = refused(
        *("--db", uri, "--processes", "3", "--setup", "tests.worker.supervisors:fail")
    )
    assert "ValueError: no such printer at all" in text
    assert status == 2


@pytest.mark.slow
def test_a_file_that_another_process_has(refused, tmp_path, db):
    uri = f"file://{tmp_path}/data.fs"
    text, status = refused("--db", uri)
    assert text.startswith(f"the database {uri} is in use by another process, and one process ")
    assert status == 2


@pytest.mark.slow
def test_an_identity_that_makes_no_sense(refused, tmp_path):
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "worker-1.uuid"
    path.write_text("who knows")
    text, status = refused("--db", f"file://{tmp_path}/Data.fs")
    assert text == (
        f"zc.async UUID file {str(path)!r} has no UUID in its first line, which is 'who knows'. "
        "Put the instance's UUID back there, or delete the file to get a new identity."
    )
    assert status == 2


@pytest.mark.slow
def test_wrong_filters_of_agents_are_told(refused, tmp_path):
    config = tmp_path / "worker.toml"
    config.write_text("[[agents]]\nname = 'a'\nfilter = 'tests.worker.supervisors:nothing'")
    text, status = refused("--db", f"file://{tmp_path}/Data.fs", "--config", config)
    assert text == (
        "the filter of the agent 'a' is tests.worker.supervisors:nothing, and the module "
        "tests.worker.supervisors has no nothing: correct the name"
    )
    assert status == 2
