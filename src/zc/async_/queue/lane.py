"""Lanes: how a job gets into a queue without meeting anybody.

Every open connection that puts jobs into a queue does so through a lane of its own, a linked list
of short segments. Of a lane's records

- the newest `Segment` and, once every `SEGMENT_SIZE` puts, the `Lane` are written by that
  connection alone;
- the `Cursor`, which says how far the lane is read, is written by dispatchers alone.

So a `put` writes nothing that another open connection or a dispatcher writes. Segments are short
because the newest is written again with every put; read ones are referred to by nothing and go with
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

#: Entries of one segment. Fewer make a put cheaper, and a claim read more records: a put with 8
#: took 5 % less time than with 16; a plain BTree's leaf of 60 made it a third slower.
SEGMENT_SIZE = 8

#: Added to the key of a lane that is spoilt, for the one that takes its place.
SUBSTITUTE = "+"

#: An entry of a lane: the job's `entry_key` at the time, the job, and its `place_of` in the order.
#: (None: it waits since its put. Older versions wrote two elements, which say nothing of it.)
Entry = tuple[int, Any, bytes | None] | tuple[int, Any]


class Segment(persistent.Persistent):
    """Some successive entries of a lane."""

    next: "Segment | None" = None

    def __init__(self, first: int) -> None:
        #: Number, counted from the start of the lane, of the first of the entries.
        self.first = first
        self.entries: tuple[Entry, ...] = ()

    @property
    def end(self) -> int:
        """Number of the entry after the last."""
        return self.first + len(self.entries)

    @property
    def is_whole(self) -> bool:
        """Whether this is what it should be: another record may lie where a reference leads."""
        return type(vars(self).get("entries")) is tuple and type(vars(self).get("first")) is int


class Cursor(persistent.Persistent):
    """How far a lane has been read."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        #: Number of the next entry to read, which is in `segment` or after it.
        self.position = 0


class Lane(persistent.Persistent):
    """The entries that one connection added and nobody has read."""

    #: Number of the entry from which on all are in order by themselves. (None: an older version
    #: wrote all.)
    ordered_from: int | None = None

    def __init__(self) -> None:
        self.newest = Segment(0)
        self.cursor = Cursor(self.newest)
        self.ordered_from = 0

    def append(self, key: int, job: Any, place: bytes | None = None) -> None:
        """Add an entry. Only for the connection that leases the lane."""
        segment = self.newest
        is_ordered = not segment.entries or _goes_before(segment.entries[-1], (key, job, place))
        if self.ordered_from is None:
            self.ordered_from = segment.end
        if len(segment.entries) >= SEGMENT_SIZE:
            segment = self._make_room(segment)
        segment.entries += ((key, job, place),)
        if not is_ordered:
            self.ordered_from = segment.end

    def place(self, key: int, job: Any, place: bytes | None) -> bool:
        """Change what one of the last entries says; return whether it is among them.

        Only for the connection that leases the lane, and for entries that it has not committed.
        """
        segment = self.newest
        for index, entry in enumerate(segment.entries):
            if entry[0] == key and entry[1] is job:
                if entry[2:] != (place,):
                    before, after = segment.entries[:index], segment.entries[index + 1 :]
                    segment.entries = (*before, (key, job, place), *after)
                    self.ordered_from = segment.end
                return True
        return False

    def _make_room(self, full: Segment) -> Segment:
        # The cursor as this connection sees it may be old, never ahead: what it says is read, is.
        if self.cursor.position >= full.end:
            full.first = full.end
            full.entries = ()
            return full
        self.newest = full.next = Segment(full.end)
        return self.newest

    def __len__(self) -> int:
        """The number of unread entries, those that no longer count among them."""
        return self.newest.end - self.cursor.position

    def __bool__(self) -> bool:
        return len(self) > 0

    def unread(self) -> Iterator[tuple[Entry, Segment, int]]:
        """The unread entries, each with the segment and the position of the cursor behind it."""
        segment: Segment | None = self.cursor.segment
        position = self.cursor.position
        # Not what is appended meanwhile: this connection may put jobs while it reads. Nor is missed
        # what is trimmed meanwhile, of the newest segment.
        end = self.newest.end
        newest, newest_first, newest_entries = self.newest, self.newest.first, self.newest.entries
        while segment is not None and position < end:
            if not _is_whole(segment):
                _say_spoilt(self, segment, f"entries {position} to {self.newest.first}")
                # What is between cannot be found.
                segment = self.newest
                position = max(position, segment.first)
                continue
            # Entries before `first` were read, and trimmed for that reason.
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
    """Whether two successive entries are in order: not if a clock was set back, for example."""
    if entry[2:] == following[2:]:
        return entry[0] < following[0]
    return len(entry) == 3 and place_of_entry(entry) < place_of_entry(following)


def place_of_entry(entry: tuple[Any, ...]) -> bytes:
    """The place of an entry of three elements, with its key."""
    key, _job, place = entry
    return sort_key(0, key, key, key, b"") if place is None else place + entry_key_part(key)


def lease(lanes: Lanes, connection: Any) -> Lane:
    """The lane of `connection` among `lanes`, made if it is not there.

    `connection` is None for a queue that is in no database yet. Nothing is remembered of the lane
    itself, so a transaction that is rolled back leaves no trace. One that is spoilt is left as it
    is, and another takes its place.
    """
    key = _slots.lane_key(connection)
    while (lane := lanes.get(key)) is not None and not can_be_read(lane):
        key += SUBSTITUTE
    if lane is None:
        lane = lanes[key] = Lane()
    return lane


def readable(lanes: Lanes) -> list[Lane]:
    """The lanes that can be read. Of others it is said that they cannot."""
    return [lane for lane in lanes.values() if can_be_read(lane)]


def can_be_read(lane: Any) -> bool:
    """Whether a lane is one, with what belongs to it; if not, that is logged once a process.

    A server that gave an oid twice may have had a reference lead to another object than it should.
    """
    whole = isinstance(lane, Lane) and (_is_being_written(lane) or _has_its_parts(lane))
    if not whole:
        _say_spoilt(lane, lane, "what was put through it")
    return whole


def _is_being_written(lane: Lane) -> bool:
    """Whether this transaction has added an entry already: then the lane was looked at."""
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
    """Load a record; return whether that can be done. Raises what a storage in trouble does."""
    try:
        record._p_activate()
    except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        # There is none, or its state is that of an object of another class; or its storage is in
        # trouble, which says nothing of it: what it leads to must not be passed over.
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


#: Oids of records of which was said that they cannot be read. Any thread may add.
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
    """Make the lanes of this process's first `count` connections, so that first puts are cheap."""
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
        #: Of open connections, the number of their slot and the key of their lane.
        self._leased: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()
        #: Of databases, the free slots: number, and newest transaction when it became free.
        self._free: WeakKeyDictionary[Any, list[tuple[int, bytes]]] = WeakKeyDictionary()
        #: Of databases, the lowest number never used.
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

        A connection that began before the last user of a slot committed has an old segment before
        its eyes: writing it would conflict.
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
