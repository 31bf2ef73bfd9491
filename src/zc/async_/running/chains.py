"""What can be asked of any callback: it is a job, or a proxy that chooses one."""

from typing import Any

from zc.async_.interfaces import NEW, ICallbackProxy, IJob
from zc.async_.storing import record_as


def is_proxy(callback: Any) -> bool:
    """Whether a callback is a proxy, which chooses a job by the result."""
    # By its class: asking the object itself would load it.
    return bool(ICallbackProxy.implementedBy(type(callback)))


def performed(callback: Any) -> bool:
    """Whether a callback has had its turn. (It may have put itself back, or wait for another.)"""
    return bool(callback.status != NEW)


def owner_of(callback: Any) -> Any:
    """The job that a callback was added to, past any proxies; None if it is no callback."""
    owner = callback.parent
    while is_proxy(owner):
        owner = owner.parent
    # By its class: asking the job itself would load it.
    return owner if IJob.implementedBy(type(owner)) else None


def pass_through(result: Any) -> Any:
    """Takes the place of a callback that a proxy does not have: the next ones get the result."""
    return result


record_as("zc.async_.running", pass_through)
