"""Watches the attempts of ZEO clients to connect, and restarts those that are stuck.

A watch runs in the thread of its client's loop, which is never blocked for long. So it needs no
thread of its own, and works while all other threads wait for the storage. It ends with its storage.

It counts its own looks, not seconds: while a process was suspended, or a loop was busy with the
cache, the attempt had no chance to make progress.
"""

import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from zc.async_ import utils
from zc.async_.zeo import transports
from zc.async_.zeo.attempts import Progress, Stage, progress

#: Seconds between two looks.
INTERVAL = 1.0

#: Looks without progress after which an attempt counts as stuck. With `INTERVAL`, and the pause of
#: up to 2 s that ZEO makes between attempts, a client is back within 15 s once its server is.
PATIENCE = {
    Stage.PAUSE: sys.maxsize,
    # The resolver of the system may ask several servers in turn, and always ends.
    Stage.RESOLVING: 60,
    Stage.CONNECTING: 8,
    Stage.GREETING: 10,
    # Doubled for each attempt that was given up since the last connection.
    Stage.ANSWER: 10,
    # After a failed registration, ZEO itself tries again within 10 s.
    Stage.NOTHING: 12,
}

#: The limit of that doubling: an attempt without progress for this many looks is always stuck.
LONGEST_PATIENCE = 60

#: The attributes of a ZEO client that are used here.
_NEEDED = (
    "closed",
    "disconnected",
    "loop",
    "operational",
    "protocol",
    "protocols",
    "try_connecting",
    "trying_to_connect",
)

_watched: "weakref.WeakSet[Any]" = weakref.WeakSet()
_lock = threading.Lock()


def watch(database: Any) -> None:
    """Watch the ZEO clients of a database and of the other databases of its group.

    For any thread, any number of times. Does nothing to storages of other kinds.
    """
    for one in database.databases.values():
        watch_storage(one.storage)


def watch_storage(storage: Any) -> None:
    """Watch the ZEO clients of a storage, as `watch` does, before a database is opened with it.

    A connection that is lost while the database is opened is a `ClientDisconnected` then, on every
    Python, and no TypeError of asyncio (see `transports`). For any thread, any number of times.
    """
    for client in client_storages(storage):
        _watch(client)


def client_storages(storage: Any) -> Iterator[Any]:
    """The ZEO clients of a storage: itself, or those that it wraps."""
    # If nobody has imported the module, there is no client.
    module = sys.modules.get("ZEO.ClientStorage")
    if module is None:
        return
    if isinstance(storage, module.ClientStorage):
        yield storage
        return
    # Attributes of ZODB's DemoStorage, and of storages that compress or encrypt.
    for name in ("base", "changes"):
        inner = getattr(storage, name, None)
        if inner is not None:
            yield from client_storages(inner)


def _watch(storage: Any) -> None:
    client = getattr(getattr(storage, "_server", None), "client", None)
    if client is None or not all(hasattr(client, name) for name in _NEEDED):
        utils.log.debug("cannot watch over ZEO storage %s", storage.__name__)
        return
    with _lock:
        if client in _watched:
            return
        _watched.add(client)
    try:
        client.loop.call_soon_threadsafe(_Watch(client, storage.__name__).begin)
    except RuntimeError:
        utils.log.debug("ZEO storage %s was closed", storage.__name__)


class _Watch:
    """The watch of one client. For the thread of its loop."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        #: For each attempt, its progress and for how many looks this has not changed. The key is a
        #: protocol, or None if no attempt to connect with a server is under way.
        self._seen: dict[Any, tuple[Progress, int]] = {}
        #: How many attempts were given up since the last connection, and how many of them waited
        #: for an answer.
        self._given_up = 0
        self._unanswered = 0

    def begin(self) -> None:
        """Begin to watch."""
        if not self._client.closed:
            transports.prepare_loop(self._client.loop)
            for protocol in dict.fromkeys((self._client.protocol, *self._client.protocols)):
                if protocol is not None:
                    transports.prepare_connected(protocol)
            self._look()

    def _look(self) -> None:
        if self._client.closed:
            return
        try:
            self._see()
        except AttributeError:
            # A version of ZEO with other attributes: better no watch than one that does harm.
            utils.log.debug("cannot watch over ZEO storage %s", self._name, exc_info=True)
            return
        self._client.loop.call_later(INTERVAL, self._look)

    def _see(self) -> None:
        client = self._client
        if client.operational:
            self._connected()
        if not client.trying_to_connect():
            self._seen = {}
            return
        now = self._attempts()
        before = self._seen
        self._seen = {}
        for attempt, state in now.items():
            same = attempt in before and before[attempt][0] == state
            self._seen[attempt] = state, before[attempt][1] + 1 if same else 0
        self._judge()

    def _connected(self) -> None:
        if self._given_up:
            utils.log.warning("ZEO storage %s: connected again", self._name)
        self._given_up = self._unanswered = 0

    def _attempts(self) -> dict[Any, Progress]:
        """The attempts under way: several if the storage has several addresses."""
        client = self._client
        attempts: dict[Any, Progress] = {one: progress(one) for one in self._attempting()}
        if not client.operational:
            # With several connections, ZEO restarts a lost one only when all are lost.
            lost = client.protocol is None and any(one.closed for one in client.protocols)
            if lost or not attempts:
                attempts[None] = Progress(Stage.NOTHING)
        return attempts

    def _attempting(self) -> list[Any]:
        """The protocols that are not in use yet."""
        client = self._client
        # While a read-only connection is in use, ZEO may look for one that can write. An attempt at
        # its last step is no longer in ZEO's list of attempts.
        in_use = client.protocol if client.operational else None
        protocols = dict.fromkeys((client.protocol, *client.protocols))
        return [one for one in protocols if one not in (None, in_use) and not one.closed]

    def _judge(self) -> None:
        stuck = []
        for state, looks in self._seen.values():
            if looks >= self._patience(state.stage):
                stuck.append((state, looks))
            elif state.stage in (Stage.GREETING, Stage.ANSWER):
                # This attempt has found a server: it must not be disturbed, even if others are
                # stuck.
                return
        if stuck:
            state, looks = stuck[0]
            self._tell(state.stage, looks)
            self._given_up += 1
            self._unanswered += state.stage is Stage.ANSWER
            self._seen = {}
            self._start_anew()

    def _patience(self, stage: Stage) -> int:
        looks = PATIENCE[stage]
        if stage is Stage.ANSWER:
            # With growing patience, a server that is only slow is reached in the end.
            looks = min(LONGEST_PATIENCE, looks << min(self._unanswered, 10))
        return looks

    def _tell(self, stage: Stage, looks: int) -> None:
        # A server may be away for days: only powers of two are logged as warnings.
        often = self._given_up & (self._given_up - 1)
        (utils.log.info if often else utils.log.warning)(
            "ZEO storage %s: waited %d s %s; trying anew (%d given up before)",
            self._name,
            looks * INTERVAL,
            stage.value,
            self._given_up,
        )

    def _start_anew(self) -> None:
        """Restart, as ZEO does when it has lost its connection."""
        client = self._client
        current = None if client.operational else client.protocol
        for protocol in self._attempting():
            _close(protocol)
        if current is not None:
            client.disconnected(current)
        else:
            # Not by `disconnected`: threads that wait for the connection have to go on waiting.
            client.try_connecting()


def _close(protocol: Any) -> None:
    transport = getattr(protocol.sm_protocol, "transport", None)
    protocol.close("no answer")
    if transport is not None:
        # Else the transport would wait until all written data has been sent.
        transport.abort()
