"""The command line: help, exit statuses, and one line for every error."""

import os
import re
import subprocess
import sys

import pytest

import zc.async_.cli
import zc.async_.demo.command
import zc.async_.demo.files
from tests.demo.tools import PATIENCE, demo, make_files


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        pytest.param(["--help"], 0, "COMMAND", id="help"),
        pytest.param(["demo", "--help"], 0, "--instance DIR", id="help of the demo"),
        pytest.param(["--version"], 0, "zc.async ", id="version"),
        pytest.param([], 2, "COMMAND", id="no command"),
        pytest.param(["dance"], 2, "invalid choice", id="unknown command"),
    ],
)
def test_arguments_are_explained(arguments, status, text, capsys):
    with pytest.raises(SystemExit) as caught:
        zc.async_.cli.main(arguments)
    assert caught.value.code == status
    output = capsys.readouterr()
    assert text in output.out + output.err


@pytest.mark.parametrize("module", ["zc.async_", "zc.async"])
def test_output_that_is_no_terminal_has_no_control_characters(module, tmp_path):
    folder = make_files(tmp_path / "files", 3)
    (folder / "red\x1b[31m.txt").write_text("thread pool thread pool")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "ZC_ASYNC_UUID"}
    done = subprocess.run(
        [sys.executable, "-m", module, "demo", str(folder)],
        cwd=elsewhere,
        env={**environment, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert re.findall(rb"[^\x20-\x7e\n]", done.stdout) == []
    assert rb"'red\x1b[31m.txt'" in done.stdout
    # Neither the temporary instance nor an identity is left where the command was called.
    assert list(elsewhere.iterdir()) == []


def one_error(capsys):
    """The line of an error, without the name of the command."""
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1
    name, message = lines[0].split(": ", 1)
    assert name == "zc-async demo"
    return message


def test_missing_folder(tmp_path, capsys):
    assert demo(tmp_path / "no", "--instance", tmp_path / "instance") == 2
    assert one_error(capsys) == f"there is no folder {tmp_path / 'no'}"
    assert not (tmp_path / "instance").exists()


def test_folder_that_is_a_file(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert demo(file) == 2
    assert one_error(capsys) == f"{file} is no folder"


def test_unreadable_folder(tmp_path, capsys, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    # The tests may run as a user for whom nothing is unreadable.
    monkeypatch.setattr(zc.async_.demo.files.os, "scandir", refuse)
    assert demo(tmp_path) == 2
    assert one_error(capsys) == f"cannot read the folder {tmp_path}: Permission denied"


def test_folder_without_text(tmp_path, capsys):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "image.png").touch()
    assert demo(folder, "--instance", tmp_path / "instance") == 2
    assert "holds no text, Python or ReST file (*.md, *.py" in one_error(capsys)


@pytest.mark.parametrize("query", ["", "(", "the", "not pool"])
def test_query_that_cannot_be_understood(query, tmp_path, capsys):
    assert demo(tmp_path, "--query", query) == 2
    assert one_error(capsys).startswith(f"cannot search for {query!r} (")


@pytest.mark.parametrize("package", ["rich.progress", "zope.index.text.textindex"])
def test_missing_extra(package, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert demo() == 1
    assert one_error(capsys).endswith('pip install "zc.async[demo]"')


def test_reader_of_the_output_that_has_seen_enough(capsys, monkeypatch):
    def run(*arguments):
        raise BrokenPipeError

    monkeypatch.setattr(zc.async_.demo.command, "run", run)
    assert demo() == 1
    assert capsys.readouterr().err == ""


def test_unforeseen_error_of_the_operating_system(capsys, monkeypatch):
    def run(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zc.async_.demo.command, "run", run)
    assert demo() == 1
    assert one_error(capsys) == "[Errno 28] No space left on device"


def test_names_that_are_no_text_can_be_written(monkeypatch, tmp_path):
    folder = make_files(tmp_path / "files", 1)
    name = os.fsencode(folder) + b"/\xff.txt"
    try:
        with open(name, "w") as file:
            file.write("thread pool")
    except OSError:
        pytest.skip("file names are text here")
    with open(tmp_path / "out", "w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert demo(folder) == 0
    assert r"'\udcff.txt'" in (tmp_path / "out").read_text()


@pytest.mark.parametrize("number", ["0", "two", ""])
def test_a_wrong_number_of_processes(number, capsys):
    assert demo("--processes", number) == 2
    assert one_error(capsys) == (f"--processes is {number!r}: give a number of at least 1, or auto")


def test_the_extra_of_worker_processes(capsys, monkeypatch):
    monkeypatch.setattr(zc.async_.demo.command.importlib.util, "find_spec", lambda name: None)
    assert demo("--processes", "2") == 1
    assert one_error(capsys).endswith('pip install "zc.async[worker]"')
