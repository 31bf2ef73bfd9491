"""Sequences that grow by one item at a time without a rewrite of all items.

The first items are a tuple in the owner's record; usually these are all. Further items are in a
BTree by their numbers. Code that adds an item has to write the owner's record too. So two
transactions that add an item at the same time conflict, and so does one that relies on the present
length.
"""

from collections.abc import Iterator
from typing import Any

from BTrees.IOBTree import IOBTree

#: The most items in the record of their owner.
IN_RECORD = 16


def extended(
    first: tuple[Any, ...], further: IOBTree | None, item: Any
) -> tuple[tuple[Any, ...], IOBTree | None]:
    """The parts of a sequence with one more item."""
    if further is None:
        if len(first) < IN_RECORD:
            return (*first, item), None
        further = IOBTree()
    further[further.maxKey() + 1 if further else 0] = item
    return first, further


def items(first: tuple[Any, ...], further: IOBTree | None, position: int = 0) -> Iterator[Any]:
    """The items of a sequence, from a position on."""
    yield from first[position:]
    if further is not None:
        yield from further.values(max(0, position - len(first)))


def length(first: tuple[Any, ...], further: IOBTree | None) -> int:
    """The number of items."""
    return len(first) + (further.maxKey() + 1 if further else 0)
