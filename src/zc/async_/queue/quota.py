"""Quotas limit how many jobs of a kind run at once.

Claims ask `zc.async_.queue.places.Places` whether a quota has a free place.
"""

from collections.abc import Iterator
from typing import Any

import persistent
import zope.interface
from BTrees.OOBTree import OOBTree

import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.interfaces import ACTIVE, ASSIGNED, NEW
from zc.async_.storing import Located, originals
from zc.twist.showing import show


class Members(persistent.Persistent):
    """The jobs that hold a place. Only claims write this.

    A plain tuple, never a container that merges changes: two claims that take the last place must
    conflict.
    """

    #: Jobs, with the tokens of the claims that gave them their places.
    jobs: tuple[tuple[Any, int], ...] = ()


def _holds_place(name: str, job: Any, token: int) -> bool:
    if job.claim_token != token:
        # The job was put back since, and perhaps removed, edited or claimed again.
        return False
    # NEW: claimed by code that has not put it into an agent, or that calls it by hand.
    if job.status not in (NEW, ASSIGNED, ACTIVE):
        return False
    if job.given_up_places is None:
        # An older version has freed its places if it waits.
        return not job.is_suspended()
    return name not in job.given_up_places


@zope.interface.implementer(zc.async_.interfaces.IQuota)
class Quota(Located, persistent.Persistent):
    """See `zc.async_.interfaces.IQuota`.

    The size and the members are in different records: changing the size does not conflict with
    claims.
    """

    def __init__(self, name: str, size: int = 1) -> None:
        self.name = name
        self.members = Members()
        self.size = size

    def __setstate__(self, state: Any) -> None:
        if "members" not in originals.attributes(state):
            originals.refuse(self, state, "parent")
        super().__setstate__(state)

    @property
    def size(self) -> int:
        """See `zc.async_.interfaces.IQuota`."""
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        utils.check_size("a quota", value)
        is_opened = value > 0 and getattr(self, "_size", None) == 0
        self._size = value
        if is_opened and self.parent is not None:
            self.parent.note_reopened(self.name)

    @property
    def filled(self) -> bool:
        """See `zc.async_.interfaces.IQuota`."""
        return len(self) >= self.size

    def __len__(self) -> int:
        return sum(1 for job in self)

    def __getitem__(self, index: Any) -> Any:
        return self._data[index]

    @property
    def _data(self) -> tuple[Any, ...]:
        """The jobs that hold a place now, under the original's name."""
        return tuple(self)

    def __iter__(self) -> Iterator[Any]:
        return (job for job, token in self.members.jobs if _holds_place(self.name, job, token))

    def __contains__(self, job: Any) -> bool:
        return any(member is job for member in self)

    def clean(self) -> None:
        """See `zc.async_.interfaces.IQuota`."""
        holding = tuple(m for m in self.members.jobs if _holds_place(self.name, *m))
        if len(holding) != len(self.members.jobs):
            self.members.jobs = holding

    def take_place(self, job: Any) -> None:
        """Give a job a place. Only for claims, which know that one is free."""
        others = (m for m in self.members.jobs if _holds_place(self.name, *m) and m[0] is not job)
        self.members.jobs = (*others, (job, job.claim_token))

    def release(self, jobs: Any) -> bool:
        """Free the places that these `jobs` no longer need; return whether there were any."""
        members = self.members.jobs
        if not any(member is job for member, _token in members for job in jobs):
            return False
        self.clean()
        return len(self.members.jobs) != len(members)


def _new_notes() -> OOBTree:
    # Never empty: the first insertion into a tree, and the last deletion, cannot be merged.
    return OOBTree({(): 0})


@zope.interface.implementer(zc.async_.interfaces.IQuotas)
class Quotas(Located, persistent.Persistent):
    """See `zc.async_.interfaces.IQuotas`."""

    #: Quotas of size 0 that were given places or removed. Claims do not ask quotas of size 0, but
    #: they ask these again. Maps names, as tuples of one, to numbers, so that two changes of one
    #: conflict. (None: in a database of an older version.)
    reopened: OOBTree | None = None

    def __init__(self) -> None:
        self._quotas = OOBTree()
        self.reopened = _new_notes()

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_data")
        super().__setstate__(state)

    def note_reopened(self, name: str) -> None:
        """Note that a quota of size 0 has places again."""
        if self.reopened is None:
            self.reopened = _new_notes()
        self.reopened[(name,)] = self.reopened.get((name,), 0) + 1

    def reopened_names(self) -> Iterator[str]:
        """The names of quotas that were opened, which claims have not noticed yet."""
        for key in () if self.reopened is None else self.reopened:
            if key:
                yield key[0]

    def forget_reopened(self, names: list[str]) -> None:
        """Remove the notes of these names. Only for claims, once they have handled them."""
        if self.reopened is not None:
            for name in names:
                del self.reopened[(name,)]

    def create(self, name: str, size: int = 1) -> None:
        """See `zc.async_.interfaces.IQuotas`."""
        if name in self._quotas:
            raise ValueError(
                f"there is a quota {show(name)} already: set its size, or remove it first"
            )
        quota = Quota(name, size)
        quota.parent = self
        self._quotas[name] = quota

    def remove(self, name: str) -> None:
        """See `zc.async_.interfaces.IQuotas`."""
        quota = self._quotas.pop(name)
        # This write is noticed by polls that watch the quota because it holds back jobs, and makes
        # transactions that change the quota conflict.
        quota.parent = quota.name = None
        if quota.size == 0:
            self.note_reopened(name)

    def __getitem__(self, name: str) -> Quota:
        return self._quotas[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The quota with that name, or `default`."""
        return self._quotas.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._quotas

    def __iter__(self) -> Iterator[str]:
        return iter(self._quotas)

    def __len__(self) -> int:
        return len(self._quotas)

    def __bool__(self) -> bool:
        return bool(self._quotas)

    def keys(self) -> list[str]:
        """The names."""
        return list(self._quotas)

    def values(self) -> list[Quota]:
        """The quotas, in the order of their names."""
        return list(self._quotas.values())

    def items(self) -> list[tuple[str, Quota]]:
        """Pairs of name and quota."""
        return list(self._quotas.items())
