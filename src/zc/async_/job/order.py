"""The order of waiting jobs: keys that sort as the jobs are to run, and groups of like conditions.

A job's record knows its place; lanes, the backlog and claims use these keys.
"""

import struct
from typing import NamedTuple

#: The position of a waiting job among the others, as bytes that sort: rank, the time from which it
#: may run, the time of its arrival (microseconds), the key of its entry, its oid. No two jobs have
#: the same. (A tuple of numbers takes several times as long to store.)
SortKey = bytes

#: Greater than every `SortKey`.
AFTER_ALL = b"\xff" * 64

_NUMBERS = struct.Struct(">QQQQ")
_NUMBER = struct.Struct(">Q")
_RANK_OFFSET = 1 << 63


def sort_key(rank: int, effective: int, arrival: int, entry_key: int, oid: bytes) -> SortKey:
    """Put together the parts of a `SortKey`."""
    return _NUMBERS.pack(rank + _RANK_OFFSET, effective, arrival, entry_key) + oid


def rank_of(key: SortKey) -> bytes:
    """The rank in a `SortKey`: of two, the lower one goes first."""
    return key[:8]


def effective_of(key: SortKey) -> int:
    """The time (microseconds) in a `SortKey` from which the job may run."""
    return _NUMBER.unpack_from(key, 8)[0]


def entry_of(key: SortKey) -> int:
    """The key of the entry in a `SortKey`."""
    return _NUMBER.unpack_from(key, 24)[0]


def place_of(key: SortKey) -> bytes:
    """A `SortKey` without the key of the entry and the oid: each entry has these anyway."""
    return key[:24]


def entry_key_part(entry_key: int) -> bytes:
    """The part of a `SortKey` between `place_of` and the oid."""
    return _NUMBER.pack(entry_key)


def later_key(key: SortKey) -> bytes:
    """The key of a job among those due later: its `SortKey` without the rank."""
    return key[8:]


def entry_of_later(key: bytes) -> int:
    """The key of the entry in a `later_key`."""
    return _NUMBER.unpack_from(key, 16)[0]


def deadline_key(deadline: int, key: SortKey) -> bytes:
    """The key of a job among those with a deadline: deadline, key of the entry, oid."""
    return _NUMBER.pack(min(max(deadline, 0), (1 << 64) - 1)) + key[24:]


def entry_of_deadline(key: bytes) -> int:
    """The key of the entry in a `deadline_key`."""
    return _NUMBER.unpack_from(key, 8)[0]


def postponed(key: bytes, moment: int) -> bytes:
    """A `deadline_key` with another time (microseconds)."""
    return _NUMBER.pack(moment) + key[8:]


def time_of(key: bytes) -> int:
    """The time (microseconds) with which a `later_key` or a `deadline_key` begins."""
    return _NUMBER.unpack_from(key)[0]


#: A filter that refused a job: the oid of the agent and the version of the filter.
Refusal = tuple[bytes, int]


class GroupKey(NamedTuple):
    """What the jobs of a group have in common."""

    #: Whether they belong to the system: any dispatcher runs them, past filters and sizes.
    system: bool
    #: The names of the quotas they need, sorted.
    quota_names: tuple[str, ...]
    #: The filters that refused them, sorted.
    refusals: tuple[Refusal, ...]
    #: The labels that a worker has to have, sorted. (Stored keys of groups are without them.)
    needs: tuple[str, ...] = ()
