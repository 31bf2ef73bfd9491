"""Stops dispatchers at the signals that ask a process to end."""

import os
import signal
import sys
import threading
from typing import Any

from zc.async_.stopping import threads

#: The earlier handlers by signal number, for each dispatcher that stops at signals. Changed by the
#: main thread.
signal_handlers: dict[Any, dict[int, Any]] = {}


def _default_handlers() -> dict[int, Any]:
    """The default handlers of Python for the signals that ask a process to end."""
    handlers: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    if hasattr(signal, "SIGBREAK"):
        handlers[signal.SIGBREAK] = signal.SIG_DFL
    return handlers


def stop_at_signals(dispatcher: Any) -> None:
    """Make a dispatcher stop at the signals that the application leaves to Python."""
    if threading.current_thread() is not threading.main_thread():
        return
    replaced = {}
    for number, default in _default_handlers().items():
        if number == signal.SIGINT and _is_session():
            continue
        if signal.getsignal(number) in (default, _handle_signal):
            signal.signal(number, _handle_signal)
            replaced[number] = default
    if replaced:
        signal_handlers[dispatcher] = replaced


def _is_session() -> bool:
    """Whether somebody types statements: there, an interrupt ends one of them, not the process."""
    return bool(sys.flags.interactive) or hasattr(sys, "ps1")


def _handle_signal(number: int, frame: Any) -> None:
    """Stop the dispatchers, and then do what Python would have done."""
    dispatchers = list(signal_handlers)
    # First of all, so that another signal of an impatient user takes effect.
    restore_signal_handlers()
    try:
        _stop_all(dispatchers)
    except BaseException:
        # Another signal: jobs get no more time. They are handed back, before whoever handles the
        # exception closes the database.
        for dispatcher in dispatchers:
            # A later stop gives them none either.
            dispatcher.shutdown_grace_period = 0
            dispatcher.reactor.callFromThread(dispatcher.limit_grace, 0)
        _stop_all(dispatchers)
        raise
    default = _default_handlers()[number]
    if callable(default):
        default(number, frame)
    else:
        # It was not restored if another handler replaced this one and has called it.
        signal.signal(number, default)
        os.kill(os.getpid(), number)


def _stop_all(dispatchers: list[Any]) -> None:
    for dispatcher in dispatchers:
        threads.ask_to_stop(dispatcher)
    for dispatcher in dispatchers:
        threads.stop(dispatcher)


def restore_signal_handlers(dispatcher: Any = None) -> None:
    """Remove the signal handlers of a dispatcher, by default of all, and restore the earlier ones.

    A handler that others have installed meanwhile stays. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for known in list(signal_handlers) if dispatcher is None else [dispatcher]:
        for number, previous in signal_handlers.pop(known, {}).items():
            used = any(number in numbers for numbers in signal_handlers.values())
            if not used and signal.getsignal(number) is _handle_signal:
                signal.signal(number, previous)
