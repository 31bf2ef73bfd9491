"""Receipts, which tell whether a job took effect in databases other than its queue's.

A commit to two databases ends in one after the other. A process that dies in between leaves a job
that took effect and does not say so, or the reverse. A receipt is part of the job's transaction in
the other database. Whoever comes after the crash looks for it.

Receipts are written in databases in which `install` was called.
"""

from typing import Any

import persistent
from BTrees.OOBTree import OOBTree

import zc.async_.clock
from zc.async_ import utils
from zc.async_.interfaces import CALLBACKS, COMPLETED
from zc.async_.running import notes
from zc.async_.running.chains import is_proxy
from zc.async_.running.contract import RunnableJob
from zc.async_.storing import storable

#: Key of the receipts in the root of a database.
KEY = "zc.async.receipts"

#: Microseconds after which receipts are put aside, and after as many more dropped.
PERIOD = 7 * 24 * 60 * 60 * 1_000_000


class Receipts(persistent.Persistent):
    """The receipts of one database: (token, result) by the job's database and oid."""

    def __init__(self) -> None:
        self.since = zc.async_.clock.microseconds()
        self.current = _tree()
        self.previous = _tree()

    def add(self, key: bytes, receipt: tuple[int, Any]) -> None:
        """Add one, and drop very old ones."""
        now = zc.async_.clock.microseconds()
        if self.since - now > PERIOD // 7:
            # The clock was set back by days.
            self.since = now
        if now - self.since > PERIOD:
            self.since, self.previous, self.current = now, self.current, _tree()
        self.current[key] = receipt

    def get(self, key: bytes) -> tuple[int, Any] | None:
        """The receipt of a job, None if there is none."""
        return self.current.get(key) or self.previous.get(key)


def _tree() -> OOBTree:
    # Two first additions to an empty tree could not be merged.
    return OOBTree({b"": None})


def install(database: Any) -> None:
    """Have jobs leave receipts in a database from now on. Commits; may be called again."""
    with database.transaction(f"{notes.PREFIX}installing receipts") as connection:
        if KEY not in connection.root():
            connection.root()[KEY] = Receipts()


def leave(job: RunnableJob) -> None:
    """Leave receipts where the present transaction of a job's worker changes other databases.

    To be called before the commit, when the result is known.
    """
    jar = job._p_jar
    if jar is None or len(jar.connections) < 2:
        return
    names = []
    for name, connection in jar.connections.items():
        if connection is jar or connection._needs_to_join:
            continue
        receipts = connection.root().get(KEY)
        if receipts is not None:
            receipts.add(_key(job), (job.claim_token, _plain(job.result)))
            names.append(name)
    if names:
        job.note_receipts(tuple(names))


def _key(job: RunnableJob) -> bytes:
    return job._p_oid + job._p_jar.db().database_name.encode()


def _plain(result: Any) -> Any:
    """The result if it is a number, a text or the like, else None."""
    return result if storable.is_plain(result) else None


def find(job: RunnableJob) -> tuple[int, Any] | None:
    """The receipt of a job in any database, None if there is none.

    If there is one, the job took effect although its own record does not say so.
    """
    for name in job._p_jar.db().databases:
        if name == job._p_jar.db().database_name:
            continue
        receipts = job._p_jar.get_connection(name).root().get(KEY)
        receipt = None if receipts is None else receipts.get(_key(job))
        if receipt is not None:
            return receipt
    return None


def undo_without_effect(job: RunnableJob) -> bool:
    """Undo the end of a job, and of its callbacks, if there is no receipt of it.

    Returns whether that was done for the job or for a callback of it. To be called when the process
    of the job died, perhaps before it saw the end of its last commit.
    """
    # No recursion: chains of callbacks may be long.
    undone, ended, to_look_at = set(), [], [job]
    while to_look_at:
        other = to_look_at.pop()
        if other.status not in (CALLBACKS, COMPLETED):
            continue
        if is_without_effect(other):
            utils.log.warning("%r took no effect before a crash: no receipt", other)
            other.undo_end()
            undone.add(other)
            continue
        ended.append(other)
        to_look_at += _callbacks(other)
    # In this order each job comes after its callbacks.
    for other in reversed(ended):
        if undone.intersection(_callbacks(other)):
            other.undo_completion()
            undone.add(other)
    return job in undone


def _callbacks(job: RunnableJob) -> list[Any]:
    jobs = [c.job if is_proxy(c) else c for c in job.callbacks]
    return [callback for callback in jobs if callback is not None]


def is_without_effect(job: RunnableJob) -> bool:
    """Whether a receipt of the job's end is missing where one was left."""
    for name in job.receipt_databases:
        try:
            receipts = job._p_jar.get_connection(name).root().get(KEY)
        except KeyError:
            utils.log.warning(
                "%r: this process has no database %r to look for its receipt in", job, name
            )
            continue
        receipt = None if receipts is None else receipts.get(_key(job))
        if receipt is None or receipt[0] != job.claim_token:
            return True
    return False
