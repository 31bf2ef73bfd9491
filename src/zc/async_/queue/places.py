"""The free places of quotas, as a claim sees them."""

from typing import Any


class Places:
    """How many places are free in each quota, less those that this claim has given away.

    Each quota is looked up once: within a claim, places only become fewer.
    """

    def __init__(self, quotas: Any) -> None:
        self._quotas = quotas
        self._known: dict[str, int] = {}

    def free(self, name: str) -> int:
        """The free places of a quota. A quota that was removed holds no job back."""
        free = self._known.get(name)
        if free is None:
            quota = self._quotas.get(name)
            free = self._known[name] = 1 if quota is None else quota.size - len(quota)
        return free

    def holder(self, names: tuple[str, ...]) -> str | None:
        """The name of a full quota among `names`; None if there is none."""
        return next((name for name in names if self.free(name) <= 0), None)

    def known_holder(self, names: tuple[str, ...], parked_under: str | None) -> str | None:
        """Like `holder`, but asks no quota that was not asked before.

        `parked_under` counts as full unless it is known to have room.
        """
        known = self._known
        if parked_under is not None and known.get(parked_under, 0) <= 0:
            return parked_under
        return next((name for name in names if known.get(name, 1) <= 0), None)

    def is_closed(self, name: str) -> bool:
        """Whether a quota has no places at all, so that only its size matters."""
        quota = self._quotas.get(name)
        return quota is not None and quota.size == 0

    def rely_on(self, name: str) -> None:
        """Fail this transaction if the size of the quota changes before it commits."""
        quota = self._quotas.get(name)
        if quota is not None and quota._p_jar is not None:
            quota._p_jar.readCurrent(quota)

    def take(self, job: Any) -> None:
        """Give a job its places."""
        for name in set(job.quota_names):
            quota = self._quotas.get(name)
            if quota is not None:
                quota.take_place(job)
                self._known[name] = self.free(name) - 1
