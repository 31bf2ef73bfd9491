"""Warnings that name the line that called this package."""

import sys
import warnings

_PACKAGE = __name__.rpartition(".")[0]


def warn(message: str, category: type[Warning]) -> None:
    """Issue a warning for the line that called this package. In any thread."""
    warnings.warn(message, category, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """The `stacklevel` of the first caller outside of this package, as seen from `warn`."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name != _PACKAGE and not name.startswith(_PACKAGE + "."):
            break
        frame = frame.f_back
        level += 1
    return level
