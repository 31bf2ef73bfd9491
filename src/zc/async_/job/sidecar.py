"""Sidecars: records for annotations and callbacks that come from outside while a job runs.

The thread that runs the job does not write the sidecar, unless the job's code does. So additions
from outside do not make the job conflict. A claim provides a place for the sidecar before the job
starts. The sidecar itself is made when it is needed, which is seldom.
"""

from typing import Any

import persistent
from BTrees.OOBTree import OOBTree

from zc.async_.job import checks
from zc.async_.job.arguments import KeyedView
from zc.async_.storing import growing
from zc.twist.showing import show

#: How many jobs share a place at most: so few that the tree stays one record, which `readCurrent`
#: sees as a whole.
SHARED_BY = 16


class Sidecar(persistent.Persistent):
    """Annotations, and callbacks that were added after the job was claimed."""

    #: See `zc.async_.storing.growing`.
    further_callbacks: Any = None
    #: How often a callback that had been done with got something to call.
    renewed = 0

    def __init__(self) -> None:
        self.annotations: dict[Any, Any] = {}
        self.callbacks: tuple[Any, ...] = ()

    def add_callback(self, callback: Any) -> None:
        """Add one behind the others. Writes this record."""
        self.callbacks, self.further_callbacks = growing.extended(
            self.callbacks, self.further_callbacks, callback
        )
        self._p_changed = True


class SidecarPlaces:
    """Gives out places for the sidecars of jobs that are claimed in one transaction."""

    def __init__(self) -> None:
        #: By connection: the tree, and how many more places it has. A tree belongs to the database
        #: of its jobs.
        self._trees: dict[Any, tuple[OOBTree, int]] = {}

    def next(self, job: Any) -> OOBTree:
        """A tree for sidecars, by the oids of their jobs. Additions to it are merged."""
        # Not empty: the first addition to an empty tree could not be merged with another.
        tree, free = self._trees.get(job._p_jar) or (OOBTree({b"": None}), SHARED_BY)
        self._trees[job._p_jar] = (tree, free - 1)
        if free == 1:
            del self._trees[job._p_jar]
        return tree


def find(job: Any) -> Sidecar | None:
    """The sidecar of a job, None if it needed none so far."""
    if job.sidecar_record is None and job.sidecar_place is not None:
        return job.sidecar_place.get(job._p_oid)
    return job.sidecar_record


def need(job: Any) -> Sidecar:
    """The sidecar of a job, made if it is not there."""
    sidecar = find(job)
    if sidecar is None:
        sidecar = Sidecar()
        if job.sidecar_place is None:
            job.sidecar_record = sidecar
        else:
            job.sidecar_place[job._p_oid] = sidecar
    return sidecar


def see(job: Any) -> None:
    """Have this transaction conflict with changes of the sidecar meanwhile."""
    record = find(job)
    if record is None:
        # It would be added here.
        record = job.sidecar_place
    if record is not None and record._p_jar is not None:
        # An object that is not loaded would not be checked.
        record._p_activate()
        record._p_jar.readCurrent(record)


def annotations_of(job: Any) -> KeyedView:
    """A view of the annotations of a job: its sidecar is made when the first is set."""

    def read() -> dict[Any, Any]:
        sidecar = find(job)
        return {} if sidecar is None else sidecar.annotations

    def change() -> dict[Any, Any]:
        sidecar = need(job)
        sidecar._p_changed = True
        return sidecar.annotations

    def check(value: Any, name: Any) -> None:
        checks.check_late(job, f"the name {show(name)} of an annotation", name)
        checks.check_late(job, f"annotation {show(name)}", value)

    return KeyedView(read, change, check)
