"""Lanes: how a job gets into a queue without conflicts.

Every open connection that puts jobs into a queue has its own lane, a linked list of short segments.
The records of a lane are

- the newest `Segment` and, once every `SEGMENT_SIZE` puts, the `Lane`: only that connection writes
  them;
- the `Cursor`, which says how far the lane is read: only dispatchers write it.

So a `put` writes no record that another open connection or a dispatcher writes. Segments are short
because every put writes the newest again. Nothing refers to segments that were read; they go with
the next pack.
"""

import bisect
import threading
import weakref
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import persistent
import zope.component
from ZODB.POSException import POSKeyError
from ZODB.utils import oid_repr, z64

import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.job import entry_key_part, sort_key
from zc.async_.process import processslot
from zc.async_.queue.lanes import Lanes

#: Entries of one segment. With fewer, a put is cheaper and a claim reads more records. With 8 a put
#: took 5 % less time than with 16; with the leaf of 60 of a plain BTree it took a third more.
SEGMENT_SIZE = 8

#: Added to the key of a broken lane, to make the key of its replacement.
SUBSTITUTE = "+"

#: An entry of a lane: the job's `entry_key` at the time, the job, and its `place_of` in the order.
#: (None: it waits since its put. Older versions wrote two elements, without the place.)
Entry = tuple[int, Any, bytes | None] | tuple[int, Any]


class Segment(persistent.Persistent):
    """Some successive entries of a lane."""

    next: "Segment | None" = None
    #: Number of the entry behind the last one, in this segment or before it, whose job may need
    #: labels. (None: there was no such job.)
    needing_until: int | None = None

    def __init__(self, first: int) -> None:
        #: Number of the first entry, counted from the start of the lane.
        self.first = first
        self.entries: tuple[Entry, ...] = ()

    @property
    def end(self) -> int:
        """Number of the entry after the last."""
        return self.first + len(self.entries)

    @property
    def is_whole(self) -> bool:
        """Whether this has the attributes of a segment: a reference may lead to a wrong record."""
        return type(vars(self).get("entries")) is tuple and type(vars(self).get("first")) is int


class Cursor(persistent.Persistent):
    """How far a lane has been read."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        #: Number of the next entry to read, which is in `segment` or after it.
        self.position = 0


class Lane(persistent.Persistent):
    """The entries that one connection added and nobody has read."""

    #: Number of the entry from which on all are in order. (None: an older version wrote all
    #: entries.)
    ordered_from: int | None = None

    def __init__(self) -> None:
        self.newest = Segment(0)
        self.cursor = Cursor(self.newest)
        self.ordered_from = 0

    def append(
        self, key: int, job: Any, place: bytes | None = None, needs_labels: bool = False
    ) -> None:
        """Add an entry. Only for the connection that leases the lane."""
        segment = self.newest
        is_ordered = not segment.entries or _goes_before(segment.entries[-1], (key, job, place))
        if self.ordered_from is None:
            self.ordered_from = segment.end
        if len(segment.entries) >= SEGMENT_SIZE:
            segment = self._make_room(segment)
        segment.entries += ((key, job, place),)
        if needs_labels:
            segment.needing_until = segment.end
        if not is_ordered:
            self.ordered_from = segment.end

    def place(self, key: int, job: Any, place: bytes | None, needs_labels: bool = False) -> bool:
        """Change the place of an entry in the newest segment; return whether it is there.

        Only for the connection that leases the lane, and for entries that it has not committed.
        """
        segment = self.newest
        for index, entry in enumerate(segment.entries):
            if entry[0] == key and entry[1] is job:
                if entry[2:] != (place,):
                    before, after = segment.entries[:index], segment.entries[index + 1 :]
                    segment.entries = (*before, (key, job, place), *after)
                    self.ordered_from = segment.end
                if needs_labels:
                    segment.needing_until = segment.end
                return True
        return False

    def _make_room(self, full: Segment) -> Segment:
        # This connection may see an old cursor, never a future one: what it says is read, is read.
        if self.cursor.position >= full.end:
            full.first = full.end
            full.entries = ()
            return full
        self.newest = full.next = Segment(full.end)
        if full.needing_until is not None:
            self.newest.needing_until = full.needing_until
        return self.newest

    def may_need_labels(self) -> bool:
        """Whether the job of an unread entry may need labels. False is for sure."""
        until = self.newest.needing_until
        return until is not None and until > self.cursor.position

    def __len__(self) -> int:
        """The number of unread entries, including those that no longer count."""
        return self.newest.end - self.cursor.position

    def __bool__(self) -> bool:
        return len(self) > 0

    def unread(self) -> Iterator[tuple[Entry, Segment, int]]:
        """The unread entries, each with the cursor's segment and position after it."""
        segment: Segment | None = self.cursor.segment
        position = self.cursor.position
        # This connection may put jobs while it reads. So entries appended meanwhile are left out,
        # and entries trimmed meanwhile from the newest segment are kept here.
        end = self.newest.end
        newest, newest_first, newest_entries = self.newest, self.newest.first, self.newest.entries
        while segment is not None and position < end:
            if not _is_whole(segment):
                _say_spoilt(self, segment, f"entries {position} to {self.newest.first}")
                # The entries between cannot be found.
                segment = self.newest
                position = max(position, segment.first)
                continue
            # Entries before `first` were trimmed because they had been read.
            first, entries = segment.first, segment.entries
            if segment is newest:
                first, entries = newest_first, newest_entries
            for entry in entries[max(0, position - first) : end - first]:
                position = max(position, first) + 1
                yield entry, segment, position
            segment = segment.next

    def mark_read(self, segment: Segment, position: int) -> None:
        """Move the cursor. Only for claims."""
        self.cursor.segment = segment
        self.cursor.position = position


