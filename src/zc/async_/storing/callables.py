"""How a job stores its callable.

Global functions, built-ins and classes are stored by name and looked up when the job runs. So a job
whose code is gone still loads, and reports that. A method of an object that can be stored is kept
as the object and a name. Any other callable is stored as it is.
"""

import functools
import importlib
import inspect
import sys
import types
from typing import Any

import ZODB.broken

import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import MissingCallableError
from zc.twist.showing import show

#: 'module:qualified.name'; or an object and the name of its method, or None for the object itself.
Stored = str | tuple[Any, str | None]

_GLOBAL = (types.FunctionType, types.BuiltinFunctionType, type)


def to_stored(callable: Any) -> Stored:
    """The stored form of a callable. TypeError if it cannot be called."""
    # Of these types only: the __getattr__ of a Persistent object would not expect a look-up of
    # __self__.
    if isinstance(callable, _GLOBAL):
        # The __self__ of a built-in function is its module, or the object of which it is a method.
        owner = getattr(callable, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType) or isinstance(callable, type):
            name = f"{callable.__module__}:{callable.__qualname__}"
            return name if _is_global(name, callable) else (callable, None)
        return owner, callable.__name__
    if isinstance(callable, types.MethodType):
        return callable.__self__, _name_of(callable)
    if isinstance(callable, zc.twist.METHOD_WRAPPER_TYPE):
        return zc.twist.get_self(callable), callable.__name__
    if not hasattr(callable, "__call__"):  # noqa: B004  (`callable` is the historic name here)
        raise TypeError(f"{show(callable)} cannot be called: put a function, a method or a job")
    return callable, None


def is_coroutine_function(callable: Any) -> bool:
    """Whether a call makes a coroutine, and runs none of the code of what is called.

    Only functions, their methods and `functools.partial` of them are looked at.
    """
    called = callable
    while isinstance(called, functools.partial):
        called = called.func
    if isinstance(called, types.MethodType):
        called = called.__func__
    return isinstance(called, types.FunctionType) and bool(
        called.__code__.co_flags & inspect.CO_COROUTINE
    )


def from_stored(stored: Stored) -> Any:
    """The callable of a stored form. `MissingCallableError` if its name cannot be resolved."""
    if not isinstance(stored, str):
        return _method(*stored)
    try:
        return _resolve(stored)
    except (ImportError, AttributeError) as error:
        raise MissingCallableError(
            f"cannot import {stored.replace(':', '.')!r} ({error}): install or restore the code, "
            "or keep an alias under the old name until its jobs are done"
        ) from error


def _method(owner: Any, name: str | None) -> Any:
    """A method of a stored object, or the object itself."""
    kind = type(owner)
    where = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(owner, ZODB.broken.Broken):
        raise MissingCallableError(f"the class {where} is missing: install or restore the code")
    if name is None:
        return owner
    try:
        return getattr(owner, name)
    except AttributeError as error:
        if hasattr(kind, name):
            # It exists: a property raised the error, or an attribute that it is computed from.
            raise
        raise MissingCallableError(
            f"{where} has no {show(name)} any more: restore it, or keep an alias under the old "
            "name until its jobs are done"
        ) from error


def stored_repr(stored: Stored, showing: Any = None) -> str:
    """A readable form; imports nothing. `showing`: the `Showing` that this text is part of."""
    if isinstance(stored, str):
        return stored.replace(":", ".")
    root, name = stored
    text = (showing or utils.new_showing()).text(root)
    return text if name is None else f"{text} :{name}"


def stored_name(stored: Stored) -> str:
    """The dotted name of what is called: it imports and loads nothing.

    Of a method it is that of the class of its object, and its own; of an object that of its class.
    """
    if isinstance(stored, str):
        return stored.replace(":", ".")
    root, name = stored
    named = root if isinstance(root, _GLOBAL) else type(root)
    words = [named.__module__, named.__qualname__, *([] if name is None else [name])]
    return ".".join(map(str, words))


def root_of(stored: Stored) -> Any:
    """The object whose method is called, or None."""
    return stored[0] if isinstance(stored, tuple) and stored[1] is not None else None


def _name_of(method: types.MethodType) -> str:
    """The name under which a method is found in its object. TypeError if there is none."""
    owner, function = method.__self__, method.__func__
    name: str = getattr(function, "__name__", "")
    if getattr(owner, name, None) == method:
        return name
    # Private names are mangled, and decorators may hide the name.
    for class_ in inspect.getmro(owner if isinstance(owner, type) else type(owner)):
        for name, value in vars(class_).items():
            if getattr(value, "__func__", value) is function:
                return name
    raise TypeError(f"{show(method)} is no method of its object: put one of a class, or a function")


def _resolve(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for step in path.split("."):
        found = getattr(found, step)
    return found


def _is_global(name: str, callable: Any) -> bool:
    module = sys.modules.get(callable.__module__)
    if module is not None and vars(module).get(callable.__qualname__) is callable:
        # The usual case. `import_module` takes time even for a module that is imported already.
        return True
    try:
        # Class methods and the like make a new, equal object each time.
        return bool(_resolve(name) == callable)
    except (ImportError, AttributeError):
        return False
