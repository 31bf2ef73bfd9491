"""Tells a lock that another transaction holds from a conflict with what one has committed."""

import sys


def is_locked(error: BaseException | None) -> bool:
    """Whether a transaction failed because another one held a lock.

    RelStorage does not wait for the locks of what a transaction only expects to be as it is
    (`readCurrent`): so the next try may fail for the same lock.
    """
    # If nobody has imported the module, there is no such storage.
    module = sys.modules.get("relstorage.adapters.interfaces")
    return module is not None and isinstance(error, module.UnableToAcquireLockError)
