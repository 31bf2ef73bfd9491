"""Waits for locks that other transactions hold.

RelStorage does not wait for the locks of what a transaction only expects to be as it is
(`readCurrent`). So the next try may fail for the same lock, and so may all tries of a moment.
"""

import sys
import time

#: Seconds before a try after another transaction held a lock: before the second try, the third ...
PAUSES = (0.05, 0.3, 1.5, 5.0)


def pause(error: BaseException | None, count: int) -> None:
    """Wait a little if a transaction failed because another one held a lock.

    `count`: how many tries there have been. For the thread that will try again, between two
    transactions.
    """
    # If nobody has imported the module, there is no such storage.
    module = sys.modules.get("relstorage.adapters.interfaces")
    if module is not None and isinstance(error, module.UnableToAcquireLockError):
        time.sleep(PAUSES[min(count, len(PAUSES)) - 1])