def _goes_before(entry: Entry, following: Entry) -> bool:
    """Whether two successive entries are in order. If a clock was set back, they may not be."""
    if entry[2:] == following[2:]:
        return entry[0] < following[0]
    return len(entry) == 3 and place_of_entry(entry) < place_of_entry(following)


def place_of_entry(entry: tuple[Any, ...]) -> bytes:
    """The place of an entry of three elements, with its key."""
    key, _job, place = entry
    return sort_key(0, key, key, key, b"") if place is None else place + entry_key_part(key)


def lease(lanes: Lanes, connection: Any) -> Lane:
    """The lane of `connection` among `lanes`, made if it is missing.

    `connection` is None for a queue that is in no database yet. The lane itself is not remembered,
    so a transaction that is rolled back leaves no trace. A broken lane is left as it is, and
    another replaces it.
    """
    key = _slots.lane_key(connection)
    while (lane := lanes.get(key)) is not None and not can_be_read(lane):
        key += SUBSTITUTE
    if lane is None:
        lane = lanes[key] = Lane()
    return lane


def readable(lanes: Lanes) -> list[Lane]:
    """The lanes that can be read. The others are logged."""
    return [lane for lane in lanes.values() if can_be_read(lane)]


def can_be_read(lane: Any) -> bool:
    """Whether this is a complete lane. If not, that is logged once per process.

    If a server gave an oid out twice, a reference may lead to a wrong object.
    """
    whole = isinstance(lane, Lane) and (_is_being_written(lane) or _has_its_parts(lane))
    if not whole:
        _say_spoilt(lane, lane, "what was put through it")
    return whole


def _is_being_written(lane: Lane) -> bool:
    """Whether this transaction has added an entry already: then the lane was checked."""
    newest = vars(lane).get("newest")
    # Further segments of the same transaction have no connection yet.
    return type(newest) is Segment and (newest._p_jar is None or bool(newest._p_changed))


def _has_its_parts(lane: Lane) -> bool:
    parts = [vars(lane).get("newest"), vars(lane).get("cursor")] if _is_loaded(lane) else []
    if not parts or not _is_whole(parts[0]) or not _is_loaded(parts[1]):
        return False
    return type(vars(parts[1]).get("position")) is int and "segment" in vars(parts[1])


