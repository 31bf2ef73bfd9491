"""Names that installers are given."""

from collections.abc import Iterable

from zc.twist.showing import show


def as_names(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    """Check names, and return them as a tuple."""
    found = () if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"{argument} is {show(names)}: give a tuple of names")
    return found
