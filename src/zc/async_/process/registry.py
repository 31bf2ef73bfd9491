"""The dispatchers of this process."""

import threading
import uuid as uuid_module
from typing import Any

import zope.component

import zc.async_.interfaces

_dispatchers: dict[uuid_module.UUID, Any] = {}
_lock = threading.Lock()


def own_uuid() -> Any:
    """Return the `IUUID` utility. `NotConfiguredError` if there is none."""
    uuid = zope.component.queryUtility(zc.async_.interfaces.IUUID)
    if uuid is None:
        raise zc.async_.interfaces.NotConfiguredError(
            "this process has no UUID yet: call zc.async_.configure.base() first (or minimal(), "
            "where persistent objects have an adapter to IConnection, as in Zope), or include "
            "configure.zcml of the package zc.async"
        )
    return uuid


def _default(uuid: Any) -> uuid_module.UUID:
    if uuid is None:
        uuid = own_uuid()
    return uuid_module.UUID(bytes=uuid.bytes)


def add(dispatcher: Any) -> None:
    """Add a dispatcher. ValueError if there is another with its UUID."""
    with _lock:
        if _dispatchers.setdefault(_default(dispatcher.UUID), dispatcher) is not dispatcher:
            raise ValueError(
                f"this process has a dispatcher with the UUID {dispatcher.UUID}: stop it and call "
                "zc.async_.dispatcher.pop first, or give another UUID"
            )


def get(uuid: Any = None, default: Any = None) -> Any:
    """The dispatcher with this UUID (by default the process's own), or `default`."""
    return _dispatchers.get(_default(uuid), default)


def dispatchers() -> list[Any]:
    """The dispatchers of this process."""
    with _lock:
        return list(_dispatchers.values())


def pop(uuid: Any = None) -> Any:
    """Remove the dispatcher with this UUID and return it, running or not. Else KeyError."""
    with _lock:
        return _dispatchers.pop(_default(uuid))


def clear() -> None:
    """Remove all dispatchers. They are not stopped."""
    with _lock:
        _dispatchers.clear()
