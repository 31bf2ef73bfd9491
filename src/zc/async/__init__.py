"""The historic name of `zc.async_`.

`async` became a keyword in Python 3.7, so no import statement can spell this package. Its name
lives on where names are text: in ZCML, in the pickles of old databases, in dotted names given to
`importlib` and on the command line. There `zc.async.X.Y` is the same module as `zc.async_.X.Y`, so
a class is the same class under both names. The ZCML files lie in this folder because
`<include package="zc.async" file="..." />` looks beside this file.

The finder has to be installed before threads import modules. While one thread begins to run this
file, another that imports `zc.async.job` takes this half-made package as its parent without
waiting; without the finder its import fails. Therefore `zc.async_` imports this package first of
all. A program imports `zc.async_` to configure it, before it starts threads, so it never has this
problem. For the same reason, nothing of `zc.async_` is imported here until it is needed.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from types import CodeType, ModuleType
from typing import Any

_ALIAS = "zc.async"
_REAL = "zc.async_"

#: Held while a real module is imported for an alias. If several threads begin at once to import
#: modules that import each other, as those of ZODB do, a thread may see one half-made: to avoid a
#: deadlock, the import system lets it go on without waiting for the other thread.
_one_at_a_time = threading.RLock()


def _real_name(name: str) -> str:
    """Return the name under `zc.async_` of a module whose `name` begins with `zc.async`."""
    return _REAL + name[len(_ALIAS) :]


class _AliasLoader(importlib.abc.Loader):
    """Loads an alias by importing the real module.

    The import system sets the alias's spec on the module that `create_module` returns;
    `exec_module` restores the real one. Until then other threads find this loader on the real
    module. So for resources, source and code it asks the real loader, under the real name.
    """

    def __init__(self, real_spec: importlib.machinery.ModuleSpec) -> None:
        self._real_spec = real_spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the real module, completely initialised."""
        with _one_at_a_time:
            module = importlib.import_module(self._real_spec.name)
        # The module's own spec: a second spec, made only to look, must not replace it.
        if module.__spec__ is not None:
            self._real_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the spec of `module`; its code has run already."""
        module.__spec__ = self._real_spec

    def _loader_of_code(self) -> Any:
        """The real loader; one of files, if the real loader does not tell of the code it loads."""
        spec = self._real_spec
        if hasattr(spec.loader, "get_code") or spec.origin is None:
            return spec.loader
        # pytest's, which loads the modules of each distribution that has a plug-in for it.
        return importlib.machinery.SourceFileLoader(spec.name, spec.origin)

    def get_code(self, name: str) -> CodeType | None:
        """Return the code of the real module; `python -m` runs it."""
        loader = self._loader_of_code()
        code: CodeType | None = loader.get_code(self._real_spec.name)
        return code

    def is_package(self, name: str) -> bool:
        """Tell whether the real module is a package."""
        return self._real_spec.submodule_search_locations is not None

    def get_source(self, name: str) -> str | None:
        """Return the source of the real module, for tracebacks and debuggers."""
        loader = self._loader_of_code()
        source: str | None = loader.get_source(self._real_spec.name)
        return source

    def get_filename(self, name: str) -> str:
        """Return the path of the real module's file."""
        loader = self._loader_of_code()
        filename: str = loader.get_filename(self._real_spec.name)
        return filename

    def get_resource_reader(self, name: str) -> Any:
        """Return the real package's reader for `importlib.resources`."""
        loader: Any = self._real_spec.loader
        return loader.get_resource_reader(self._real_spec.name)


class _AliasFinder(importlib.abc.MetaPathFinder):
    """Finds `zc.async.X` as `zc.async_.X`.

    It has to come before the finder of files: `zc.async.X` may be a package, and its `__path__`
    would let that finder load `zc.async.X.Y` a second time, with separate classes.
    """

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec whose loader gives the real module, or None if there is no such module."""
        if not fullname.startswith(_ALIAS + "."):
            return None
        real_spec = importlib.util.find_spec(_real_name(fullname))
        if real_spec is None:
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname,
            _AliasLoader(real_spec),
            origin=real_spec.origin,
            is_package=real_spec.submodule_search_locations is not None,
        )
        spec.has_location = real_spec.has_location
        if real_spec.submodule_search_locations is not None:
            spec.submodule_search_locations = real_spec.submodule_search_locations
        return spec


sys.meta_path.insert(0, _AliasFinder())


def __getattr__(name: str) -> Any:
    """Return the attribute `name` of `zc.async_`.

    Raises:
        AttributeError: `zc.async_` has none of that name, or it is a special attribute of modules
            (like `__file__`), which this package has itself.
    """
    if not (name.startswith("__") and name.endswith("__")):
        try:
            return getattr(importlib.import_module(_REAL), name)
        except AttributeError:
            pass
    raise AttributeError(f"module {_ALIAS!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of `zc.async_` with those of this package."""
    return sorted({*globals(), *dir(importlib.import_module(_REAL))})
