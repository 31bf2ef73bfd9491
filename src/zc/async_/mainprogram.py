"""Functions and classes of the main program, which other processes may not find.

A job keeps them by name, and the module `__main__` is another one in each program: a process that
runs another program waits for the code, as long as for any that is missing (see
`zc.async_.missing`). It may be meant nevertheless, where each process that runs jobs runs this very
program. So it is a warning, and whoever knows better filters it.
"""

import sys
import types
from collections.abc import Iterator
from typing import Any

import zc.async_.growing
import zc.async_.storable
import zc.async_.warners
from zc.async_.interfaces import IJob
from zc.async_.threadlocal import local

_MAIN = "__main__"


class MainProgramWarning(UserWarning):
    """A job needs a function or class of the main program, which other programs do not have."""


def warn_of(job: Any) -> None:
    """Warn of what a new job and its callbacks need of the main program. For the putting thread.

    Not of what the library puts by itself, nor of what a running job puts: its process has the
    code, and was started by somebody who saw the warning.
    """
    if job._system or local.claimed is not None:
        return
    jobs = [job]
    # Not by recursion: chains of callbacks may be long.
    while jobs:
        job = jobs.pop()
        for name in _names(job):
            zc.async_.warners.warn(_message(name), MainProgramWarning)
        callbacks = zc.async_.growing.items(job._callbacks, job._further_callbacks)
        jobs += zc.async_.storable._new_jobs(callbacks)
        # The parts of a composed job, which it puts when it runs.
        jobs += [part for part in job._args if _is_new_job(part)]


def _is_new_job(value: Any) -> bool:
    return IJob.implementedBy(type(value)) and value._p_jar is None


def _names(job: Any) -> Iterator[str]:
    """The names in `__main__` that a job would have to find."""
    policy = job._retry_policy_factory
    for stored in (getattr(job, "_callable", None), *(policy if type(policy) is tuple else ())):
        if isinstance(stored, str):
            module, _, name = stored.partition(":")
            if module == _MAIN:
                yield name
        elif stored is not None:
            yield from _name_of(stored[0])
    if type(job).__module__ == _MAIN:
        yield type(job).__qualname__
    for argument in (*job._args, *job._kwargs.values()):
        yield from _name_of(argument)


def _name_of(value: Any) -> Iterator[str]:
    """The name in `__main__` that a value is stored by, if it is."""
    kept_by_name = isinstance(value, (type, types.FunctionType))
    named = value if kept_by_name else type(value)
    if named.__module__ == _MAIN:
        yield named.__qualname__


def _message(name: str) -> str:
    first = name.partition(".")[0]
    spec = getattr(sys.modules.get(_MAIN), "__spec__", None)
    # A folder or archive that is run has one, too, by which nothing can be imported.
    if spec is None or spec.name == _MAIN:
        remedy = f"Put it into a module and import it from there (from MODULE import {first})"
    else:
        # Run by `python -m`: the module can be imported by its proper name.
        remedy = f"Import it by the name of its module (from {spec.name} import {first})"
    return (
        f"the job needs {name} of __main__, the main program, and a process that runs another "
        f"program waits for it, for a day, and then fails the job. {remedy}. If each process that "
        "runs jobs runs this very program, filter this warning: "
        "warnings.simplefilter('ignore', zc.async_.mainprogram.MainProgramWarning)"
    )
