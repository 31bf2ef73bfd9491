"""Notices commits that concern a queue, so that the dispatcher need not wait for its next poll.

ZODB has no public interface for notice of invalidations. Its `MVCCAdapter` passes all of them
through three methods, which are wrapped here. The wrapped methods are called in the storage's
network thread or in a committing thread, with the storage's lock held. So a listener may only wake
another thread, and must not raise.

RelStorage learns of commits when a transaction begins. PostgreSQL tells of them before, by NOTIFY,
unless something keeps that from arriving (see `zc.async_.relstorage`).

With other storages, or while notices do not arrive, polling has to do.
"""

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from zc.async_.relstorage import Listening, can_listen

_METHODS = ("invalidate", "_invalidate_finish", "invalidateCache")

_hubs: "weakref.WeakKeyDictionary[Any, _Hub]" = weakref.WeakKeyDictionary()
_hubs_lock = threading.Lock()


class Listener:
    """Calls `wake()` when an object of `oids` was changed, or may have been changed."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        #: Replaced, never changed, by the thread that polls; read by committing threads.
        self.oids: frozenset[bytes] = frozenset()
        # Also replaced, never changed.
        self._own: tuple[Any, ...] = ()

    def ignore(self, connection: Any) -> None:
        """Ignore commits of a connection and of the others that are now in its group."""
        # Not recognized by their thread: with ZEO, another thread notifies of them.
        self._own = tuple(c._normal_storage for c in connection.connections.values())

    def heard(self, oids: Iterable[bytes] | None, committer: Any = None) -> None:
        """Wake if the changed objects concern us. `oids` is None if nobody knows which changed.

        `committer`: the storage of the connection that changed them, if it is of this process.
        """
        if oids is None or (
            not self.oids.isdisjoint(oids) and not any(own is committer for own in self._own)
        ):
            self._wake()


class _Hub:
    """The listeners of one database."""

    def __init__(self) -> None:
        # Replaced, never changed: notifying threads take no lock.
        self.listeners: tuple[Listener, ...] = ()

    @property
    def hears(self) -> bool:
        """Whether it hears of commits now."""
        return True

    def end(self) -> None:
        """Hear of nothing any more."""

    def _tell(self, oids: Any, committer: Any = None) -> None:
        for listener in self.listeners:
            listener.heard(oids, committer)


class _AdapterHub(_Hub):
    """Hears what an `MVCCAdapter` passes on."""

    def __init__(self, adapter: Any) -> None:
        super().__init__()
        self._adapter = weakref.ref(adapter)
        originals = {name: getattr(adapter, name) for name in _METHODS}

        def invalidate(tid: bytes, oids: Any) -> None:
            originals["invalidate"](tid, oids)
            self._tell(oids)

        def _invalidate_finish(tid: bytes, oids: Any, committing_instance: Any) -> None:
            originals["_invalidate_finish"](tid, oids, committing_instance)
            self._tell(oids, committing_instance)

        def invalidateCache() -> None:
            originals["invalidateCache"]()
            self._tell(None)

        for function in (invalidate, _invalidate_finish, invalidateCache):
            setattr(adapter, function.__name__, function)

    def end(self) -> None:
        """Hear of nothing any more."""
        adapter = self._adapter()
        if adapter is not None:
            for name in _METHODS:
                delattr(adapter, name)


class _NoticeHub(_Hub):
    """Hears the notices of PostgreSQL, in a thread that lives as long as the hub."""

    def __init__(self, database: Any) -> None:
        super().__init__()
        self._listening = Listening(database, self._tell)
        self._listening.start()

    @property
    def hears(self) -> bool:
        """Whether it hears of commits now. When that changes, it tells its listeners to look."""
        return self._listening.hears

    def end(self) -> None:
        """Hear of nothing any more. The thread ends soon."""
        self._listening.stop()


def _make_hub(database: Any, adapter: Any) -> _Hub | None:
    if all(hasattr(adapter, name) for name in _METHODS):
        return _AdapterHub(adapter)
    return _NoticeHub(database) if can_listen(database) else None


def listen(database: Any, listener: Listener) -> bool:
    """Make a listener hear of the changes of a database; return whether that is possible.

    It may begin later, and be interrupted: see `hears`.
    """
    adapter = getattr(database, "_mvcc_storage", None)
    if adapter is None:
        return False
    with _hubs_lock:
        hub = _hubs.get(database)
        if hub is None:
            hub = _make_hub(database, adapter)
            if hub is None:
                return False
            _hubs[database] = hub
        if listener not in hub.listeners:
            hub.listeners += (listener,)
    return True


def hears(database: Any) -> bool:
    """Whether the listeners of a database hear of its changes now. For any thread."""
    hub = _hubs.get(database)
    return hub is not None and hub.hears


def forget(database: Any, listener: Listener) -> None:
    """Stop telling a listener, also of a database that was closed."""
    with _hubs_lock:
        hub = _hubs.get(database)
        if hub is None:
            return
        hub.listeners = tuple(other for other in hub.listeners if other is not listener)
        if not hub.listeners:
            hub.end()
            del _hubs[database]
