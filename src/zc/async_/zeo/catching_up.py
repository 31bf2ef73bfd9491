"""Seeing what is committed, where a ZEO client would answer from its cache."""

from typing import Any

import ZEO.Exceptions

from zc.async_.zeo.watching import client_storages


def catch_up(database: Any) -> None:
    """Have all that is committed by now be seen by the transactions that begin from now on.

    A ZEO client whose server is away goes on with what it has in its cache, and says nothing. Its
    server is asked here; the client has heard of all commits then. Other storages see to it when a
    transaction begins: nothing is done for them. For any thread but a ZEO client's. Blocks; raises
    `ClientDisconnected` if there is no server within the client's own timeout.
    """
    for storage in client_storages(database.storage):
        # It has none once it is closed.
        ping = getattr(storage, "ping", None)
        if ping is None:
            raise ZEO.Exceptions.ClientDisconnected("closed")
        ping()
