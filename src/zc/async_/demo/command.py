"""The command `zc-async demo`, from the arguments to the exit status."""

import importlib.util
import os

from zc.async_.demo import DemoError, files, storage
from zc.async_.demo.folder import instance_folder
from zc.async_.demo.stopping import Stop
from zc.async_.interfaces import AsyncError
from zc.async_.worker import values


def run(folder: str | None, instance: str | None, query: str, processes: str | None = None) -> None:
    """Index `folder` in an instance, and report.

    `folder`: by default the folder with which the instance has begun, else the standard library.
    `instance`: its folder; None means a temporary one. `query`: what to search for at the end.
    `processes`: how many do the jobs, as a text; None: this one.

    Raises DemoError, with a message for people, for all errors that can be foreseen.
    """
    _check_extra()
    count = None if processes is None else _count(processes)
    if folder is not None:
        files.check_folder(folder)
        folder = os.path.realpath(folder)
    # This module needs the extra, so it cannot be imported earlier.
    from zc.async_.demo import search

    search.check(query)
    stop = Stop()
    with stop.listening(), instance_folder(instance) as path:
        try:
            # Not earlier: importing the core reads the identity of the process, or makes it.
            from zc.async_.demo import session

            session.run(folder, path, instance is None, query, stop, count)
        except AsyncError as error:
            if isinstance(error.__cause__, OSError):
                # The identity could not be written. The message has advice for servers, which does
                # not fit the demo.
                raise storage.write_error(error.__cause__, path) from None
            raise


def _count(processes: str) -> int:
    try:
        count = values.processes(processes)
    except ValueError:
        raise DemoError(
            f"--processes is {processes!r}: give a number of at least 1, or auto", 2
        ) from None
    if os.name != "posix":
        raise DemoError("worker processes need a Unix: leave out --processes", 2)
    if importlib.util.find_spec("zodburi") is None:
        raise DemoError('--processes needs the package zodburi: pip install "zc.async[worker]"')
    return count


def _check_extra() -> None:
    """Raise DemoError if the packages of the extra are missing."""
    try:
        import rich.progress  # noqa: F401
        import zope.index.text.textindex  # noqa: F401
    except ImportError as error:
        raise DemoError(f'{error}: pip install "zc.async[demo]"') from None
