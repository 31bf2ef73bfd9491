"""Whether a job, and what comes with it, can be stored: asked before the commit that would fail.

So whoever puts a job hears at once what is wrong with it.
"""

from typing import Any

import zc.async_.interfaces
from zc.async_.storing import PLAIN, growing, storable
from zc.twist.showing import show


def check_job(job: Any) -> None:
    """Raise `UnstorableError` if a new job, or something that comes with it, cannot be stored.

    With a job come its callable and arguments, its annotations, its callbacks, and the jobs among
    its arguments; of these the same is asked.
    """
    jobs = [job]
    #: Jobs may refer to each other.
    seen = set()
    # Not by recursion: chains of callbacks may be long.
    while jobs:
        job = jobs.pop()
        if id(job) in seen:
            continue
        seen.add(id(job))
        _check_call(job)
        for name, value in _new_annotations(job).items():
            storable.check(f"the name {show(name)} of an annotation", name)
            storable.check(f"annotation {show(name)}", value)
        # Most jobs have no callbacks, and nothing but numbers and texts as arguments, when they
        # are put.
        if job.early_callbacks:
            jobs += _new_jobs(growing.items(job.early_callbacks, job.further_early_callbacks))
        arguments = (*job.stored_args, *job.stored_kwargs.values())
        jobs += [value for value in arguments if type(value) not in PLAIN and is_new_job(value)]


def check_callback(callback: Any) -> None:
    """As `check_job`, for a job or proxy that is going to be a callback."""
    for job in _new_jobs([callback]):
        check_job(job)


def check_late(owner: Any, what: str, value: Any) -> None:
    """As `storable.check`, if `owner` is sure to be stored: it was put, say."""
    if type(value) not in PLAIN and _will_be_stored(owner):
        storable.check(what, value)
        if is_new_job(value):
            check_job(value)


def check_late_callback(owner: Any, callback: Any) -> None:
    """As `check_callback`, if `owner`, a job or a proxy, is going to be stored in any case."""
    if _will_be_stored(owner):
        check_callback(callback)


def _will_be_stored(owner: Any) -> bool:
    """Whether a job or proxy has been put, is in a database, or belongs to such a job."""
    while owner is not None and owner._p_jar is None:
        if not zc.async_.interfaces.IAbstractJob.providedBy(owner):
            return False
        owner = owner.parent
    return owner is not None


def is_new_job(value: Any) -> bool:
    """Whether a value is a job that no database has yet."""
    # By its class first: others are not to be loaded for this.
    job = zc.async_.interfaces.IJob
    return bool(job.implementedBy(type(value)) and value._p_jar is None)


def _new_annotations(job: Any) -> dict[Any, Any]:
    sidecar = getattr(job, "sidecar_record", None)
    return {} if sidecar is None or sidecar._p_jar is not None else dict(sidecar.annotations)


def _check_call(job: Any) -> None:
    stored = getattr(job, "stored_callable", None)
    if isinstance(stored, tuple):
        storable.check("the callable", stored[0])
    for position, argument in enumerate(job.stored_args):
        if type(argument) not in PLAIN:
            storable.check(f"argument {position}", argument)
    for name, argument in job.stored_kwargs.items():
        if type(argument) not in PLAIN:
            storable.check(f"argument {show(name)}", argument)
    storable.check("the retry_policy_factory", job.stored_policy_factory)


def _new_jobs(callbacks: Any) -> list[Any]:
    """The jobs that callbacks come down to, as far as they are new."""
    jobs: list[Any] = []
    left: list[Any] = list(callbacks)
    while left:
        callback = left.pop()
        if callback is None or callback._p_jar is not None:
            continue
        if not zc.async_.interfaces.ICallbackProxy.providedBy(callback):
            jobs.append(callback)
            continue
        proxy: Any = callback
        left += proxy.choices()
        for behind, _level, factory in proxy.all_callbacks():
            storable.check("the retry_policy_factory", factory)
            left.append(behind)
    return jobs
