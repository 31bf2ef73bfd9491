"""Measured figures, and what is required of them."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Requirement:
    """A bound of a figure's value, or of its ratio to the raw rate."""

    #: "value" or "ratio".
    of: str
    at_least: float | None = None
    at_most: float | None = None

    def met_by(self, figure: "Figure") -> bool:
        """Whether a figure is as required."""
        measured = figure.value if self.of == "value" else figure.ratio
        if measured is None:
            return False
        return (self.at_least is None or measured >= self.at_least) and (
            self.at_most is None or measured <= self.at_most
        )


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line of the report."""

    #: Unique in a report.
    name: str
    value: float
    unit: str
    #: Commits of one small object by one client of the same storage, a second, at the same time.
    raw: float | None = None
    #: The value as a part of `raw`.
    ratio: float | None = None
    required: Requirement | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the figure is as required; None if nothing is."""
        return None if self.required is None else self.required.met_by(self)


def at_least(ratio: float) -> Requirement:
    """At least this part of the raw rate."""
    return Requirement("ratio", at_least=ratio)


def at_most(value: float) -> Requirement:
    """At most this value."""
    return Requirement("value", at_most=value)


def rate(
    name: str, per_second: float, raw: float, required: Requirement | None = None, note: str = ""
) -> Figure:
    """A figure of jobs a second."""
    return Figure(name, per_second, "jobs/s", raw, per_second / raw, required, note)


def median(runs: Iterable[Sequence[Figure]]) -> list[Figure]:
    """The medians of the figures of each name, in the order of their first appearance.

    A ratio is the median of ratios, each of which was measured within seconds.
    """
    by_name: dict[str, list[Figure]] = {}
    for run in runs:
        for figure in run:
            by_name.setdefault(figure.name, []).append(figure)
    return [_median(figures) for figures in by_name.values()]


def _median(figures: list[Figure]) -> Figure:
    return dataclasses.replace(
        figures[-1],
        value=statistics.median(figure.value for figure in figures),
        raw=_median_of_known([figure.raw for figure in figures]),
        ratio=_median_of_known([figure.ratio for figure in figures]),
    )


def _median_of_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
