"""What is known of each job beside the database."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class Known:
    """A job that was committed, by itself or as a part of another."""

    number: int
    #: What it is to others: 'put', 'part', 'after' (the postprocessing of parts), 'inner' (returned
    #: by another job) or 'callback'.
    role: str
    kind: str
    policy: str
    #: The oid of its `Effect`.
    effect: bytes
    #: The number of the job that it is a part or a callback of.
    owner: int | None = None
    #: For a callback, what result it is for: 'any', 'success' or 'failure'.
    wanted: str = "any"
    #: Whether a callback was added after its owner was claimed.
    late: bool = False
    removed: bool = False
    priority: int = 0
    quota_names: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    #: By when it must have begun (microseconds), if at all.
    deadline: int | None = None
    #: The numbers of its parts, and of their postprocessing.
    parts: tuple[int, ...] = ()
    after: int | None = None
    #: The numbers of its callbacks, in order of adding.
    callbacks: list[int] = dataclasses.field(default_factory=list)


class Model:
    """What was committed."""

    def __init__(self) -> None:
        self.jobs: dict[int, Known] = {}
        #: Of each quota, by oid, the most places that it has had in the present step.
        self.largest: dict[bytes, int] = {}
        #: Of each quota, by oid, how many had a place after the last step.
        self.lengths: dict[bytes, int] = {}
        #: Of jobs that hold places, by number: the token, and the quotas by oid.
        self.holders: dict[int, tuple[int, set[bytes]]] = {}

    def add(self, known: Known) -> None:
        """Note a job that was committed."""
        self.jobs[known.number] = known
        if known.role == "callback":
            assert known.owner is not None
            self.jobs[known.owner].callbacks.append(known.number)

    def of_role(self, role: str) -> list[Known]:
        """The jobs that are this to others."""
        return [known for known in self.jobs.values() if known.role == role]

    def resize(self, quota: Any) -> None:
        """Note that a quota was made, or has another size."""
        oid = quota._p_oid
        self.largest[oid] = max(quota.size, self.largest.get(oid, 0))
