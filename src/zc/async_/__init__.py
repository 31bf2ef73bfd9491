"""Durable jobs for applications on the ZODB."""

import importlib

# The alias's finder has to be there before several threads ask for modules through it at once.
importlib.import_module("zc.async")

from zc.async_.ids import find  # noqa: E402
from zc.async_.threadlocal import local  # noqa: E402

__all__ = ["find", "local"]
