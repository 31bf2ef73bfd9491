"""Stops dispatchers that have a thread, at the end of the process too."""

import atexit
import time
import weakref
from typing import Any

from zc.async_ import utils
from zc.async_.dispatcher import reactors

#: How long (real seconds) to wait for the stop of a dispatcher, after the grace period of its jobs.
PATIENCE = 3

#: Seconds between two looks at a dispatcher that is about to end.
LOOK_INTERVAL = 0.01


def stop(dispatcher: Any, seconds: float = PATIENCE) -> None:
    """Stop a dispatcher that has a thread, and wait until the thread has ended.

    `seconds`: how long to wait, after the grace period of the jobs. For any thread except the
    dispatcher's own. Raises nothing: check whether `dispatcher.thread` is alive.
    """
    thread = dispatcher.thread
    if not ask_to_stop(dispatcher):
        return
    end = time.monotonic() + dispatcher.shutdown_grace_period + seconds
    # Not by `join`: up to Python 3.12, one that a signal interrupts takes the thread for ended.
    while thread.is_alive() and time.monotonic() < end:
        time.sleep(LOOK_INTERVAL)
    if thread.is_alive():
        utils.log.critical(
            "dispatcher %s did not stop; a sibling will clean up after it", dispatcher.UUID
        )


def ask_to_stop(dispatcher: Any) -> bool:
    """Ask the reactor of a dispatcher to stop; return whether it runs. For any thread."""
    if dispatcher.thread is None or not dispatcher.thread.is_alive():
        return False
    dispatcher.reactor.callFromThread(reactors.stop, dispatcher.reactor)
    return True


class _StopAtExit:
    """Stops a dispatcher when the interpreter ends, if there is still one."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = weakref.ref(dispatcher)

    def __call__(self) -> None:
        dispatcher = self._dispatcher()
        if dispatcher is not None:
            stop(dispatcher)


#: The exit handlers of dispatchers that have a thread.
_exit_handlers: "weakref.WeakKeyDictionary[Any, _StopAtExit]" = weakref.WeakKeyDictionary()


def stop_at_exit(dispatcher: Any) -> None:
    """Stop a dispatcher at the end of the process. For any thread, before its own starts."""
    # Its thread, a daemon, would simply be cut off when the interpreter ends.
    _exit_handlers[dispatcher] = handler = _StopAtExit(dispatcher)
    atexit.register(handler)


def forget_exit_handler(dispatcher: Any) -> None:
    """Do nothing for a dispatcher at the end of the process. For one that has ended."""
    handler = _exit_handlers.pop(dispatcher, None)
    if handler is not None:
        atexit.unregister(handler)
