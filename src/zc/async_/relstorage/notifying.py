"""Tells dispatchers in other processes what a transaction changes, with PostgreSQL's NOTIFY.

The notice is part of the transaction of PostgreSQL: it is sent if this commits, just then, and
costs no commit of its own. It has the oids of the changed objects, so that nobody is woken whom
they do not concern. Transactions that change nothing of a queue, as those of most jobs, send none.
"""

import itertools
import struct
import uuid
import weakref
from typing import Any

from ZODB.utils import p64, u64

from zc.async_.relstorage.storages import of_connection

#: The channel of PostgreSQL, which each of its databases has for itself.
CHANNEL = "zc.async"

#: In the place of oids: too many of them changed.
ANYTHING = "*"

#: An oid that no object has, in a notice that is to wake nobody.
NOTHING = "7fffffffffffffff"

#: Ends the name that a connection of an application signs with, which takes no turns.
APPLICATION = "!"

#: Most oids of a notice. PostgreSQL takes 8,000 bytes.
MOST = 300

#: Where the classes are whose records dispatchers watch.
_WINGS = ("zc.async_.queue", "zc.async_.agent")

_process = uuid.uuid4().hex[:12]
_numbers = itertools.count()

#: The storages of this process's connections that send, by the names that they sign with.
_senders: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()

#: Whether dispatchers watch records of a class.
_known: dict[type, bool] = {}


class Notifying:
    """Replaces the `tpc_vote` of a ZODB connection. For the thread that uses the connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = weakref.ref(connection)
        self._name = f"{_process}.{next(_numbers):x}"
        _senders[self._name] = connection._normal_storage

    def __call__(self, transaction: Any) -> None:
        connection: Any = self._connection()
        changes = _changes(connection)
        if changes is not None:
            # Before the vote, which takes locks.
            self._notify(of_connection(connection), f"{self._signature(connection)} {changes}")
        type(connection).tpc_vote(connection, transaction)

    def _signature(self, connection: Any) -> str:
        # Whoever takes turns has put something else in our place.
        is_of_application = vars(connection).get("tpc_vote") is self
        return self._name + (APPLICATION if is_of_application else "")

    def _notify(self, storage: Any, notice: str) -> None:
        # A storage that must not store now has none; the vote says why.
        store_connection = getattr(storage._tpc_phase, "store_connection", None)
        if store_connection is not None:
            store_connection.cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, notice))


def _changes(connection: Any) -> str | None:
    """What to tell of the changes of a connection; None if they concern no dispatcher."""
    cache, created = connection._cache, connection._creating
    changed = [oid for oid in dict.fromkeys(connection._modified) if oid not in created]
    objects = [cache.get(oid) for oid in changed]
    concerns = any(_concerns(obj) for obj in itertools.chain(objects, map(cache.get, created)))
    if not changed or not concerns:
        return None
    if len(changed) > MOST:
        changed = [
            oid
            for oid, obj in zip(changed, objects, strict=True)
            if _concerns(obj) or _is_tree(obj)
        ]
    if len(changed) > MOST:
        return ANYTHING
    return " ".join(f"{u64(oid):x}" for oid in changed)


def _concerns(obj: Any) -> bool:
    """Whether dispatchers may watch an object. None: one that is not in memory any more."""
    kind = type(obj)
    known = _known.get(kind)
    if known is None:
        bases = kind.__mro__ if obj is not None else ()
        known = _known[kind] = obj is None or any(
            base.__module__.startswith(_WINGS) for base in bases
        )
    return known


def _is_tree(obj: Any) -> bool:
    """Whether an object is of a BTree, as those of lanes and quotas."""
    return type(obj).__module__.startswith("BTrees.")


def is_of_application(notice: str) -> bool:
    """Whether a notice is of an application, and not of a dispatcher or one of its workers."""
    return notice.partition(" ")[0].endswith(APPLICATION)


def read(notice: str) -> tuple[list[bytes] | None, Any]:
    """The oids that a notice tells of, None for any; and the storage of who sent it.

    That is None if it was not a connection of this process that is still there.
    """
    name, _, changes = notice.partition(" ")
    name = name.removesuffix(APPLICATION)
    try:
        return [p64(int(change, 16)) for change in changes.split(" ")], _senders.get(name)
    except (ValueError, struct.error):
        # ANYTHING, or what somebody else has sent.
        return None, _senders.get(name)
