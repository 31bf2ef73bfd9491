"""The process side: dispatchers, their polls and their worker threads."""

from zc.async_.dispatcher.core import Dispatcher
from zc.async_.dispatcher.records import PollInfo
from zc.async_.dispatcher.registry import clear, get, pop

__all__ = ["Dispatcher", "PollInfo", "clear", "get", "pop"]
