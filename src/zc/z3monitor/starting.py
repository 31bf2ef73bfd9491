"""Starting the monitor when a database opens."""

import logging
import threading
from typing import Any

import zc.monitor
from zc.async_ import productconfig
from zc.monitor.interfaces import CannotStartError
from zc.z3monitor import configuration, databases

log = logging.getLogger("zc.z3monitor")

_lock = threading.Lock()
#: Where the monitor that was started here listens. Under `_lock`.
_address: zc.monitor.Address | None = None


def start(event: Any) -> None:
    """Open the port that the configuration names, unless it is open. For events of databases.

    Of the two events that there are of one database, the second finds all done. A port that cannot
    be opened, since another process of the same configuration has it, is logged as an error: the
    application goes on without.

    Raises `zc.z3monitor.ConfigurationError`.
    """
    section = configuration.find()
    address = None if section is None else configuration.address_of(section)
    databases.note_opened(event.database, address is not None)
    # A console must not take the port from a server that is about to start.
    if address is not None and not productconfig.is_console():
        _open(address)


def _open(address: zc.monitor.Address) -> None:
    global _address
    with _lock:
        if _address is not None and _address in zc.monitor.addresses():
            return
        try:
            _address = zc.monitor.start(address)
        except CannotStartError as error:
            log.error("the monitor does not run: %s", error)
        else:
            log.info("the monitor listens on %s", _address)
