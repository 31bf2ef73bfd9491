"""Sets the names by which records know classes and functions."""

from typing import Any


def record_as(wing: str, *things: Any) -> None:
    """Make records name classes and functions as attributes of `wing`, whatever file they are in.

    The wing has to have these attributes. A move to another file of the wing then changes no
    record.
    """
    for thing in things:
        thing.__module__ = wing
