"""Which errors are in order while everything is broken: what none of these explains is a fault."""

import collections
import datetime
import re
import traceback
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.torture.breaking import (
    CLIENTS,
    CONNECTION_BREAKAGES,
    SERVER,
    SERVER_BREAKAGES,
    STALL,
    START,
    Outage,
)
from tests.torture.crew import BREAKAGES as CREW_BREAKAGES
from tests.torture.faults import Fault

#: Seconds that what was broken goes on to be felt: a client is back 15 s after its server can be
#: reached, and a worker may be suspended meanwhile.
LINGERS = 20.0

#: Seconds after the disk has room again in which an error still tells of it: a commit that had
#: begun, on a machine that is busy.
DISK_LINGERS = 5.0

#: Seconds by which a log may say that something was earlier than it was.
PRECISION = 0.001

#: Whatever has clients lose their server.
AWAY = frozenset((*CONNECTION_BREAKAGES, *SERVER_BREAKAGES)) - {"disk full"}
FULL = frozenset(("disk full",))
#: What keeps a worker from its pings. A server that is away, or slow to come back, does so too.
SILENT = AWAY | {
    *CREW_BREAKAGES,
    "kill",
    "kill for long",
    "suspend for long",
    "suspend for short",
    "terminate",
    STALL,
    START,
}


class Met(NamedTuple):
    """An error that a client or a worker met."""

    #: "putter", "watcher", or the name of a logger.
    whose: str
    #: What was logged; empty if it was not.
    message: str
    #: The class of the error, with or without its module, and its text; empty if there was none.
    error: str
    text: str
    #: By the wall clock, in seconds.
    when: float
    #: Lines that tell where it came from, if that is known.
    traceback: str = ""
    #: Who met it, as a target of breakages.
    target: str = SERVER

    @property
    def kind(self) -> str:
        """What it has in common with others."""
        words = ": ".join(filter(None, (self.whose, self.message, self.error, self.text)))
        words = re.sub(r"<zc\.async_\.job\.Job \(.*?\)``>|<zc\.async_\.job\.Job .*>", "JOB", words)
        return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+", "N", words)[:160]


class Explanation(NamedTuple):
    """A kind of error that is in order."""

    #: Each is a regular expression for the whole of what `Met` has of that name.
    whose: str
    message: str
    error: str
    text: str
    #: It is in order only at the time of one of these; at any time if this is None.
    breakages: frozenset[str] | None = None
    lingers: float = LINGERS
    #: Whether it may be the time of anybody's; else it is that of the server's, or of the one's who
    #: met it.
    anybodys: bool = False
    #: It is in order only while this is done to who met it, besides; "": always.
    during: str = ""


#: Those in this process.
_CLIENTS = "putter|watcher"
_ANY = "(?s:.*)"
_DISCONNECTED = (
    r"(ZEO\.Exceptions\.)?ClientDisconnected|(zc\.async_\.relstorage\.driver\.)?LostError"
)
_EVENTS = r"zc\.async\.events"
_WORKERS = r"zc\.async\.worker"
#: The text that a client is told when the server's disk is full.
_TOO_LARGE = r"(?s).*(File too large|No space left).*"
#: The text that a client is told of what a FileStorage reads where it could not write.
_GARBAGE = r"(?s:.*)(Non-zero version length|unpack requires a buffer|CorruptedDataError)(?s:.*)"
_FULL = FULL, DISK_LINGERS
_REFUSED = r"(ZEO\.Exceptions\.)?ServerException|OSError"

