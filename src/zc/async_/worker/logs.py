"""What the supervisor and the workers write to the standard error."""

import logging
import sys

from twisted.python.log import PythonLoggingObserver

from zc.async_.worker.values import level_number

#: Names of loggers that say something of each job, or of each attempt to connect: their INFO is for
#: "debug".
_DETAILED = ("zc.async.trace", "ZEO", "twisted")


def start(who: str, level: str) -> None:
    """Have records written, unless the application has seen to that.

    `who`: the process, for people. `level`: the name of one.
    """
    # Errors in what the reactor calls. Else they would be printed with a traceback.
    PythonLoggingObserver("twisted").start()
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s %(levelname)s {who}[%(process)d] %(name)s: %(message)s")
    )
    logging.getLogger().addHandler(handler)
    set_level(level)


def set_level(level: str) -> None:
    """Have records of that level, and of higher ones, written."""
    number = level_number(level)
    logging.getLogger().setLevel(number)
    for name in _DETAILED:
        detailed = number if number <= logging.DEBUG else max(number, logging.WARNING)
        logging.getLogger(name).setLevel(detailed)
