"""Durable jobs for applications on the ZODB."""

import importlib
from typing import TYPE_CHECKING, Any

# The alias's finder has to be there before several threads ask for modules through it at once.
importlib.import_module("zc.async")

from zc.async_.threadlocal import local  # noqa: E402

if TYPE_CHECKING:
    from zc.async_.job import find

__all__ = ["find", "local"]


def __getattr__(name: str) -> Any:
    # Not at once: what it needs is imported for nobody who only wants a part.
    if name == "find":
        from zc.async_.job import find

        return find
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
