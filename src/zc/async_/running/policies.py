"""Which retry policy a job has."""

from typing import Any

import zope.component

from zc.async_.interfaces import IRetryPolicy
from zc.async_.running.contract import RunnableJob
from zc.async_.running.retry import RetryCommonForever, RetryCommonFourTimes, RetrySystem
from zc.twist.showing import show


def make_policy(job: RunnableJob) -> Any:
    """Make the policy of a job by its factory, or by the adapter that its factory names.

    Raises LookupError if there is no adapter of that name.
    """
    if job.is_of_system:
        return RetrySystem(job)
    factory = job.retry_policy_factory
    if factory is not None and not isinstance(factory, str):
        return factory(job)
    name = factory if isinstance(factory, str) else _default_name(job)
    policy = zope.component.queryAdapter(job, IRetryPolicy, name)
    if policy is not None:
        return policy
    if factory:
        raise LookupError(
            f"no adapter named {show(name)} from IJob to IRetryPolicy: register it, or set "
            f"another retry_policy_factory"
        )
    default = RetryCommonForever if name == "callback" else RetryCommonFourTimes
    return default(job)


def _default_name(job: RunnableJob) -> str:
    return "callback" if job.is_callback() else ""
