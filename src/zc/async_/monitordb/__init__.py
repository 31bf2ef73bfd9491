"""What there is in a database: its queues, their dispatchers and agents, and jobs of every state.

The functions tell it in plain values (see `zc.async_.commands.values`). Each takes a `context`
first, a connection or a persistent object; they are for whoever owns it. They read in its present
transaction, begin, commit and abort none, and write nothing. `zc.async_.monitor` tells what a
process remembers, and asks no database.

The command `asyncdb` of `zc.monitor` opens a connection for each question. ZCML calls it
`zc.async.monitordb.asyncdb`.
"""

from zc.async_.commands.words import Span
from zc.async_.monitordb.filtering import Filters
from zc.async_.monitordb.places import UUIDs, status, unserved
from zc.async_.monitordb.selecting import count, jobs, jobstats, lastcompleted, nextpending
from zc.async_.monitordb.single import job, traceback
from zc.async_.monitordb.tools import asyncdb, register

__all__ = [
    "Filters",
    "Span",
    "UUIDs",
    "asyncdb",
    "count",
    "job",
    "jobs",
    "jobstats",
    "lastcompleted",
    "nextpending",
    "register",
    "status",
    "traceback",
    "unserved",
]