EXPLAINED = (
    # It began with what the cache had while the server was away: with its own lane as of before the
    # commit whose answer it did not get.
    Explanation("putter", "", r"(ReadC|C)onflictError", _ANY, AWAY),
    # Somebody keeps a lock of RelStorage's, or its server goes away meanwhile.
    Explanation("putter", "", r"UnableToLockRows\w+", _ANY, AWAY),
    # The server cannot be reached, or its answer does not come.
    Explanation(_CLIENTS, "", _DISCONNECTED, _ANY, AWAY),
    # The server that refuses to write says why. Readers meet none of it.
    Explanation("putter", "", _REFUSED, _TOO_LARGE, *_FULL),
    # -- what workers log
    # An object could not be loaded, as the server is away; who asked for it is told, too.
    Explanation(r"ZODB\.Connection", r"Couldn't load state for .*", _DISCONNECTED, _ANY, AWAY),
    # ZEO's own tasks end with the connection; nobody waits for them.
    Explanation(
        "asyncio",
        "(ConcurrentTask|Future) exception was never retrieved.*",
        _DISCONNECTED,
        _ANY,
        AWAY,
    ),
    Explanation(r"ZEO\.asyncio\.client", "Exception for prefetch .*", _DISCONNECTED, _ANY, AWAY),
    # Two changed the same entry of a BTree, to values of different types: ZODB compares them before
    # it says that this is a conflict. With ZEO, the server does that.
    Explanation(
        r"ZODB\.ConflictResolution",
        "Unexpected error while trying to resolve conflict on .*",
        "TypeError",
        "'<' not supported between instances of '(bytes|tuple)' and '(bytes|tuple)'",
    ),
    Explanation(r"relstorage\.storage\.load", "Failed to prefetch.*", _DISCONNECTED, _ANY, AWAY),
    # DB.open does not take back a connection whose storage could not begin, and counts it as open
    # until it is collected.
    Explanation(r"ZODB\.DB", r"DB\.open\(\) has \d+ open connections .*", "", "", AWAY),
    # RelStorage tells of each try to reach the server, and to ask who has a lock.
    Explanation(
        r"relstorage\.adapters\.connections",
        "(Reconnect|Failed to borrow a store connection).*",
        _DISCONNECTED,
        _ANY,
        AWAY,
    ),
    Explanation(
        r"relstorage\.adapters\.locker",
        "Failed to get lock debug info.*",
        _DISCONNECTED,
        _ANY,
        AWAY,
    ),
    # The connection ended while a transaction sent what it stores. Nothing of it takes effect: its
    # client refuses to vote on another connection than the one it began on, ...
    Explanation(
        "asyncio",
        r"Exception in callback ClientIO\.call_async(_iter)?\(.*",
        "AttributeError",
        r"'NoneType' object has no attribute 'call_async(_iter)?'",
        AWAY,
    ),
    # ... and if it has not noticed yet, the new connection knows no such transaction, and says so.
    Explanation(
        r"ZEO\.asyncio\.client",
        r".* from server: ZODB\.POSException\.StorageTransactionError:\(None, \d+\)",
        "",
        "",
        AWAY,
    ),
    # A client that was away for long, or came back to a server that restarted, verifies nothing.
    Explanation(r"ZEO\.asyncio\.client", ".*dropping stale cache", "", "", AWAY),
    # The answer to the last step of a commit did not come. What it came to is found out.
    Explanation(r"txn\.\d+", "A storage error occurred during the second phase.*", "", "", AWAY),
    # That step can fail for want of room.
    Explanation(
        r"txn\.\d+",
        "A storage error occurred during the second phase.*",
        "",
        "",
        *_FULL,
    ),
    # A sibling was killed or suspended, or could not reach the server to ping.
    Explanation(
        _EVENTS, "dispatcher .* is dead; its jobs are handed back", "", "", SILENT, anybodys=True
    ),
    Explanation(_EVENTS, "dispatcher .* was taken for dead, and is not: .*", "", "", SILENT),
    # A worker was suspended or cut off, or its sibling handed its jobs back meanwhile.
    Explanation(
        _EVENTS,
        "gave up a job: .* (is no longer the business of this worker|was given to somebody else)",
        "",
        "",
        SILENT,
    ),
    # The answer to the commit of a callback was lost, and it was done after that was looked for.
    Explanation(_EVENTS, "gave up a job: somebody else has run .*", "", "", AWAY),
    # It starts again before its connection of before is known to have ended.
    Explanation(
        _EVENTS, "UUID .* already activated in queue .*: another process.*", "", "", SILENT
    ),
    # Its process was killed or ended while it left, and its database was out of reach.
    Explanation(
        _EVENTS,
        "could not deactivate; a sibling, or the next start, will clean up",
        _DISCONNECTED,
        _ANY,
        AWAY,
    ),
    # A worker that is told to end while the server is away waits for its polls and jobs, though not
    # for long.
    Explanation(
        _EVENTS,
        "dispatcher .* did not stop; a sibling will clean up.*",
        "",
        "",
        AWAY,
        during="terminate",
    ),
    # It was asking for a job when the server went. The poll is given up, and with it what it did.
    Explanation(_EVENTS, "agent .* could not claim a job", _DISCONNECTED, _ANY, AWAY),
    # A poll, or the end of a job, that the server refuses for want of room is tried again.
    Explanation(
        _EVENTS,
        "poll of queue .* failed; it is tried again",
        _REFUSED,
        _TOO_LARGE,
        *_FULL,
    ),
    # What it could not write, it may read for a moment.
    Explanation(r"ZODB\.Connection", r"Couldn't load state for .*", _REFUSED, _GARBAGE, *_FULL),
    Explanation(_CLIENTS, "", _REFUSED, _GARBAGE, *_FULL),
    Explanation(_EVENTS, "poll of queue .* failed; it is tried again", _REFUSED, _GARBAGE, *_FULL),
    Explanation(
        _EVENTS,
        rf"a job of queue .* is left alone for \d+ s: it cannot be loaded {_GARBAGE}",
        "",
        "",
        *_FULL,
    ),
    Explanation(_EVENTS, r".*: error, next try in \d+ s", _REFUSED, _TOO_LARGE, *_FULL),
    Explanation(
        _EVENTS,
        r".*: other error \d+, next try in .*File too large.*",
        "",
        "",
        *_FULL,
    ),
    # Nor can a worker that is told to end just then leave the queue.
    Explanation(
        _EVENTS,
        "could not deactivate; a sibling, or the next start, will clean up",
        _REFUSED,
        _TOO_LARGE,
        *_FULL,
    ),
    # That is how a supervisor notices it.
    Explanation(
        _WORKERS,
        r"worker \d+ \(process \d+\) was ended by SIGKILL; it is started again in \S+ s",
        "",
        "",
        frozenset(("kill one",)),
    ),
    # Whether a job may fail with what it failed with, `kinds` says.
    Explanation(_EVENTS, r"(?s)<zc\.async_\.job\.Job .* failed:", _ANY, _ANY),
)