def _is_whole(segment: Any) -> bool:
    return isinstance(segment, Segment) and _is_loaded(segment) and segment.is_whole


def _is_loaded(record: Any) -> bool:
    """Load a record; return whether it could be loaded. Raises the errors of a failing storage."""
    try:
        record._p_activate()
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # The record is missing, or its state belongs to another class. Or its storage is failing:
        # this says nothing about the record, and the entries behind it must not be skipped.
        return _is_stored(record) and _has_its_state(record)
    return True


def _is_stored(record: Any) -> bool:
    try:
        record._p_jar._storage.load(record._p_oid)
    except POSKeyError:
        return False
    return True


def _has_its_state(record: Any) -> bool:
    try:
        record._p_activate()
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        return False
    return True


#: Oids of records that were logged as unreadable. Any thread may add.
_told: set[bytes] = set()


def _say_spoilt(lane: Any, record: Any, lost: str) -> None:
    if record._p_oid not in _told:
        _told.add(record._p_oid)
        utils.log.error(
            "a lane (oid %s) cannot be read, since the record of oid %s is missing or another's: "
            "%s will not be run. It is passed over; restore the record, or put again what is "
            "missing",
            oid_repr(lane._p_oid),
            oid_repr(record._p_oid),
            lost,
        )


def has_unread(lanes: Lanes, connection: Any) -> bool:
    """Whether the lane of `connection`, if it has one, has unread entries."""
    lane = lanes.get(_slots.lane_key(connection))
    return lane is not None and can_be_read(lane) and bool(lane)


def prepare(lanes: Lanes, count: int) -> None:
    """Make lanes for this process's first `count` connections, so that first puts are cheap."""
    for number in range(count):
        key = _lane_key(number)
        if key not in lanes:
            lanes[key] = Lane()


def _lane_key(number: int) -> str:
    instance = zope.component.queryUtility(zc.async_.interfaces.IUUID)
    name = "" if instance is None else instance.hex
    return f"{name}/{processslot.process_slot()}/{number}"


class _Slots:
    """Which open connection of this process has which slot. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: For each open connection, the number of its slot and the key of its lane.
        self._leased: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()
        #: For each database, the free slots: number, and newest transaction when it became free.
        self._free: WeakKeyDictionary[Any, list[tuple[int, bytes]]] = WeakKeyDictionary()
        #: For each database, the lowest number never used.
        self._next: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def lane_key(self, connection: Any) -> str:
        """The key of the lane of an open connection, which keeps it until it closes."""
        if connection is None:
            return _lane_key(0)
        lease = self._leased.get(connection)
        if lease is None:
            with self._lock:
                number = self._take(connection)
                lease = self._leased[connection] = number, _lane_key(number)
            connection.onCloseCallback(_Release(self, connection))
        return lease[1]

    def _take(self, connection: Any) -> int:
        """The lowest free slot whose last use this connection's transaction can see.

        If the connection's transaction began before the last user of a slot committed, it sees an
        old segment: writing that would conflict.
        """
        database = connection.db()
        # Not `_storage`: after a savepoint that is a temporary one.
        sees_before = getattr(connection._normal_storage, "_start", None)
        free = self._free.setdefault(database, [])
        for index, (number, released) in enumerate(free):
            if sees_before is None or released < sees_before:
                del free[index]
                return number
        number = self._next.get(database, 0)
        self._next[database] = number + 1
        return number

    def release(self, connection: Any) -> None:
        """Free the slot of a connection that closes."""
        with self._lock:
            lease = self._leased.pop(connection, None)
            if lease is not None:
                database = connection.db()
                released = database.lastTransaction() or z64
                bisect.insort(self._free.setdefault(database, []), (lease[0], released))


class _Release:
    """Gives a slot back when its connection closes."""

    def __init__(self, slots: _Slots, connection: Any) -> None:
        self._slots = slots
        self._connection = weakref.ref(connection)

    def __call__(self) -> None:
        connection = self._connection()
        if connection is not None:
            self._slots.release(connection)


_slots = _Slots()
