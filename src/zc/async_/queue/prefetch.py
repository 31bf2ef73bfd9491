"""Asking a storage behind a network for what a claim will look at, all at once."""

from typing import Any

from zc.async_.queue.ready import Ready
from zc.async_.queue.unread import Unread

#: How many jobs of a group are asked for at once, from a storage behind a network.
PREFETCH_STORED = 16


def prefetch(queue: Any, ready: Ready, unread: Unread) -> None:
    """Ask the storage of `queue` for the first of the jobs that are ready or unread.

    Does nothing if the queue is not stored.
    """
    jar = queue._p_jar
    if jar is None:
        return
    jobs = ready.first_stored(PREFETCH_STORED)
    jobs += _limited(jar, queue.quotas, ready)
    jobs += unread.first_jobs()
    _load(jar, jobs)


def _limited(jar: Any, all_quotas: Any, ready: Ready) -> list[Any]:
    """The same of jobs with quotas, and of these. Returns jobs."""
    if not hasattr(jar.db().storage, "prefetch"):
        # To look up the quotas would cost more than is gained.
        return []
    piles = ready.first_piles(PREFETCH_STORED)
    _load(jar, [pile for pile in piles if pile._p_jar is not None])
    # (Of one job, they have no records.)
    names = {name for pile in piles for name in pile.quota_names}
    quotas = [all_quotas.get(name) for name in names]
    _load(jar, [quota for quota in quotas if quota is not None])
    _load(jar, [quota.members for quota in quotas if quota is not None])
    return [entry[1] for pile in piles for entry in pile.few[:1]]


def _load(jar: Any, records: list[Any]) -> None:
    """Ask the storage for those of the records that are not in memory."""
    missing = [record._p_oid for record in records if record._p_changed is None]
    if len(missing) > 1:
        jar.prefetch(missing)
