"""Twisted's reactors in threads of their own: which one, and how nothing is left of it."""

from typing import Any

try:
    from twisted.internet.pollreactor import PollReactor as AnyReactor
except ImportError:
    # Windows, where `select` has no limit of 1,024 descriptors.
    from twisted.internet.selectreactor import SelectReactor as AnyReactor

__all__ = ["AnyReactor", "close_wakers"]


def close_wakers(reactor: Any) -> None:
    """Close the descriptors by which threads wake a reactor of Twisted, which keeps them for ever.

    Only when no thread is left that might: the number of a closed descriptor is soon another's.
    """
    reactor.waker = None
    for reader in list(getattr(reactor, "_internalReaders", ())):
        reactor._removeInternalReader(reader)
        reader.connectionLost(None)
