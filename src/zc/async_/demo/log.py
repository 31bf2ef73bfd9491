"""The log of an instance: records of libraries, which must not appear on the terminal."""

import contextlib
import logging
import os
from collections.abc import Iterator

from zc.async_.demo.folder import LOG


class _FileHandler(logging.FileHandler):
    """Keeps quiet when it cannot write, as on a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""


@contextlib.contextmanager
def logging_to(instance: str) -> Iterator[None]:
    """Write the log records of this process to a file in the folder of an instance."""
    handler = _FileHandler(os.path.join(instance, LOG), encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()
