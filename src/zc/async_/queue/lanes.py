"""The container of the lanes of a queue.

Many processes may put their first job into a queue at the same time, each through a new lane. So
the lanes lie in buckets that never split: two insertions into a bucket are always merged. A removal
does not conflict with an insertion either, since the first key of a bucket is never removed.

Every new lane writes its whole bucket again. So there are several buckets, and unused lanes are
removed: see `zc.async_.queue.disused`.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import persistent
from BTrees.OOBTree import OOBTree, OOBucket

#: The number of buckets. With more, each is smaller, and a look at an idle queue takes longer.
BUCKETS = 8

#: The first key of each bucket. No lane has it: its value is None.
FIRST = ""


class Lanes(persistent.Persistent):
    """The lanes of a queue, by the keys of their leases. This record is never written again."""

    def __init__(self, earlier: OOBTree | None = None, buckets: int = BUCKETS) -> None:
        """`earlier`: the tree in which an older version kept lanes; it may still get new ones.

        `buckets`: how many buckets to make; with none, new lanes go into `earlier` too.
        """
        self._buckets = tuple(OOBucket({FIRST: None}) for _number in range(buckets))
        self._earlier = earlier

    @property
    def is_of_older_version(self) -> bool:
        """Whether new lanes still go where an older version kept them."""
        return not self._buckets

    def with_buckets(self) -> "Lanes":
        """A replacement for the lanes of an older version, with buckets."""
        return Lanes(self._earlier)

    @property
    def connection(self) -> Any:
        """The connection of the lanes, or None."""
        return self._mappings()[0]._p_jar

    def _bucket(self, key: str) -> Any:
        if not self._buckets:
            return self._earlier
        return self._buckets[zlib.crc32(key.encode()) % len(self._buckets)]

    def _mappings(self) -> list[Any]:
        return [*self._buckets, *([] if self._earlier is None else [self._earlier])]

    def get(self, key: str, default: Any = None) -> Any:
        """The lane with that key, or `default`."""
        if key == FIRST:
            return default
        lane = self._bucket(key).get(key)
        if lane is None and self._earlier is not None:
            lane = self._earlier.get(key)
        return default if lane is None else lane

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __getitem__(self, key: str) -> Any:
        lane = self.get(key)
        if lane is None:
            raise KeyError(key)
        return lane

    def __setitem__(self, key: str, lane: Any) -> None:
        self._bucket(key)[key] = lane

    def __delitem__(self, key: str) -> None:
        bucket = self._bucket(key)
        del (bucket if key in bucket or self._earlier is None else self._earlier)[key]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of key and lane."""
        return [
            (key, lane) for lanes in self._mappings() for key, lane in lanes.items() if key != FIRST
        ]

    def values(self) -> list[Any]:
        """The lanes."""
        return [lane for _key, lane in self.items()]

    def keys(self) -> list[str]:
        """The keys."""
        return [key for key, _lane in self.items()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        mappings = self._mappings()
        for lanes in mappings:
            # `len` of a bucket that cannot be loaded raises SystemError, which hides the reason.
            lanes._p_activate()
        return sum(map(len, mappings)) - len(mappings)

    def records(self) -> Iterator[Any]:
        """The records that change when a lane is added or removed."""
        if self._p_jar is not None:
            yield self
        yield from self._buckets
        if self._earlier is not None:
            yield from records_of_tree(self._earlier)


def records_of_tree(tree: Any) -> Iterator[Any]:
    """The records of a BTree that change when a key is added."""
    yield tree
    bucket = tree._firstbucket
    while bucket is not None:
        yield bucket
        bucket = bucket._next
