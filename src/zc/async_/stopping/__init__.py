"""Ends dispatchers: at a call, at a signal, at the end of the process."""

from zc.async_.stopping import signals, threads
from zc.async_.stopping.forgetting import NotStoppedError, stop_all
from zc.async_.storing import record_as

__all__ = ["NotStoppedError", "signals", "stop_all", "threads"]

record_as(__name__, NotStoppedError)
