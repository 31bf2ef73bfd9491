"""The names by which records know classes and functions."""

from typing import Any


def record_as(wing: str, *things: Any) -> None:
    """Have records name classes and functions as things of `wing`, wherever their files lie in it.

    The wing has to have them as attributes. So a move inside of it changes no record.
    """
    for thing in things:
        thing.__module__ = wing
