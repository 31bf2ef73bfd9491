"""What may come of a fetch. The texts are for people: pages of the application show them."""

from typing import Any

import zc.async_.interfaces


class FetchError(Exception):
    """Something was not fetched."""


class Unreachable(FetchError):
    """The server is down, slow or busy: another try, later, may do."""


class NotThere(FetchError):
    """The server says that there is no such thing."""


class BadAnswer(FetchError):
    """The server answers nonsense, too much, or something of another kind."""


class Refused(FetchError):
    """This application does not fetch such an address."""


def explain(failure: Any) -> str:
    """What a page says of the failure of a fetch: a `zc.twist.Failure`."""
    if failure.check(FetchError):
        return failure.getErrorMessage()
    if failure.check(zc.async_.interfaces.TimeoutError):
        return "no worker had time for it"
    if failure.check(zc.async_.interfaces.AbortedError):
        return "the process that fetched it has ended"
    # Nothing that strangers need to know. It is in the log of the process, with its traceback.
    return "this application has met an error"
