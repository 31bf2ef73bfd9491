"""What must be so when everything has been drained."""

from typing import Any

from tests.statemachine.model import Known
from tests.statemachine.promises import is_for
from tests.statemachine.view import View
from zc.async_.interfaces import COMPLETED, NEW
from zc.twist import Failure


def is_drained(view: View) -> bool:
    """Whether nothing is left to do that is known of."""
    return not view.waiting and not any(len(agent) for agent, _jobs in view.agents)


def check_end(view: View) -> None:
    """Every job that was committed and not removed is completed; nothing is left behind."""
    assert len(view.queue) == 0
    for agent, jobs in view.agents:
        assert not jobs, f"left with an agent: {jobs}"
        assert len(agent) == 0
    for name, quota in view.queue.quotas.items():
        assert list(quota) == [], f"left in quota {name!r}: {list(quota)}"
    for known, _effect, job in view.known():
        status = NEW if job is None else job.status
        expected = _expected(view, known)
        assert status in expected, f"{known} is {status} in the end"


def _expected(view: View, known: Known) -> tuple[Any, ...]:
    if known.role == "put":
        return (NEW,) if known.removed else (COMPLETED,)
    owner = view.job(known.owner)
    if owner is None or owner.status != COMPLETED:
        return (NEW,)
    if known.role == "callback":
        return (COMPLETED,) if is_for(known.wanted, owner.result) else (NEW,)
    if known.role == "inner" and view.effect(known.owner).entries():
        return (COMPLETED,)
    return (COMPLETED, NEW) if isinstance(owner.result, Failure) else (COMPLETED,)
