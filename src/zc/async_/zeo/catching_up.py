"""Makes new transactions see all commits, where a ZEO client might answer from its cache."""

from typing import Any

import ZEO.Exceptions

from zc.async_.zeo.watching import client_storages


def catch_up(database: Any) -> None:
    """Make transactions that begin from now on see everything that is committed by now.

    A ZEO client whose server is away silently goes on with its cache. This function asks the
    server; after the answer, the client has heard of all commits. Other storages need nothing: they
    see new commits whenever a transaction begins. For any thread but a ZEO client's. Blocks; raises
    `ClientDisconnected` if no server answers within the client's own timeout.
    """
    for storage in client_storages(database.storage):
        # A closed storage has no `ping`.
        ping = getattr(storage, "ping", None)
        if ping is None:
            raise ZEO.Exceptions.ClientDisconnected("closed")
        ping()
