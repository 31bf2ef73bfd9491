"""The report: a table for people, JSON for programs."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Figure, Requirement

_HEADINGS = ("", "measured", "raw commits", "ratio", "required", "", "")

#: Columns of text; the others are aligned to the right.
_TEXT = (0, 4, 5, 6)

_DISTRIBUTIONS = ("zc.async", "ZODB", "ZEO", "BTrees", "persistent", "transaction", "Twisted")


def table(figures: Sequence[Figure]) -> str:
    """The figures as aligned lines."""
    rows = [_HEADINGS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def line(figure: Figure) -> str:
    """One figure by itself, to be read before all are known."""
    name, measured, raw, ratio, *rest = _row(figure)
    if raw:
        measured += f", {ratio} of {raw}"
    return "  ".join(text for text in (f"  {name}:", measured, *rest) if text)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        text.ljust(width) if column in _TEXT else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        "" if figure.raw is None else f"{_number(figure.raw)}/s",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.required is None else _bound(figure.required),
        {None: "", True: "ok", False: "MISSED"}[figure.met],
        figure.note,
    )


def _bound(required: Requirement) -> str:
    bounds = [("at least", required.at_least), ("at most", required.at_most)]
    text = " and ".join(f"{word} {bound:,g}" for word, bound in bounds if bound is not None)
    return text + (" of raw" if required.of == "ratio" else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def as_json(
    figures: Sequence[Figure], broken: Sequence[str], seconds: float, quick: bool, repeat: int
) -> dict[str, Any]:
    """The figures with what is needed to compare them with those of another day."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS},
        "quick": quick,
        "repeat": repeat,
        "seconds": seconds,
        "broken": list(broken),
        "met": not broken and all(figure.met is not False for figure in figures),
        "figures": [_figure(figure) for figure in figures],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    required = figure.required
    return {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "raw": figure.raw,
        "ratio": figure.ratio,
        "required": None
        if required is None
        else {"of": required.of, "at_least": required.at_least, "at_most": required.at_most},
        "met": figure.met,
        "note": figure.note,
    }
