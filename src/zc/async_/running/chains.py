"""Callbacks as those see them who perform them: jobs, and proxies that choose one."""

from typing import Any

from zc.async_.interfaces import NEW, ICallbackProxy, IJob
from zc.async_.storing import record_as


def is_proxy(callback: Any) -> bool:
    """Whether a callback is no job, but what chooses one by the result."""
    # By its class: to ask the object itself loads it.
    return bool(ICallbackProxy.implementedBy(type(callback)))


def performed(callback: Any) -> bool:
    """Whether a callback has had its turn. (It may have put itself back, or wait for another.)"""
    return bool(callback.status != NEW)


def owner_of(callback: Any) -> Any:
    """The job that a callback was added to; proxies between them do not count.

    None if it is no callback.
    """
    owner = callback.parent
    while is_proxy(owner):
        owner = owner.parent
    # By its class: to ask the job itself loads it.
    return owner if IJob.implementedBy(type(owner)) else None


def pass_through(result: Any) -> Any:
    """Stands for the callback that a proxy does not have, so that those behind get the result."""
    return result


record_as("zc.async_.running", pass_through)
