"""The life of a job is in one place, and a job is what those ask for who run it."""

import ast
from pathlib import Path

import pytest

import zc.async_
from zc.async_.job import Job
from zc.async_.running.contract import RunnableJob

ROOT = Path(zc.async_.__file__).parent

#: What the steps of a job's life change.
OF_LIFE = {
    "_callbacks_end",
    "_parent",
    "_result",
    "_status_id",
    "_unlisted",
    "arrival_key",
    "assigner_bytes",
    "awaited_job",
    "claim_token",
    "end_moment",
    "entry_key",
    "given_up_places",
    "kept_policy",
    "left_callbacks",
    "missing_code",
    "receipt_databases",
    "returned_job",
    "runner_claim",
    "start_moment",
    "stored_args",
    "stored_kwargs",
    "was_put_back",
}

#: Of classes of their own, which have no jobs' records before them.
OTHERS = {"dispatcher", "testing", "demo", "zeo", "process"}


def assigned(path):
    """The attributes that a file sets or deletes, and of what."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.attr, ast.unparse(node.value), node.lineno


def test_no_other_wing_sets_what_the_life_of_a_job_changes():
    for path in sorted(ROOT.rglob("*.py")):
        wing = path.relative_to(ROOT).parts[0]
        if wing == "job" or wing in OTHERS:
            continue
        for name, owner, line in assigned(path):
            assert name not in OF_LIFE or owner == "self", f"{path}:{line} sets {owner}.{name}"


def test_a_status_is_set_by_steps_alone():
    for path in sorted((ROOT / "job").glob("*.py")):
        lines = [line for name, _owner, line in assigned(path) if name == "_status_id"]
        assert len(lines) == (path.name == "life.py"), f"{path}: {lines}"


def members(kind):
    return sorted(name for name in vars(kind) if name not in vars(type("C", (), {})))


#: Python's own names of a protocol.
PROTOCOL = {name for name in dir(RunnableJob) if name.startswith("_") and name[1] != "p"}


@pytest.mark.parametrize("name", sorted({*members(RunnableJob)} - PROTOCOL))
def test_a_job_has_what_is_asked_of_it_when_it_runs(name):
    assert hasattr(Job, name) or name in Job.__annotations__ or name.startswith("_p_")
