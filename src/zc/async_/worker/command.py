"""The command `zc-async worker`, from the arguments to the exit status."""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from zc.async_.worker import SettingsError, WorkerError, settings
from zc.async_.worker.settings import Settings


def run(arguments: Mapping[str, Any]) -> int:
    """Keep workers until a signal ends them; return the exit status.

    `arguments`: texts by the fields of `zc.async_.worker.keys`, and the path `config`. Raises
    WorkerError, with a message for people, for all errors that can be foreseen.
    """
    if os.name != "posix":
        raise WorkerError(
            "this needs signals and locks that only Unix has: start a dispatcher in a process of "
            "your own, with zc.async_.configure.start",
            2,
        )
    config = arguments["config"] and os.path.abspath(arguments["config"])

    def read() -> Settings:
        found = settings.read(arguments, config)
        check_extra(found)
        return found

    found = read()
    # Not earlier: help and errors in arguments come at once.
    from zc.async_.worker import logs, notify, supervisor

    logs.start("supervisor", found.log_level)
    try:
        return supervisor.Supervisor(found, read, notify.Notifier(os.environ)).run()
    except KeyboardInterrupt:
        # Before anything was started.
        return 130


def check_extra(found: Settings) -> None:
    """Raise SettingsError if a package is missing that the settings need."""
    needed = []
    if found.db:
        needed.append(("zodburi", "--db"))
    if found.max_memory is not None:
        needed.append(("psutil", "--max-memory"))
    for package, setting in needed:
        if importlib.util.find_spec(package) is None:
            raise SettingsError(
                f"{setting} needs the package {package}: pip install 'zc.async[worker]'"
            )
