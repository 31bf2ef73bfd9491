"""`zc.async` and `zc.async_` are one package under two names."""

import copyreg
import importlib
import importlib.resources
import importlib.util
import io
import os
import pickle
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import ZODB.broken
from zope.configuration import xmlconfig

import zc.async_
import zc.async_.interfaces

#: Modules that a program may well import first, and at once, through the alias.
MODULES = ["interfaces", "instanceuuid", "job", "queue", "agent", "dispatcher"]


@pytest.fixture
def alias():
    """The alias package, which no import statement can spell."""
    return importlib.import_module("zc.async")


@pytest.fixture
def run(tmp_path):
    """Run code in a fresh interpreter; return what it printed."""

    def run_code(code, *options):
        command = [sys.executable, "-W", "error", *options]
        if code is not None:
            command += ["-c", textwrap.dedent(code)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "ZC_ASYNC_UUID": str(tmp_path / "uuid.txt")},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_code


def test_a_module_is_the_same_under_both_names(alias):
    module = importlib.import_module("zc.async.interfaces")
    assert module is zc.async_.interfaces
    assert sys.modules["zc.async.interfaces"] is sys.modules["zc.async_.interfaces"]


def test_a_module_keeps_its_name_and_spec(alias):
    importlib.import_module("zc.async.interfaces")
    module = zc.async_.interfaces
    assert module.__name__ == "zc.async_.interfaces"
    assert module.__spec__.name == "zc.async_.interfaces"
    assert module.__spec__ is importlib.util.find_spec("zc.async_.interfaces")


def test_a_module_can_be_loaded_anew(run):
    # In a process of its own: the classes of the module are others afterwards.
    printed = run(
        """
        import importlib
        module = importlib.import_module("zc.async.interfaces")
        print(importlib.reload(module) is module)
        """
    )
    assert printed == "True\n"


def test_a_module_in_a_subpackage_is_not_loaded_twice():
    real = importlib.import_module("zc.async_.dispatcher")
    assert real.__path__, "the dispatcher is no longer a package: choose another for this test"
    name = next(path.stem for path in Path(real.__path__[0]).glob("[a-z]*.py"))
    module = importlib.import_module(f"zc.async.dispatcher.{name}")
    assert module is importlib.import_module(f"zc.async_.dispatcher.{name}")


def test_attributes_are_those_of_the_real_package(alias):
    assert alias.local is zc.async_.local
    assert alias.interfaces is zc.async_.interfaces
    assert "local" in dir(alias)
    assert "local" not in vars(alias)


def test_a_missing_attribute_is_named(alias):
    with pytest.raises(AttributeError, match=r"'zc\.async' has no attribute 'nothing'"):
        alias.nothing  # noqa: B018


def test_a_missing_module_is_not_found(alias):
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("zc.async.nothing")
    assert caught.value.name == "zc.async.nothing"


def test_what_a_module_is_the_alias_has_of_its_own(alias):
    assert Path(alias.__file__).parent.name == "async"
    assert not hasattr(alias, "__wrapped__")


def test_an_error_in_the_real_module_comes_through_as_it_is(alias, tmp_path, monkeypatch):
    (tmp_path / "faulty_module.py").write_text("1 / 0\n")
    monkeypatch.setattr(zc.async_, "__path__", [*zc.async_.__path__, str(tmp_path)])
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("zc.async.faulty_module")
    assert "zc.async.faulty_module" not in sys.modules
    assert "zc.async_.faulty_module" not in sys.modules


def test_pickles_of_old_load_and_are_written_anew_under_the_real_name():
    error = pickle.loads(b"czc.async.interfaces\nTimeoutError\n.")
    assert error is zc.async_.interfaces.TimeoutError
    assert b"zc.async_.interfaces" in pickle.dumps(error)


def test_a_pickled_job_of_old_is_of_todays_class():
    job = importlib.import_module("zc.async_.job").Job
    assert pickle.loads(b"czc.async.job\nJob\n.") is job
    assert ZODB.broken.find_global("zc.async.job", "Job") is job


def test_a_database_finds_classes_under_the_historic_name():
    found = ZODB.broken.find_global("zc.async.interfaces", "AbortedError")
    assert found is zc.async_.interfaces.AbortedError


def test_the_zcml_files_are_resources_of_the_alias(alias):
    names = {item.name for item in importlib.resources.files("zc.async").iterdir()}
    assert "__init__.py" in names
    with importlib.resources.as_file(importlib.resources.files(alias)) as folder:
        assert {path.name for path in folder.glob("*.zcml")} <= names


def test_resources_of_an_aliased_package_are_those_of_the_real_one():
    dispatcher = importlib.resources.files("zc.async.dispatcher")
    assert dispatcher == importlib.resources.files("zc.async_.dispatcher")


