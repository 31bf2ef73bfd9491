"""How a dead dispatcher is noticed: by its siblings, whenever one of them pings.

What says that it is dead is told in `zc.async_.process.observing` (pings that do not change) and
`zc.async_.process.liveness` (a lock of the same host).
"""

import logging
from typing import Any

from zc.async_ import utils


def bury_dead(dispatchers: Any, pinging: Any, poll_interval: float) -> bool:
    """Deactivate the siblings of `pinging` that are dead; return whether there were any.

    So their jobs are handed back. `dispatchers`: the `IDispatchers`; `poll_interval` (seconds): of
    the one that looks. For the transaction of a ping.
    """
    dead = [
        sibling
        for sibling in dispatchers.values()
        if sibling is not pinging and sibling.activated and sibling.is_dead(poll_interval)
    ]
    for sibling in dead:
        # A sibling that has just left looks dead as well, to a transaction that began before.
        utils.log_once_committed(
            sibling, logging.ERROR, "dispatcher %s is dead; its jobs are handed back", sibling.UUID
        )
        sibling.stays_silent()
        sibling.deactivate()
    return bool(dead)
