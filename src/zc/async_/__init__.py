"""Durable jobs for applications on the ZODB."""

import importlib
from typing import TYPE_CHECKING, Any

# The finder of the alias has to be installed before several threads import modules through it.
importlib.import_module("zc.async")

from zc.async_.threadlocal import local  # noqa: E402

if TYPE_CHECKING:
    from zc.async_.job import find

__all__ = ["find", "local"]


def __getattr__(name: str) -> Any:
    # Imported on demand: a program that needs only a part should not import all of this.
    if name == "find":
        from zc.async_.job import find

        return find
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
