"""What this process is doing: its dispatcher, the polls and jobs that it remembers, its threads.

The functions tell it from memory, in plain values (see `zc.async_.commands.values`), and ask no
database. They are for any thread. `zc.async_.monitordb` tells what there is in the database.

The command `async` of `zc.monitor` is the attribute `async` of this module, which a word of Python
hides from import statements: `zc.monitor.register(getattr(zc.async_.monitor, "async"))`, or
`zc.async_.monitor.register()`. ZCML calls it `zc.async.monitor.async`.
"""

from zc.async_.monitor.reports import (
    UUID,
    dispatcher,
    job,
    jobs,
    jobstats,
    poll,
    polls,
    status,
    utcnow,
)
from zc.async_.monitor.tools import perform, register

__all__ = [
    "UUID",
    "dispatcher",
    "job",
    "jobs",
    "jobstats",
    "perform",
    "poll",
    "polls",
    "register",
    "status",
    "utcnow",
]

globals()["async"] = perform
