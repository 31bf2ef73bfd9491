"""Twisted's reactors in separate threads: which one to use, and how to clean up after it."""

from typing import Any

try:
    from twisted.internet.pollreactor import PollReactor as AnyReactor
except ImportError:
    # Windows, where `select` has no limit of 1,024 descriptors.
    from twisted.internet.selectreactor import SelectReactor as AnyReactor

__all__ = ["AnyReactor", "close_wakers"]


def close_wakers(reactor: Any) -> None:
    """Close the descriptors by which threads wake a Twisted reactor, which never closes them.

    Only when no thread is left that might wake it: the system soon reuses a closed descriptor.
    """
    reactor.waker = None
    for reader in list(getattr(reactor, "_internalReaders", ())):
        reactor._removeInternalReader(reader)
        reader.connectionLost(None)
