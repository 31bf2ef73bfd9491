"""Seeing what the library logs."""

import logging
import sys
from typing import TextIO


def print_logs(
    log_file: TextIO | None = None, log_level: int = logging.CRITICAL
) -> logging.Handler:
    """Have what the library logs written to `log_file`, by default standard output as it is now.

    `log_level`: the lowest level that is written. Returns the handler, which
    `logging.getLogger("zc.async").removeHandler` takes away again. Meant for a quick look.
    """
    handler = logging.StreamHandler(sys.stdout if log_file is None else log_file)
    handler.setLevel(log_level)
    logging.getLogger("zc.async").addHandler(handler)
    return handler