def unexplained(errors: Iterable[Met], outages: Iterable[Outage]) -> Iterator[Fault]:
    """A fault for each kind of error that nothing explains."""
    outages = list(outages)
    kinds: dict[str, list[Met]] = collections.defaultdict(list)
    for met in errors:
        if not any(_explains(explanation, met, outages) for explanation in EXPLAINED):
            kinds[met.kind].append(met)
    for kind, found in kinds.items():
        when = datetime.datetime.fromtimestamp(found[0].when, datetime.UTC)
        told = f"{found[0].target}: {kind} ({len(found)} times, first at {when})"
        lines = told, found[0].traceback, _broken_before(found[0].when, outages)
        yield Fault("unexplained", "\n".join(filter(None, lines)))


def _broken_before(when: float, outages: list[Outage]) -> str:
    before = sorted((one for one in outages if one.began <= when), key=lambda one: one.began)
    words = [
        f"{one.kind} of {one.target} from {one.began - when:.1f} to {one.ended - when:.1f} s"
        for one in before[-5:]
    ]
    return "broken before: " + "; ".join(words) if words else ""


def _explains(explanation: Explanation, met: Met, outages: list[Outage]) -> bool:
    patterns = zip(explanation[:4], met[:4], strict=True)
    if not all(re.fullmatch(pattern, word) for pattern, word in patterns):
        return False
    mine = [one for one in outages if one.target in (met.target, SERVER)]
    if explanation.during and not any(
        one.kind == explanation.during and _is_time_of(one, met.when, 0) for one in mine
    ):
        return False
    return explanation.breakages is None or any(
        one.kind in explanation.breakages and _is_time_of(one, met.when, explanation.lingers)
        for one in (outages if explanation.anybodys else mine)
    )


def _is_time_of(outage: Outage, when: float, lingers: float) -> bool:
    return outage.began - PRECISION <= when <= outage.ended + lingers


def met(whose: str, error: BaseException, when: float) -> Met:
    """What a client met."""
    lines = "".join(traceback.format_exception(error)).rstrip()
    target = CLIENTS if whose == "putter" else SERVER
    return Met(whose, "", type(error).__name__, str(error), when, lines, target)
