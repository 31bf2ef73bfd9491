"""How things are stored: callables by name, growing sequences, oids, unstorable objects, snapshots.

Knows nothing about jobs.
"""

from zc.async_.storing import callables, detached, growing, oids, originals, snapshots, storable
from zc.async_.storing.located import Located
from zc.async_.storing.originals import NotBroughtOverError
from zc.async_.storing.recorded import record_as
from zc.async_.storing.storable import PLAIN, UnstorableError

__all__ = [
    "PLAIN",
    "Located",
    "NotBroughtOverError",
    "UnstorableError",
    "callables",
    "detached",
    "growing",
    "oids",
    "originals",
    "record_as",
    "snapshots",
    "storable",
]

# Databases know these by name, in results that are failures. A name stays here forever.
record_as(__name__, NotBroughtOverError, UnstorableError)
