"""Shows the log records of the library."""

import logging
import sys
from typing import TextIO


def print_logs(
    log_file: TextIO | None = None, log_level: int = logging.CRITICAL
) -> logging.Handler:
    """Write the library's log records to `log_file`, by default the present standard output.

    `log_level`: the lowest level that is written. Returns the handler;
    `logging.getLogger("zc.async").removeHandler` removes it. Meant for a quick look.
    """
    handler = logging.StreamHandler(sys.stdout if log_file is None else log_file)
    handler.setLevel(log_level)
    logging.getLogger("zc.async").addHandler(handler)
    return handler
