"""The historic name of `zc.async_`.

`async` became a keyword in Python 3.7, so no import statement can spell this package. Its name
lives on where names are text: in ZCML, in the pickles of old databases, in dotted names given to
`importlib` and on the command line. There `zc.async.X.Y` is the very module `zc.async_.X.Y`, so a
class is one class under both names. The ZCML files lie in this folder because
`<include package="zc.async" file="..." />` looks beside this file.

The finder is to be there before threads ask for modules. While one thread begins to run this file,
another that imports `zc.async.job` takes this half-made package as its parent without waiting, and
without the finder its import fails. Therefore `zc.async_` imports this package first of all, and a
program that imports `zc.async_` before it starts threads, as it does to configure it, never meets
that moment. For the same reason nothing of `zc.async_` is imported here before it is asked for.
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

#: Held while a real module is imported for an alias. Modules that import each other, ZODB's do too,
#: are met half-made where several threads begin to import them at once: to avoid a deadlock the
#: import system lets one thread go on without waiting for the other.
_one_at_a_time = threading.RLock()


def _real_name(name: str) -> str:
    """Return the name in `zc.async_` of the module that `name` spells with `zc.async`."""
    return _REAL + name[len(_ALIAS) :]


class _AliasLoader(importlib.abc.Loader):
    """Loads an alias by importing the real module.

    The import system writes the alias's spec on the module that `create_module` returns;
    `exec_module` puts the real one back. Until it has, other threads meet this loader on the real
    module, so whatever else a loader is asked for (resources, source, code) the real loader answers
    under the real name.
    """

    def __init__(self, real_spec: importlib.machinery.ModuleSpec) -> None:
        self._real_spec = real_spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the real module, completely initialised."""
        with _one_at_a_time:
            module = importlib.import_module(self._real_spec.name)
        # What the module has: a second spec, made for looking only, must not replace it.
        if module.__spec__ is not None:
            self._real_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give `module` its own spec back; its code has run already."""
        module.__spec__ = self._real_spec

    def get_code(self, name: str) -> CodeType | None:
        """Return the code of the real module; `python -m` runs it."""
        loader: Any = self._real_spec.loader
        code: CodeType | None = loader.get_code(self._real_spec.name)
        return code

    def is_package(self, name: str) -> bool:
        """Tell whether the real module is a package."""
        return self._real_spec.submodule_search_locations is not None

    def get_source(self, name: str) -> str | None:
        """Return the source of the real module, for tracebacks and debuggers."""
        loader: Any = self._real_spec.loader
        source: str | None = loader.get_source(self._real_spec.name)
        return source

    def get_filename(self, name: str) -> str:
        """Return the path of the real module's file."""
        loader: Any = self._real_spec.loader
        filename: str = loader.get_filename(self._real_spec.name)
        return filename

    def get_resource_reader(self, name: str) -> Any:
        """Return the real package's reader for `importlib.resources`."""
        loader: Any = self._real_spec.loader
        return loader.get_resource_reader(self._real_spec.name)


class _AliasFinder(importlib.abc.MetaPathFinder):
    """Finds `zc.async.X` where `zc.async_.X` is.

    It has to come before the finder of files: `zc.async.X` may be a package, and its `__path__`
    would let that finder load `zc.async.X.Y` a second time, with classes of its own.
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
        AttributeError: `zc.async_` has none of that name, or it is one of those that say what a
            module is (`__file__` and its like), which this package has of its own.
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
