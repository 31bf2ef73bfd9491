"""The measures: each module has one, and says how it is taken."""

from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.measures import (
    claim,
    conflicts,
    drain,
    idle,
    lone,
    parallel,
    pi,
    put,
    queues,
    relstorage,
    scale_callbacks,
    scale_look,
    scale_parallel,
    scale_quotas,
)
from benchmarks.scale import Scale

#: Each takes an empty folder and the scale.
MEASURES: dict[str, Callable[[Path, Scale], Iterable[Figure]]] = {
    "put": put.measure,
    "drain": drain.measure,
    "lone": lone.measure,
    "idle": idle.measure,
    "queues": queues.measure,
    "conflicts": conflicts.measure,
    "relstorage": relstorage.measure,
    "claim": claim.measure,
    "parallel": parallel.measure,
    "pi": pi.measure,
    "scale_parallel": scale_parallel.measure,
    "scale_callbacks": scale_callbacks.measure,
    "scale_look": scale_look.measure,
    "scale_quotas": scale_quotas.measure,
}
