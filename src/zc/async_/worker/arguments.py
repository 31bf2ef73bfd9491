"""The arguments of `zc-async worker`."""

import argparse
from typing import Any

from zc.async_.worker.keys import KEYS

_DESCRIPTION = """\
Run jobs in so many processes, which are started again when they die.

SIGTERM or SIGINT has them stop claiming jobs, and gives those that run the time of --grace; a
second one interrupts these at once. SIGHUP reads the configuration file again and replaces the
workers one by one. What the command line says goes before the file."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the subparsers of an argparse parser; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "worker",
        help="run jobs, in processes that are kept running",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file that says the same, without the dashes, and has agents",
    )
    for key in KEYS:
        parser.add_argument(
            f"--{key.name}",
            dest=key.field,
            metavar=key.metavar,
            help=key.help,
            action="append" if key.repeated else "store",
        )
    return parser
