"""What must be so after each poll."""

import dataclasses
from typing import Any

import zc.async_.clock
from tests.statemachine.model import Model
from tests.statemachine.process import Process
from tests.statemachine.view import View
from zc.async_.dispatcher.plans import SYSTEM, Outcome
from zc.async_.interfaces import ACTIVE


@dataclasses.dataclass
class Poll:
    """A poll, and what was so before it."""

    process: Process
    #: When it began (microseconds).
    began: int
    #: The oids of the jobs that waited, in order; None if others acted in the middle.
    waited: list[bytes] | None
    #: Whether it preferred other jobs than the first.
    contended: bool
    outcome: Outcome


def note_holders(poll: Poll, view: View, model: Model, numbers: Any) -> None:
    """Note which places the claimed jobs have, and see that they are all that they need."""
    for claimed in poll.outcome.jobs:
        job = view.same(claimed.job_id[0])
        if job.claim_token != claimed.token or job.status != ACTIVE:
            # Somebody was quick.
            continue
        quotas = [view.queue.quotas.get(name) for name in job.quota_names]
        holding = {quota._p_oid for quota in quotas if quota is not None and job in quota}
        if poll.waited is not None:
            assert all(quota is None or job in quota for quota in quotas), f"{job!r} has no place"
        if numbers(job):
            model.holders[numbers(job)] = (claimed.token, holding)


def check_claimed(poll: Poll, view: View, deadlines: dict[bytes, int | None]) -> None:
    """What was claimed could be claimed."""
    for claimed in poll.outcome.jobs:
        deadline = deadlines.get(claimed.job_id[0])
        assert deadline is None or deadline > poll.began, "claimed though it is too late"
        job = view.same(claimed.job_id[0])
        assert (claimed.agent[1] == SYSTEM) == job.is_of_system
        agents = view.queue.dispatchers[poll.process.uuid]
        agent = agents.get(claimed.agent[1])
        if job.claim_token == claimed.token and job.status == ACTIVE and agent is not None:
            assert agents.labels_for(agent).issuperset(job.needs), f"lacks what {job!r} needs"
        if poll.waited is not None:
            assert job.claim_token == claimed.token
            assert job.status == ACTIVE
            begin_after = zc.async_.clock.to_microseconds(job.begin_after)
            assert job.kept_begin_after is None or begin_after <= zc.async_.clock.microseconds()
            assert agent is None or agent.filter is None or agent.filter(job), "a filter said no"
            if agent is not None:
                alike = [one for one in agent if one.is_coroutine == job.is_coroutine]
                places = agent.coroutine_size if job.is_coroutine else agent.size
                assert len(alike) <= places, f"{len(alike)} jobs in {places} places"


def check_undisturbed(poll: Poll, view: View) -> None:
    """Nothing that could have been claimed was left or passed over."""
    if poll.waited is None or poll.outcome.failed or poll.outcome.info.get("") is None:
        return
    agents = view.queue.dispatchers[poll.process.uuid]
    for name, agent in (("main", agents["main"]), (SYSTEM, agents.system_agent)):
        labels = agents.labels_for(agent)
        left = [job for job in view.waiting if _may_start(view, agent, labels, job)]
        for coroutines in (False, True):
            alike = [job for job in left if job.is_coroutine == coroutines]
            if not poll.contended:
                _check_order(poll, name, alike, coroutines)
            if poll.outcome.again is None and _is_idle(poll.process, name, agent, coroutines):
                assert not alike, f"could have been claimed: {alike}"
    _check_next_time(poll, view)


def _may_start(view: View, agent: Any, labels: frozenset[str], job: Any) -> bool:
    now = zc.async_.clock.now()
    quotas = [view.queue.quotas.get(name) for name in job.quota_names]
    return (
        job.is_of_system == (agent.name == "system")
        and (job.kept_begin_after is None or job.begin_after <= now)
        and all(quota is None or not quota.filled for quota in quotas)
        and (job.is_of_system or labels.issuperset(job.needs))
        and (agent.filter is None or agent.filter(job))
    )


def _is_idle(process: Process, name: str, agent: Any, coroutines: bool) -> bool:
    """Whether it has a place for a coroutine, or for another job."""
    own = (*process.claims, *process.under_way, *process.deferred)
    busy = sum(one.agent[1] == name and one.is_coroutine == coroutines for one in own)
    has = sum(job.is_coroutine == coroutines for job in agent)
    places = agent.coroutine_size if coroutines else agent.size
    return agent.size > 0 and places > busy and places > has


def _check_order(poll: Poll, name: str, left: list[Any], coroutines: bool) -> None:
    """Of those of a kind, none that could be claimed was passed over."""
    assert poll.waited is not None
    places = {oid: place for place, oid in enumerate(poll.waited)}
    # The poll itself may have put jobs, too.
    own = [
        claimed.job_id[0]
        for claimed in poll.outcome.jobs
        if claimed.agent[1] == name and claimed.is_coroutine == coroutines
    ]
    claimed = [places[oid] for oid in own if oid in places]
    assert claimed == sorted(claimed), f"claimed in the order {claimed}"
    for job in left:
        passed = [place for place in claimed if place > places.get(job._p_oid, len(places))]
        assert not passed, f"{job!r} was passed over"


def _check_next_time(poll: Poll, view: View) -> None:
    if poll.outcome.again is not None:
        return
    now = zc.async_.clock.microseconds()
    times = []
    for job in view.waiting:
        begin_after = zc.async_.clock.to_microseconds(job.begin_after)
        if job.kept_begin_after is not None and begin_after > now:
            times.append(begin_after)
        if job.begin_by is not None:
            deadline = begin_after + zc.async_.clock.interval_microseconds(job.begin_by)
            assert deadline > now, f"{job!r} waits though it is too late"
            times.append(deadline)
    told = poll.outcome.next_time
    if times:
        assert told is not None, "there is something to do later, which is not told"
        assert told <= min(times), "there is something to do sooner than is told"
