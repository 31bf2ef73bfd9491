"""Jobs of both applications, which outlast the stop of their process."""

import sys
import time

import zc.async_

#: Seconds. Longer than a stop waits for jobs that are about to end, when it gives them no time.
MOMENT = 1


def outlast():
    """Work until the dispatcher stops, and for a moment after that."""
    _wait_for_stop()
    time.sleep(MOMENT)
    return "ended in time"


def never_end():
    """Work for ever."""
    _wait_for_stop()
    while True:
        time.sleep(MOMENT)


def _wait_for_stop():
    dispatcher = zc.async_.local.getDispatcher()
    while dispatcher.activated:
        time.sleep(0.01)
    print("the dispatcher stops", file=sys.stderr, flush=True)
