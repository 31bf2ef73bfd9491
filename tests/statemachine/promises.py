"""What must be so after each step, and in the end."""

import itertools
from typing import Any

import zc.async_.clock
from tests.statemachine.model import Known, Model
from tests.statemachine.view import View, arrival_of
from tests.statemachine.work import Effect, Stage
from tests.unit.queue import piles
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED, NEW, PENDING
from zc.async_.job.proxies import CallbackProxy
from zc.twist import Failure

#: Jobs that take effect in one transaction with their end.
_ENDS_WITH_EFFECT = ("plain", "hot", "conflict", "exit", "fail", "commit")


def check_step(view: View, model: Model, stage: Stage) -> None:
    """What must be so after each step."""
    check_queue(view)
    check_agents(view)
    check_quotas(view, model)
    for known, effect, job in view.known():
        check_effects(known, effect, job)
        check_starts(known, stage)
        if job is not None:
            check_place(view, known, job)
            check_callbacks(view, known, job)
            check_parts(view, known, job)
            check_conditions(known, job)


# -- the queue


def check_queue(view: View) -> None:
    """`len`, `in` and iteration agree, and the order is the promised one."""
    queue, waiting = view.queue, view.waiting
    assert len(queue) == len(waiting), f"len is {len(queue)}, but {len(waiting)} jobs wait"
    assert len({job._p_oid for job in waiting}) == len(waiting), "a job waits twice"
    assert all(job.status == PENDING and job in queue for job in waiting)
    assert waiting == sorted(waiting, key=_order), "the order is not the promised one"
    piles.check(view)


def _order(job: Any) -> Any:
    arrival = arrival_of(job)
    begin_after = zc.async_.clock.to_microseconds(job.begin_after)
    rank = (0, 0) if job.was_put_back else (1, -job.priority)
    return rank, max(arrival, begin_after), arrival


# -- agents


def check_agents(view: View) -> None:
    """No two agents have one job, and what they say of their jobs agrees."""
    oids = [job._p_oid for _agent, jobs in view.agents for job in jobs]
    assert len(set(oids)) == len(oids), "two agents have one job"
    for agent, jobs in view.agents:
        assert list(agent) == [job for job in jobs if not job.is_suspended()]
        assert len(agent) == len(list(agent))
        assert all(job.agent is agent for job in agent)


def check_place(view: View, known: Known, job: Any) -> None:
    """Every job is in one place, from where it goes on."""
    status = job.status
    waits = any(job is waiting for waiting in view.waiting)
    listed = job._p_oid in view.listed
    assert waits == (status == PENDING), f"{known}: {status}, in queue: {waits}"
    if known.role == "put":
        assert known.removed == (status == NEW), f"{known}: {status}"
    if status in (NEW, PENDING):
        assert not listed, f"{known}: {status}, but an agent has it"
    elif status == COMPLETED:
        unseen = any(_is_wanted(callback, job.result) for callback in job.callbacks)
        assert not unseen or _is_cared_for(view, known, job), (
            f"{known}: has callbacks that nobody sees"
        )
    elif not job.is_suspended():
        assert _is_cared_for(view, known, job), f"{known}: {status}, and nobody has it"


def _is_cared_for(view: View, known: Known, job: Any) -> bool:
    """Whether an agent has a job, or a job of the system will go on with it."""
    if known.role == "callback":
        # Who goes on with the callbacks of its owner, goes on with those of the callback.
        assert known.owner is not None
        return _is_cared_for(view, view.model_of(known.owner), view.job(known.owner))
    return job._p_oid in view.listed or job._p_oid in view.cared_for


def _is_wanted(callback: Any, result: Any) -> bool:
    """Whether a callback has still to be performed."""
    if not isinstance(callback, CallbackProxy) or callback.status != NEW:
        return callback.status == NEW
    if callback.job is not None or callback.early_callbacks:
        return True
    return (callback.failure if isinstance(result, Failure) else callback.success) is not None


# -- quotas


