"""What `zc-async demo` does, from the arguments to the exit status."""

import os

from zc.async_.demo import DemoError, files, storage
from zc.async_.demo.folder import instance_folder
from zc.async_.demo.stopping import Stop
from zc.async_.interfaces import AsyncError


def run(folder: str | None, instance: str | None, query: str) -> None:
    """Index `folder` in an instance, and report.

    `folder`: by default the one that the instance has begun with, else the standard library.
    `instance`: its folder; None: a temporary one. `query`: what to search for in the end.

    Raises DemoError with a message for people for everything that can be foreseen.
    """
    _check_extra()
    if folder is not None:
        files.check_folder(folder)
        folder = os.path.realpath(folder)
    # Needs the extra, so it cannot be imported before.
    from zc.async_.demo import search

    search.check(query)
    stop = Stop()
    with stop.listening(), instance_folder(instance) as path:
        try:
            # Not before: to import the core is to read the identity of the process, or to make it.
            from zc.async_.demo import session

            session.run(folder, path, instance is None, query, stop)
        except AsyncError as error:
            if isinstance(error.__cause__, OSError):
                # The identity could not be written. The advice for servers is none for the demo.
                raise storage.write_error(error.__cause__, path) from None
            raise


def _check_extra() -> None:
    """Raise DemoError if the packages of the extra are not there."""
    try:
        import rich.progress  # noqa: F401
        import zope.index.text.textindex  # noqa: F401
    except ImportError as error:
        raise DemoError(f'{error}: pip install "zc.async[demo]"') from None
