"""The output of the demo: a progress bar on a terminal, and the summary."""

import sys
from typing import Any

import rich.console
import rich.progress

from zc.async_.demo import search
from zc.async_.demo.files import display
from zc.async_.demo.records import Demo


class Display:
    """Standard output. Only for the main thread."""

    def __init__(self) -> None:
        # No control characters may get into a file or a pipe. So the stream itself is asked: rich
        # would also follow environment variables.
        terminal = sys.stdout.isatty()
        self._console = rich.console.Console(
            file=sys.stdout, force_terminal=terminal, no_color=None if terminal else True
        )
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<8}"),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not terminal,
        )
        self._read = self._progress.add_task("reading", total=None)
        self._indexed = self._progress.add_task("indexing", total=None)

    def say(self, text: str) -> None:
        """Print one or more lines. The text is not interpreted."""
        self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def __enter__(self) -> "Display":
        """Show the progress from now on."""
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def show(self, demo: Demo) -> None:
        """Show the progress of the index."""
        indexed = demo.totals.files + sum(demo.totals.skipped.values())
        self._progress.update(self._read, completed=demo.read(), total=demo.length)
        self._progress.update(self._indexed, completed=indexed, total=demo.length)


def summary(demo: Demo) -> str:
    """The figures of a finished index, as lines."""
    totals, figures = demo.totals, demo.summary
    assert figures is not None  # only called for a finished index
    rate = figures.jobs / figures.seconds if figures.seconds else 0
    rows = [
        ("files", f"{totals.files:,} indexed{_skipped(totals.skipped)}"),
        ("words", f"{totals.words:,}"),
        ("bytes", f"{totals.size:,} read, {figures.written:,} written"),
        ("jobs", f"{figures.jobs:,} in {figures.seconds:.1f} s, {rate:,.0f} per second"),
        ("retries", f"{figures.retries:,}"),
    ]
    if demo.unreadable_folders:
        rows.insert(1, ("folders", f"{demo.unreadable_folders:,} could not be read"))
    return "\n".join(f"{name:<8} {text}" for name, text in rows)


def _skipped(skipped: dict[str, int]) -> str:
    if not skipped:
        return ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
    return f", {sum(skipped.values()):,} skipped ({reasons})"


def hits(demo: Demo, query: str) -> str:
    """The best hits for a query, as lines."""
    found = search.best_hits(demo.index, query)
    if not found:
        return f"no hits for {query!r}"
    best = found[: search.MOST_HITS]
    return "\n".join(
        [
            f"best of {len(found):,} hits for {query!r}:",
            *(f"{score:8.3f} {display(demo.path(number))}" for score, number in best),
        ]
    )


def failed_files(demo: Any) -> int:
    """How many files are missing in a finished index because a job failed."""
    totals = demo.totals
    return int(demo.length - totals.files - sum(totals.skipped.values()))