def check_quotas(view: View, model: Model) -> None:
    """No quota has more jobs than places; who needs a place has it, and nobody else."""
    lengths = {}
    for name, quota in view.queue.quotas.items():
        oid = quota._p_oid
        lengths[oid] = len(quota)
        most = max(model.lengths.get(oid, 0), model.largest.get(oid, 0))
        assert len(quota) <= most, f"quota {name!r} has {len(quota)} jobs in {most} places"
        for job in quota:
            assert name in job.quota_names, f"{job!r} has a place in {name!r}, which it needs not"
            assert job.status == ACTIVE, f"{job!r} ({job.status}) has a place in {name!r}"
            assert name not in (job.given_up_places or ())
        for number, (token, oids) in model.holders.items():
            job = view.job(number)
            has_place = job.claim_token == token and name not in (job.given_up_places or ())
            if oid in oids and job.status == ACTIVE and has_place:
                assert job in quota, f"{job!r} runs without its place in {name!r}"
    model.lengths = lengths


# -- effects


def check_effects(known: Known, effect: Effect, job: Any) -> None:
    """What a job did is committed with its end, and once."""
    count = len(effect.entries())
    assert count <= 1, f"{known} took effect {count} times"
    if job is None or job.status in (NEW, PENDING):
        assert count == 0, f"{known} took effect, and is not done"
    elif known.kind == "inner":
        assert count == 1 or not job.waits_for_result()
        assert count == 1 or job.status == ACTIVE or isinstance(job.result, Failure)
    elif known.kind in _ENDS_WITH_EFFECT:
        ended_well = job.status in (CALLBACKS, COMPLETED) and not isinstance(job.result, Failure)
        assert count == ended_well, f"{known} ({job.status}) took effect {count} times"


def check_starts(known: Known, stage: Stage) -> None:
    """A job that must not be tried again is not; none is tried again after its time."""
    starts = stage.starts.get(known.number, [])
    if known.policy == "never":
        assert len(starts) <= 1, f"{known} was started {len(starts)} times"
    if known.deadline is not None and known.role == "put":
        for before, after in itertools.pairwise(starts):
            again = before.token == after.token
            assert not (again and after.time >= known.deadline), f"{known} was tried too late"


def check_conditions(known: Known, job: Any) -> None:
    """What was said of a waiting job holds."""
    if job.status != PENDING:
        return
    assert job.priority == known.priority
    assert set(job.quota_names) == set(known.quota_names)
    assert job.needs == known.needs
    if known.role == "put":
        deadline = None
        if job.begin_by is not None:
            deadline = zc.async_.clock.to_microseconds(job.begin_after)
            deadline += zc.async_.clock.interval_microseconds(job.begin_by)
        assert deadline == known.deadline, f"{known}: the deadline is {deadline}"


# -- what belongs to other jobs


def check_callbacks(view: View, known: Known, job: Any) -> None:
    """Callbacks come after the job, in order, and before it is completed."""
    performed = []
    for number in known.callbacks:
        callback = view.model_of(number)
        entries = view.effect(number).entries()
        performed += entries
        ended = job.status in (CALLBACKS, COMPLETED)
        assert ended or not entries, f"{callback} took effect before {known} ended"
        if not entries and not ended:
            continue
        fits = is_for(callback.wanted, job.result)
        assert fits or not entries, f"{callback} is not for {job.result!r}"
        if fits and not callback.late and job.status == COMPLETED:
            status = view.job(number).status
            assert status == COMPLETED, f"{known} is completed, {callback} is {status}"
    assert performed == sorted(performed), f"the callbacks of {known} were not in order"
    own = view.effect(known.number).entries()
    assert not (own and performed) or own[0] < performed[0]


def is_for(wanted: str, result: Any) -> bool:
    """Whether a callback is for a result."""
    return wanted == "any" or (wanted == "failure") == isinstance(result, Failure)


def check_parts(view: View, known: Known, job: Any) -> None:
    """What others are a part of ends after them, though callbacks that came later may run yet."""
    if known.kind not in ("serial", "parallel", "inner"):
        return
    if job.status not in (CALLBACKS, COMPLETED) or isinstance(job.result, Failure):
        return
    if known.kind == "inner":
        assert view.effect(known.number).inner.job.status in (CALLBACKS, COMPLETED)
        return
    effects = [view.effect(number) for number in known.parts]
    assert all(effect.job.status in (CALLBACKS, COMPLETED) for effect in effects), known
    entries = [entry for effect in effects for entry in effect.entries()]
    if known.kind == "serial":
        assert entries == sorted(entries), f"the parts of {known} were not in order"
    if known.after is not None:
        (entry,) = view.effect(known.after).entries()
        assert entry > max(entries, default=0)
