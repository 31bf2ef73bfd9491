"""Functions that settings name."""

import sys

import pytest

from zc.async_.worker import SettingsError, functions


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def module(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    yield module
    for name in ("shop_a", "shop_b"):
        sys.modules.pop(name, None)


def refused(name):
    with pytest.raises(SettingsError) as caught:
        functions.find(name, "setup")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_function_is_found(module):
    module("shop_a", "def setup(): return 42\nclass Shop:\n    setup = setup")
    assert functions.find("shop_a:setup", "setup")() == 42
    assert functions.find("shop_a:Shop.setup", "setup")() == 42
    assert functions.find("os.path:join", "setup")("a", "b") == "a/b"


def test_what_is_missing_is_named(module):
    assert refused("shop_nowhere:setup").startswith(
        "setup is shop_nowhere:setup, and there is no module shop_nowhere: correct the name, or "
    )
    assert "there is no module os.nowhere" in refused("os.nowhere:setup")
    module("shop_a", "number = 3")
    assert refused("shop_a:setup") == (
        "setup is shop_a:setup, and the module shop_a has no setup: correct the name"
    )
    assert refused("shop_a:number") == "setup is shop_a:number, which is no function: name one"


def test_a_module_that_lacks_another_is_not_itself_missing(module):
    module("shop_a", "\nimport shop_nowhere")
    assert (
        "whose module cannot be imported: ModuleNotFoundError: No module named 'shop_nowhere'"
        in (refused("shop_a:setup"))
    )
    assert "shop_a.py, line 2)" in refused("shop_a:setup")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero ("),
        ("def f(:", "SyntaxError: "),
        ("raise ValueError('a\\nb')", "ValueError: a b ("),
        ("raise SystemExit('bye')", "SystemExit: bye ("),
        ("class E(Exception):\n  def __str__(self): 1 / 0\nraise E", "E: "),
        ("raise ValueError('x' * 100000)", "ValueError: xxx"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_a_line(module, text, told):
    module("shop_b", text)
    message = refused("shop_b:setup")
    assert f"whose module cannot be imported: {told}" in message
    assert len(message) < 5000
