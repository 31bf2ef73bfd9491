"""Which of the waiting jobs some agents would take."""

from collections.abc import Callable
from typing import Any, NamedTuple

from zc.async_ import utils
from zc.async_.commands import BadQuestionError
from zc.async_.interfaces import IFilterAgent
from zc.async_.monitordb.reading import Place, reading


class _Taker(NamedTuple):
    """What an agent with a filter, or without, takes."""

    labels: frozenset[str]
    #: Its filter; None if it takes all.
    accepts: Callable[[Any], Any] | None

    def takes(self, job: Any) -> bool:
        if not self.labels.issuperset(job.needs):
            return False
        try:
            return self.accepts is None or bool(self.accepts(job))
        except utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            # So claims take it, too.
            return False


class Takers:
    """What the agents in some places take.

    Raises `BadQuestionError` as soon as it depends on a chooser whether a job is taken.
    """

    def __init__(self, places: list[Place]) -> None:
        self._takers: list[_Taker] = []
        #: Agents with choosers, and their labels.
        self._choosers: list[tuple[Place, frozenset[str]]] = []
        for place in places:
            with reading(place):
                labels = place.agents.labels_for(place.agent)
                if IFilterAgent.providedBy(place.agent):
                    self._takers.append(_Taker(labels, place.agent.filter))
                else:
                    self._choosers.append((place, labels))
        if self._choosers and not self.take_what_needs_nothing:
            self._refuse(self._choosers[0][0])

    def __bool__(self) -> bool:
        """Whether there is any agent."""
        return bool(self._takers)

    @property
    def take_what_needs_nothing(self) -> bool:
        """Whether all jobs are taken that need no labels, without a look at them."""
        return any(taker.accepts is None for taker in self._takers)

    def take(self, job: Any) -> bool:
        """Whether one of the agents takes a waiting job."""
        # Jobs of the system are run by any dispatcher.
        if job.is_of_system or any(taker.takes(job) for taker in self._takers):
            return True
        for place, labels in self._choosers:
            if labels.issuperset(job.needs):
                self._refuse(place)
        return False

    def _refuse(self, place: Place) -> None:
        raise BadQuestionError(
            f"{place} has no filter but a chooser, which cannot tell which of the pending jobs it "
            "would take: leave out pending, or ask about other agents"
        )
