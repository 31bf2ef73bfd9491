"""Functions that old records name, and new code does not use.

Records name them in `zc.async.job`, where `zc.async_.job.__getattr__` finds them by `find`. Records
whose contents have changed need more than that, and are not treated here. Deprecated choosers have
stayed where they were (`zc.async_.agent.chooseFirst`).
"""

from typing import Any

import zc.twist
from zc.async_.running import retry


def isFailure(value: Any) -> bool:
    """Whether the result of a job is a failure."""
    return isinstance(value, zc.twist.Failure)


def callback_retry_policy_factory(job: Any) -> Any:
    """Make the retry policy that callbacks have by default."""
    return retry.RetryCommonForever(job)


#: By the module and the name that records tell.
_homes = {
    ("zc.async_.job", "isFailure"): isFailure,
    ("zc.async_.job", "callback_retry_policy_factory"): callback_retry_policy_factory,
}


def find(module: str, name: str) -> Any:
    """The function that a record means by the name of a module. AttributeError if it is unknown."""
    try:
        return _homes[module, name]
    except KeyError:
        raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
