"""Where the work of a run is done."""

import contextlib
from typing import Any

import zope.interface
from zope.interface import Attribute

#: How long (seconds) a stop of the demo waits for running jobs. The longest is a merge.
GRACE = 30.0

#: Objects in the cache of a connection: most of the index of the standard library, so that a merge
#: does not read again the records that the one before it wrote.
CACHE_SIZE = 20_000


class IPlace(zope.interface.Interface):
    """The database of a run, and who does its jobs. Only for the main thread."""

    database = Attribute("The ZODB.DB of the main thread.")
    storage = Attribute("The `zc.async_.demo.storage.Storage`, which is in this process.")

    def register(queue: Any) -> None:
        """Note in the queue who does the jobs, if that is necessary. Does not commit."""

    def working() -> contextlib.AbstractContextManager[None]:
        """Have jobs done inside of the context; at the end, give them time to end."""

    def check() -> None:
        """Raise DemoError if nobody does jobs any more, inside of `working`."""

    def close() -> None:
        """Close all, once no worker uses it."""
