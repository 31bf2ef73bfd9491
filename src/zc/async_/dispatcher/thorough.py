"""Thorough looks: a dispatcher searches from time to time for states of which nothing tells it.

- Jobs that an agent has but no thread. Somebody undid the transaction in which such a job ended
  (`ZODB.DB.undo`), so that it is as it was while it ran.
- Quotas of size 0 that have places again without a note: the change to 0 was undone.
- Jobs that should wait for an interval, such as a retry's back-off, but would wait for hours
  because the clock was set back meanwhile.
- Entries of jobs that were removed or edited, among those of jobs that need labels: no claim comes
  across them if nobody has the labels.
- Jobs that need labels that nobody has.
- Composed jobs that keep places which they need of each other.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import zc.async_.clock
from zc.async_ import utils
from zc.async_.agent import handingback
from zc.async_.dispatcher.pool import JobId, job_id
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS
from zc.async_.job import entry_of_later, time_of
from zc.async_.queue import Needs, Part, Places, all_needing, deadlocks, indices, serving

#: Seconds between two thorough looks. The second one handles what the first one found.
INTERVAL = 30.0

#: How many of the newest completed jobs of an agent are looked at.
COMPLETED_LIMIT = 100

#: How many of the jobs that are due next are looked at.
LATER_LIMIT = 1000

#: How many quotas of size 0 are looked at.
CLOSED_LIMIT = 1000

#: How many entries of jobs that need labels are looked at, if some entries do not count.
STALE_LIMIT = 1000

#: How many different needs that nobody satisfies are noticed.
UNSERVED_LIMIT = 100

#: Seconds by which a wait may be too long. Clocks of machines differ a little.
TOLERANCE = 10

Key = tuple[JobId, int]
NamedAgents = Iterable[tuple[str, Any]]


def find_forlorn(agents: NamedAgents, held: frozenset[Key]) -> set[Key]:
    """The jobs, with their tokens, that have begun but that no thread has.

    `held`: those that threads have. Jobs that were claimed after it was made may be found too.
    """
    keys = {_key(job) for _name, agent in agents for job in _begun(agent)}
    return keys - held


def hand_back(dispatcher_agents: Any, agents: NamedAgents, forlorn: set[Key]) -> None:
    """Hand forlorn jobs back, for any dispatcher that works for the queue."""
    for _name, agent in agents:
        for job in list(_begun(agent)):
            if _key(job) in forlorn:
                utils.log.warning(
                    "%r is with no worker: was the transaction undone in which it ended? It is "
                    "taken for interrupted",
                    job,
                )
                agent.forget(job)
                agent.remove_from_history(job)
                handingback.hand_back_job(dispatcher_agents.queue, job)


def _begun(agent: Any) -> Iterator[Any]:
    """The jobs of an agent that a thread should have: in its list, or taken for completed."""
    yield from agent
    for job in itertools.islice(agent.completed, COMPLETED_LIMIT):
        try:
            job._p_activate()
        except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            # Probably it was packed away. It certainly does not run.
            continue
        goes_on = job.status in (ASSIGNED, ACTIVE, CALLBACKS) and not job.is_suspended()
        if goes_on and job.agent is agent.owner and job not in agent:
            yield job


def _key(job: Any) -> Key:
    return job_id(job), job.claim_token


def note_reopened(queue: Any) -> int:
    """Make claims ask quotas that only seem closed to them; return how many there were."""
    places = Places(queue.quotas)
    groups: list[Any] = [*indices(queue.backlog), *all_needing(queue.backlog)]
    reopened = {
        name
        for _key, index in groups
        for name in index.some_closed(CLOSED_LIMIT)
        if not places.is_closed(name)
    }
    for name in reopened:
        queue.quotas.note_reopened(name)
    return len(reopened)


def shorten_waits(queue: Any) -> int:
    """Shorten waits that are longer than intended; return how many there were.

    An entry knows when it was made. If that is in the future, the clock was set back since then.
    """
    now = zc.async_.clock.microseconds()
    latest = now + TOLERANCE * 1_000_000
    made_later = [
        (time_of(key), entry_of_later(key), job)
        for tree in queue.backlog.later_trees()
        for key, job in itertools.islice(tree.items(), LATER_LIMIT)
        if entry_of_later(key) > latest
    ]
    count = 0
    for moment, entry_key, job in made_later:
        if not queue.is_waiting(job, entry_key):
            continue
        delay = job.kept_delay
        if delay is not None and moment - latest > delay:
            utils.log.info("%r was to wait %d s; the clock was set back", job, delay / 1_000_000)
            job.wait_until_moment(now + delay, delay)
            queue.file_again(job)
            count += 1
    return count


def find_unserved(queue: Any, uuid: Any) -> dict[Needs, list[Part]]:
    """Needs of due jobs that no active dispatcher satisfies, and where these jobs are.

    Of several dispatchers, only one looks: the first one by its UUID. Others find nothing. Who is
    dead counts until it is buried.
    """
    if not all_needing(queue.backlog) or not _is_first(queue, uuid):
        return {}
    active = [agents for agents in queue.dispatchers.values() if agents.activated]
    at_work = set().union(*(agents.labels_at_work() for agents in active))
    return dict(itertools.islice(serving.unserved(queue, at_work), UNSERVED_LIMIT))


def _is_first(queue: Any, uuid: Any) -> bool:
    """Whether a dispatcher is the one, of several, that looks: the first one by its UUID."""
    active = [agents.UUID for agents in queue.dispatchers.values() if agents.activated]
    return bool(active) and min(active) == uuid


def break_deadlocks(queue: Any, uuid: Any) -> int:
    """Have jobs that wait for each other's places give up some; return how many.

    Of several dispatchers, only one looks, as for `find_unserved`.
    """
    given_up = deadlocks.break_up(queue) if _is_first(queue, uuid) else []
    for job, name in given_up:
        utils.log.warning(
            "%r gives up its place in the quota %r while it waits: it would wait for ever for jobs "
            "that need places of others, which wait for this place. If each job names all quotas "
            "that its parts name (`quota_names`), this does not happen",
            job,
            name,
        )
    return len(given_up)
