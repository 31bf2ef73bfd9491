"""The settings of `zc-async worker` by name, for the command line and the configuration file.

A new setting is a `Key` here and a field of `zc.async_.worker.settings.Settings`, or of `Agent`
there.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from zc.async_.worker import values


@dataclasses.dataclass(frozen=True)
class Key:
    """A setting."""

    #: In the file. On the command line it has two dashes before it.
    name: str
    #: Makes the value of what was given, or raises ValueError.
    read: Callable[[Any], Any]
    #: What can be given, for errors.
    give: str
    #: For the help of the command line; "" if it is not for that.
    help: str = ""
    metavar: str = ""
    #: Whether it may be given several times on the command line.
    repeated: bool = False

    @property
    def field(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")


#: Of the worker.
KEYS = (
    Key(
        "db",
        values.texts,
        "the URI of a database, such as zeo://localhost:8100 or file:///srv/Data.fs",
        "the database, as a URI of zodburi: zeo://HOST:PORT, file://PATH, postgresql://...; may be "
        "given again for others of its group, which need different database_name=NAME",
        "URI",
        repeated=True,
    ),
    Key(
        "zope-conf",
        values.text,
        "the path of a configuration file of Zope, or of zope.app.wsgi",
        "a site of Zope, or of zope.app.wsgi, in place of --db",
        "FILE",
    ),
    Key(
        "queue-db",
        values.text,
        "the name of a database",
        "the database that keeps the queues, if it is not the first one",
        "NAME",
    ),
    Key(
        "processes",
        values.processes,
        "a number of processes of at least 1, or auto",
        "how many workers; auto: as many as there are cores (default: 1)",
        "N",
    ),
    Key(
        "threads",
        values.count,
        "a number of jobs of at least 1",
        "how many jobs each worker runs at once (default: 3)",
        "N",
    ),
    Key(
        "queues",
        values.names,
        "the names of queues with commas between them, or a list of them; the name of the usual "
        "queue is empty",
        "the queues to serve, made if they are missing (default: all, and the usual one, whose "
        "name is empty, is made)",
        "A,B",
    ),
    Key(
        "labels",
        values.labels,
        "labels with commas between them, or a list of them; each is printable, and has no spaces",
        "what the workers have, such as gpu,eu: they also run the jobs that need it",
        "A,B",
    ),
    Key(
        "setup",
        values.function,
        "MODULE:FUNCTION",
        "a function of the application that each worker calls with the database before it begins",
        "MODULE:FUNCTION",
    ),
    Key(
        "state",
        values.text,
        "the path of a folder",
        "where the workers keep their identities, made if it is missing (default: the "
        "STATE_DIRECTORY of systemd, or zc-async-worker in the working directory)",
        "DIR",
    ),
    Key(
        "grace",
        values.seconds,
        "a number of seconds, or 30s, 2m, 1h",
        "how long running jobs are given when a worker is to stop (default: 30)",
        "SECONDS",
    ),
    Key(
        "max-jobs",
        values.count,
        "a number of jobs of at least 1",
        "replace a worker once it has run so many jobs and has ended what it is at",
        "N",
    ),
    Key(
        "max-memory",
        values.memory,
        "a number of bytes, or 500M, 2G",
        "replace a worker once it has more memory and has ended what it is at",
        "SIZE",
    ),
    Key(
        "poll-interval",
        values.interval,
        "a number of seconds, more than 0",
        "how often a worker looks into the queues if nothing wakes it (default: 5)",
        "SECONDS",
    ),
    Key(
        "hang-timeout",
        values.seconds,
        "a number of seconds, or 30s, 2m, 1h; 0 for never",
        "kill and replace a worker that gives no sign of life for so long (default: 120; 0: never)",
        "SECONDS",
    ),
    Key(
        "log-level",
        values.level,
        "one of " + ", ".join(values.LEVELS),
        "of the records that are written to the standard error (default: info)",
        "LEVEL",
    ),
)

#: Of each table [[agents]] of the file.
AGENT_KEYS = (
    Key("name", values.text, "a name"),
    Key("size", values.size, "a number of jobs, 0 or more"),
    Key("coroutine-size", values.size, "a number of jobs that are coroutines, 0 or more"),
    Key("queues", values.names, "a list of names of queues"),
    Key("labels", values.labels, "a list of labels, which are printable and have no spaces"),
    Key("filter", values.function, '"MODULE:FUNCTION", a function of a job'),
    Key("chooser", values.function, '"MODULE:FUNCTION", a function of an agent'),
)

#: The name of those tables.
AGENTS = "agents"
