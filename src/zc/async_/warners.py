"""Warnings that name the line of whoever called this package."""

import sys
import warnings

_PACKAGE = __name__.rpartition(".")[0]


def warn(message: str, category: type[Warning]) -> None:
    """Warn of the line that called this package. In any thread."""
    warnings.warn(message, category, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """How far up from `warn` whoever called this package is."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name != _PACKAGE and not name.startswith(_PACKAGE + "."):
            break
        frame = frame.f_back
        level += 1
    return level
