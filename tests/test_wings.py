"""The package is laid out in wings, each on a floor: who may know whom."""

import ast
import importlib
from pathlib import Path

import pytest

import zc.async_

ROOT = Path(zc.async_.__file__).parent

#: From the bottom up: each may import from those before it.
FLOORS = (
    "process",
    "zeo",
    "relstorage",
    "storing",
    "running",
    "job",
    "agent",
    "queue",
    "dispatcher",
)

#: What operators ask with, above the wings: what each may import besides these.
QUESTIONS = {"commands": set(), "monitor": {"commands"}, "monitordb": {"commands"}}

#: What any wing may import: the contract, the clock, small things.
GROUND = {"interfaces", "clock", "dates", "utils", "warners", "threadlocal"}


def files(wing):
    return sorted((ROOT / wing).glob("*.py"))


def imports(path):
    """Pairs of a module and a name that is imported from it (None: the module itself)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from ((node.module, alias.name) for alias in node.names)


def of_this_package(path):
    """Parts of the modules behind `zc.async_`, and names."""
    for module, name in imports(path):
        words = module.split(".")
        if words[:2] != ["zc", "async_"]:
            continue
        words = words[2:]
        if not words and name is not None:
            words, name = [name], None
        if words:
            yield words, name


@pytest.mark.parametrize("wing", FLOORS)
def test_a_wing_imports_from_lower_ones_alone_and_through_their_faces(wing):
    below = FLOORS[: FLOORS.index(wing)]
    for path in files(wing):
        for words, name in of_this_package(path):
            if words[0] == wing or words[0] in GROUND:
                continue
            assert words[0] in below, f"{path} imports from {words[0]}, which is above"
            assert len(words) == 1, f"{path} imports from {'.'.join(words)}, past the face"
            if name is not None:
                face = importlib.import_module(f"zc.async_.{words[0]}")
                assert name in face.__all__, f"{path} imports {name} from {words[0]}"


@pytest.mark.parametrize("name", sorted(GROUND))
def test_the_ground_floor_knows_no_wing(name):
    for words, _name in of_this_package(ROOT / f"{name}.py"):
        assert words[0] in GROUND


def test_what_stands_above_the_wings_uses_their_faces():
    above = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in FLOORS]
    # Historic names of modules inside of a wing.
    aliases = {ROOT / "instanceuuid.py", ROOT / "partial.py"}
    for path in sorted(set(above) - aliases):
        for words, name in of_this_package(path):
            if words[0] in FLOORS:
                assert len(words) == 1, f"{path} imports from {'.'.join(words)}, past the face"
                face = importlib.import_module(f"zc.async_.{words[0]}")
                assert name is None or name in face.__all__, f"{path} imports {name}"


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_operators_ask_with_knows_nothing_that_stands_beside_it(name):
    for path in files(name):
        for words, _name in of_this_package(path):
            known = {name, *QUESTIONS[name], *GROUND, *FLOORS}
            assert words[0] in known, f"{path} imports from {words[0]}"
            if words[0] in QUESTIONS[name]:
                assert words[1:] in ([], ["values"], ["words"]), f"{path} imports past the face"


@pytest.mark.parametrize("wing", FLOORS)
def test_each_wing_says_what_it_is_about_and_exports_what_there_is(wing):
    face = importlib.import_module(f"zc.async_.{wing}")
    assert face.__doc__
    for name in face.__all__:
        assert hasattr(face, name)
