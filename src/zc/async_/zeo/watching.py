"""Watches over the attempts of ZEO clients to connect, and makes stuck ones anew.

A watch lives in the thread of its client's loop, which is never blocked for long: no thread of ours
is needed, and it works while all others wait for the storage. It ends with its storage.

It counts its own looks, not seconds: a process that was suspended, and a loop that was busy with
the cache, had no chance to get on.
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

#: Looks without progress after which an attempt is stuck. With `INTERVAL`, and with the pause of up
#: to 2 s that ZEO makes between two attempts, a client is back within 15 s of when it could be.
PATIENCE = {
    Stage.PAUSE: sys.maxsize,
    # The resolver of the system may ask several servers in turn, and always ends.
    Stage.RESOLVING: 60,
    Stage.CONNECTING: 8,
    Stage.GREETING: 10,
    # Each further one that is given up before there is a connection doubles it.
    Stage.ANSWER: 10,
    # After a failed registration, ZEO itself tries again within 10 s.
    Stage.NOTHING: 12,
}

#: Looks without progress after which an attempt is stuck however slow the server was before.
LONGEST_PATIENCE = 60

#: What is used of a client of ZEO.
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
    """Watch over the ZEO clients of a database, and of those that it is connected with.

    For any thread, any number of times. Does nothing to storages of other kinds.
    """
    for one in database.databases.values():
        for storage in client_storages(one.storage):
            _watch(storage)


def client_storages(storage: Any) -> Iterator[Any]:
    """The ZEO client that a storage is, or those that it wraps."""
    # Unless somebody has imported it, there is none.
    module = sys.modules.get("ZEO.ClientStorage")
    if module is None:
        return
    if isinstance(storage, module.ClientStorage):
        yield storage
        return
    # The names that ZODB's DemoStorage has, and those that compress or encrypt.
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
    """Of one client. For the thread of its loop."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        #: Of each attempt, its progress and for how many looks it was that. The key is a protocol,
        #: or None where a server has no attempt under way.
        self._seen: dict[Any, tuple[Progress, int]] = {}
        #: Attempts given up since there was a connection, and those of them that waited for an
        #: answer.
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
            # A version of ZEO that does it in another way: better none than one that harms.
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
        """What is under way. There are several if the storage has several addresses."""
        client = self._client
        attempts: dict[Any, Progress] = {one: progress(one) for one in self._attempting()}
        if not client.operational:
            # Of several, ZEO makes one that was lost anew only when all are lost.
            lost = client.protocol is None and any(one.closed for one in client.protocols)
            if lost or not attempts:
                attempts[None] = Progress(Stage.NOTHING)
        return attempts

    def _attempting(self) -> list[Any]:
        """The protocols that are not in use yet."""
        client = self._client
        # While a connection for reading is in use, another for writing may be looked for. One that
        # is at the last step is not in ZEO's list of attempts any more.
        in_use = client.protocol if client.operational else None
        protocols = dict.fromkeys((client.protocol, *client.protocols))
        return [one for one in protocols if one not in (None, in_use) and not one.closed]

    def _judge(self) -> None:
        stuck = []
        for state, looks in self._seen.values():
            if looks >= self._patience(state.stage):
                stuck.append((state, looks))
            elif state.stage in (Stage.GREETING, Stage.ANSWER):
                # It has found a server: whatever the others do, this must not be disturbed.
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
            # A server that is just slow is reached in the end.
            looks = min(LONGEST_PATIENCE, looks << min(self._unanswered, 10))
        return looks

    def _tell(self, stage: Stage, looks: int) -> None:
        # A server may be away for days.
        often = self._given_up & (self._given_up - 1)
        (utils.log.info if often else utils.log.warning)(
            "ZEO storage %s: waited %d s %s; trying anew (%d given up before)",
            self._name,
            looks * INTERVAL,
            stage.value,
            self._given_up,
        )

    def _start_anew(self) -> None:
        """As ZEO does it when it has lost its connection."""
        client = self._client
        current = None if client.operational else client.protocol
        for protocol in self._attempting():
            _close(protocol)
        if current is not None:
            client.disconnected(current)
        else:
            # Not by `disconnected`: whoever waits for the connection shall go on waiting.
            client.try_connecting()


def _close(protocol: Any) -> None:
    transport = getattr(protocol.sm_protocol, "transport", None)
    protocol.close("no answer")
    if transport is not None:
        # Else it would wait until all that was written has got through.
        transport.abort()
