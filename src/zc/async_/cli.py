"""The command `zc-async`."""

import argparse
import contextlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence

from zc.async_.demo import DEFAULT_QUERY
from zc.async_.interfaces import AsyncError
from zc.async_.worker import arguments as worker_arguments

_DEMO = """\
Make a full-text index of every text, Python and ReST file under FOLDER with jobs in a database: one
job reads and splits each file, others merge the words into the index, one at a time, and callbacks
keep the totals. Then report, and search.

Stop it with Ctrl-C or kill it outright, and start it again with the same --instance: it goes on
where it was."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    `arguments`: those after the command's name, by default the process's. Returns the exit status:
    0 for success, 1 if something failed, 2 if the request cannot be carried out, 128 + N if signal
    N stopped it. Raises SystemExit for arguments that cannot be parsed, and after the help.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be text in any encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except AsyncError as error:
        print(f"zc-async {options.command}: {error}", file=sys.stderr)
        return getattr(error, "status", 1)
    except BrokenPipeError:
        # The reader of the output has closed it. Python would complain again when it flushes.
        with contextlib.suppress(OSError, ValueError):
            stdout = sys.stdout.fileno()
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
        return 1
    except OSError as error:
        print(f"zc-async {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zc-async", description="Durable jobs in the ZODB.")
    parser.add_argument(
        "--version", action="version", version=f"zc.async {importlib.metadata.version('zc.async')}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="index the text files of a folder, and survive being killed",
        description=_DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        help="what to index (default: the standard library of this Python)",
    )
    demo.add_argument(
        "--instance",
        metavar="DIR",
        help="the folder that keeps the database, made if it is missing (default: a temporary one, "
        "removed at the end)",
    )
    demo.add_argument(
        "--query",
        metavar="TEXT",
        default=DEFAULT_QUERY,
        help="what to search for when the index is made (default: %(default)s)",
    )
    demo.add_argument(
        "--processes",
        metavar="N",
        help="have worker processes do the jobs, with a ZEO server for them; auto: as many as "
        "there are cores (default: this process does them)",
    )
    demo.set_defaults(run=_demo)
    worker_arguments.add_parser(commands).set_defaults(run=_worker)
    return parser


def _demo(options: argparse.Namespace) -> int:
    # Imported here so that help and errors in arguments come at once, and without the packages of
    # the extra.
    from zc.async_.demo import command

    command.run(options.folder, options.instance, options.query, options.processes)
    return 0


def _worker(options: argparse.Namespace) -> int:
    from zc.async_.worker import command

    return command.run(vars(options))
