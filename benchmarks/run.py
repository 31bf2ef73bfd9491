"""The command line: which measures run, how often, and where the figures go."""

import argparse
import json
import logging
import time
import traceback
from pathlib import Path

import zope.component

import zc.async_.interfaces
from benchmarks import measures, report
from benchmarks.figures import Figure, median
from benchmarks.scale import FULL, QUICK, Scale
from zc.async_.process import instanceuuid


def main(folder: Path, arguments: list[str] | None = None) -> int:
    """Measure in `folder`, print a table and write JSON; return the exit status.

    That is 1 if a measure broke down, not if a figure misses what is required of it: machines
    differ.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("zc.async").setLevel(logging.WARNING)
    zope.component.provideUtility(instanceuuid.UUID, zc.async_.interfaces.IUUID)
    started = time.monotonic()
    figures, broken = _run(options, folder)
    seconds = time.monotonic() - started
    print(report.table(figures))
    print(f"\n{seconds:.0f} s" + "".join(f"\nBROKEN: {name}" for name in broken))
    if options.json:
        content = report.as_json(figures, broken, seconds, options.quick, options.repeat)
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--only",
        type=_names,
        default=list(measures.MEASURES),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(measures.MEASURES)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="see that all works; the figures mean little"
    )
    parser.add_argument("--repeat", type=_positive, default=1, metavar="N", help="take medians")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in measures.MEASURES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(measures.MEASURES)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _run(options: argparse.Namespace, folder: Path) -> tuple[list[Figure], list[str]]:
    scale = QUICK if options.quick else FULL
    runs: list[list[Figure]] = []
    broken: list[str] = []
    # Whole rounds, so that a minute in which the machine is slow does not make up all of a median.
    for number in range(options.repeat):
        for name in options.only:
            print(f"{name} ({number + 1} of {options.repeat}) ...", flush=True)
            place = folder / f"{name}-{number}"
            place.mkdir()
            try:
                runs.append(_measure(name, place, scale))
            except Exception:
                traceback.print_exc()
                broken.append(name)
            else:
                # At once: all measures take minutes, and whoever ends them then keeps these.
                print("\n".join(map(report.line, runs[-1])), flush=True)
    return median(runs), broken


def _measure(name: str, folder: Path, scale: Scale) -> list[Figure]:
    return list(measures.MEASURES[name](folder, scale))