def test_zcml_is_included_by_the_historic_name_and_finds_relative_handlers(alias, tmp_path):
    file = tmp_path / "included.zcml"
    file.write_text(
        """
        <configure xmlns="http://namespaces.zope.org/zope">
          <utility
              provides=".interfaces.IUUID"
              component=".instanceuuid.UUID"
              name="alias test" />
        </configure>
        """
    )
    # `include` looks beside the package's file; where the test's file is, seen from there:
    beside = os.path.relpath(file, Path(alias.__file__).parent)
    context = xmlconfig.string(
        f"""
        <configure xmlns="http://namespaces.zope.org/zope">
          <include package="zope.component" file="meta.zcml" />
          <include package="zc.async" file="{beside}" />
        </configure>
        """,
        execute=False,
    )
    from zc.async_.process.instanceuuid import UUID

    registrations = [action["args"] for action in context.actions if action["args"]]
    assert any(UUID in args for args in registrations)
    discriminators = [action["discriminator"] for action in context.actions]
    assert ("utility", zc.async_.interfaces.IUUID, "alias test") in discriminators


def test_a_module_can_be_run_by_the_historic_name():
    # Looked at rather than timed: the code of the real file runs, under the name __main__.
    names = runpy.run_module("zc.async.process.processslot", run_name="__main__")
    assert names["__file__"] == importlib.import_module("zc.async_.process.processslot").__file__
    assert names["MAX_SLOTS"] == importlib.import_module("zc.async_.process.processslot").MAX_SLOTS


def test_python_m_runs_the_package_by_the_historic_name(run):
    assert "zc-async" in run(None, "-m", "zc.async", "--help")


def test_the_source_of_an_alias_is_that_of_the_real_module(run):
    # In a fresh process the alias's own spec is met, not the one that the module has.
    printed = run(
        """
        import importlib.util, zc.async_
        spec = importlib.util.find_spec("zc.async.interfaces")
        real = importlib.util.find_spec("zc.async_.interfaces")
        print(spec.name, spec.origin == real.origin, spec.submodule_search_locations)
        print(spec.loader.get_source(spec.name) == real.loader.get_source(real.name))
        print(spec.loader.get_filename(spec.name) == real.origin)
        print(spec.loader.is_package(spec.name))
        package = importlib.util.find_spec("zc.async.dispatcher")
        print(package.loader.is_package(package.name))
        print([path.endswith("async_/dispatcher") for path in package.submodule_search_locations])
        print(package.loader.get_resource_reader(package.name).files().name)
        """
    )
    assert printed.split("\n") == [
        "zc.async.interfaces True None",
        "True",
        "True",
        "False",
        "True",
        "[True]",
        "dispatcher",
        "",
    ]


def test_an_old_pickle_loads_where_only_the_real_package_was_imported(run):
    printed = run(
        r"""
        import pickle, zc.async_
        print(pickle.loads(b"czc.async.interfaces\nTimeoutError\n."))
        """
    )
    assert printed == "<class 'zc.async_.interfaces.TimeoutError'>\n"


def test_an_old_pickle_loads_where_nothing_was_imported(run):
    printed = run(
        r"""
        import pickle
        print(pickle.loads(b"czc.async.interfaces\nTimeoutError\n."))
        """
    )
    assert printed == "<class 'zc.async_.interfaces.TimeoutError'>\n"


def test_the_real_package_brings_the_alias_with_it(run):
    # What keeps threads from meeting a half-made alias package: it is there before they start.
    assert run("import sys, zc.async_; print('zc.async' in sys.modules)") == "True\n"


@pytest.mark.parametrize(
    "attempt", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 2))]
)
def test_threads_may_import_through_the_alias_for_the_first_time_at_once(run, attempt):
    printed = run(
        f"""
        import importlib, sys, threading, zc.async_
        sys.setswitchinterval(1e-6)
        modules = {MODULES!r}
        start = threading.Barrier(4 * len(modules))
        failed = []

        def load(name):
            start.wait()
            try:
                alias = importlib.import_module("zc.async." + name)
                real = importlib.import_module("zc.async_." + name)
                if alias is not real:
                    failed.append(name + " is twice")
            except BaseException as error:
                failed.append(repr(error))

        threads = [threading.Thread(target=load, args=(n,)) for n in 4 * modules]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in modules:
            real = sys.modules.get("zc.async_." + name)
            if real is not None and real.__spec__.name != real.__name__:
                failed.append(name + " has lost its spec")
        print(failed)
        """
    )
    assert printed == "[]\n"


def test_instances_pickled_through_the_alias_are_equal_to_todays():
    # The way an object of a class is stored: copyreg's function with the class as argument.
    old = b"ccopyreg\n__newobj__\n(czc.async.interfaces\nTimeoutError\ntR."
    assert type(pickle.load(io.BytesIO(old))) is zc.async_.interfaces.TimeoutError
    assert copyreg.__newobj__(zc.async_.interfaces.TimeoutError).args == ()
