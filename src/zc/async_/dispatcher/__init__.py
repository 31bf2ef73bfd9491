"""The process side: dispatchers, their polls and their worker threads."""

from zc.async_.dispatcher import reactors
from zc.async_.dispatcher.core import Dispatcher
from zc.async_.dispatcher.ending import is_own_thread, join_workers
from zc.async_.dispatcher.pool import Worker
from zc.async_.dispatcher.reactors import Reactor
from zc.async_.dispatcher.records import PollInfo
from zc.async_.process import clear, get, pop

__all__ = [
    "Dispatcher",
    "PollInfo",
    "Reactor",
    "Worker",
    "clear",
    "get",
    "is_own_thread",
    "join_workers",
    "pop",
    "reactors",
]
