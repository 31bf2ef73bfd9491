"""Fetches the records that a claim will need from a storage behind a network, all at once."""

from typing import Any

from zc.async_.queue.ready import Ready
from zc.async_.queue.unread import Unread

#: How many jobs of a group are fetched at once from a storage behind a network.
PREFETCH_STORED = 16


def prefetch(queue: Any, ready: Ready, unread: Unread) -> None:
    """Ask the storage of `queue` for the first jobs of those that are ready or unread.

    Does nothing if the queue is not stored, or the storage fetches nothing ahead.
    """
    jar = queue._p_jar
    if jar is None or not hasattr(jar.db().storage, "prefetch"):
        # Looking what to ask for would cost more than it gains.
        return
    jobs = ready.first_stored(PREFETCH_STORED)
    jobs += _limited(jar, queue.quotas, ready)
    jobs += unread.first_jobs()
    _load(jar, jobs)


def _limited(jar: Any, all_quotas: Any, ready: Ready) -> list[Any]:
    """Fetch the piles of jobs with quotas, and these quotas. Returns the first jobs."""
    piles = ready.first_piles(PREFETCH_STORED)
    _load(jar, [pile for pile in piles if pile._p_jar is not None])
    # (Piles of one job have no records.)
    names = {name for pile in piles for name in pile.quota_names}
    quotas = [all_quotas.get(name) for name in names]
    _load(jar, [quota for quota in quotas if quota is not None])
    _load(jar, [quota.members for quota in quotas if quota is not None])
    return [entry[1] for pile in piles for entry in pile.few[:1]]


def _load(jar: Any, records: list[Any]) -> None:
    """Ask the storage for the records that are not in memory."""
    missing = [record._p_oid for record in records if record._p_changed is None]
    if len(missing) > 1:
        jar.prefetch(missing)
