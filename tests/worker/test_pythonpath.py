"""Children find the modules that their parent finds, however its path came about."""

import json
import os
import subprocess
import sys

import pytest

from zc.async_.worker import pythonpath

SCRIPT = """\
import sys
sys.path[0:0] = {folders!r}
import json
from zc.async_.worker import pythonpath
print(json.dumps(pythonpath.environment({{"PYTHONPATH": {given!r}, "A": "b"}})))
"""


@pytest.fixture
def run_script(tmp_path):
    """Runs a script that adds folders to its path, as in a buildout; what it gives to children."""

    def run_script(*folders, given=""):
        script = tmp_path / "bin" / "script"
        script.parent.mkdir()
        script.write_text(SCRIPT.format(folders=list(map(str, folders)), given=given))
        done = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        return json.loads(done.stdout)

    return run_script


def test_what_a_script_has_added_is_handed_on(run_script, tmp_path):
    eggs = tmp_path / "eggs" / "one", tmp_path / "eggs" / "two"
    wanted = os.pathsep.join(map(str, eggs))
    assert run_script(*eggs) == {"PYTHONPATH": wanted, "A": "b"}


def test_it_comes_before_what_there_was(run_script, tmp_path):
    found = run_script(tmp_path / "egg", given="/srv/shop")
    assert found["PYTHONPATH"] == f"{tmp_path / 'egg'}{os.pathsep}/srv/shop"


def test_nothing_is_changed_if_an_interpreter_finds_all_by_itself(run_script):
    assert run_script(given="/srv/shop") == {"PYTHONPATH": "/srv/shop", "A": "b"}


def test_by_default_it_is_the_environment_of_this_process():
    assert pythonpath.environment().items() >= {"PATH": os.environ["PATH"]}.items()
