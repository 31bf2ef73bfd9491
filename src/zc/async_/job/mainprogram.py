"""Functions and classes of the main program, which other processes may not find.

A job keeps them by name, and each program has another module `__main__`. A process that runs
another program waits for the code, as for any missing code (see `zc.async_.running.missing`). Where
all processes run this very program it is right nevertheless. So it is a warning, which can be
filtered.
"""

import sys
import types
from typing import Any

import zc.async_.warners
from zc.async_.interfaces import ICallbackProxy
from zc.async_.job import checks
from zc.async_.storing import PLAIN
from zc.async_.threadlocal import local

_MAIN = "__main__"

#: Of a name as `zc.async_.storing.callables` keeps it.
_BEGINNING = _MAIN + ":"


class MainProgramWarning(UserWarning):
    """A job needs a function or class of the main program, which other programs do not have."""


def warn_of(job: Any) -> None:
    """Warn if a job that is put, or added as a callback, needs code of the main program.

    To be called in the thread that does so. A callback is checked when it is added, whether its job
    was put or not: to find that out would cost more the longer a chain is.

    There is no warning for jobs of the library itself, nor for those that a running job puts: its
    process has the code, and was started by somebody who saw the warning.
    """
    if job.is_of_system or local.claimed is not None:
        return
    jobs, known = [job], {id(job)}
    # Not by recursion: composed jobs may be deep. A job may be its own argument.
    for job in jobs:
        # The parts of a composed job, which it puts when it runs.
        for value in job.stored_args:
            if type(value) not in PLAIN and checks.is_new_job(value) and id(value) not in known:
                known.add(id(value))
                jobs.append(value)
        for name in _names(job):
            zc.async_.warners.warn(_message(name), MainProgramWarning)


def is_plain(job: Any) -> bool:
    """Whether a new job calls a function of a module with numbers and texts, and has nothing else.

    Such a job can be stored, and needs nothing of the main program: most are like that.
    """
    stored = job.stored_callable
    if (
        type(stored) is not str
        or stored.startswith(_BEGINNING)
        or type(job).__module__ == _MAIN
        or job.stored_policy_factory is not None
        or job.early_callbacks
        or job.sidecar_record is not None
    ):
        return False
    return all(type(value) in PLAIN for value in (*job.stored_args, *job.stored_kwargs.values()))


def warn_of_callback(callback: Any) -> None:
    """As `warn_of`, of a job or a proxy that is added as a callback."""
    if ICallbackProxy.providedBy(callback):
        both: tuple[Any, ...] = (callback.success, callback.failure)
    else:
        both = (callback,)
    for job in both:
        if job is not None:
            warn_of(job)


def _names(job: Any) -> list[str]:
    """The names in `__main__` that a job would have to find."""
    names = []
    values = [job, *job.stored_args, *job.stored_kwargs.values()]
    stored = getattr(job, "stored_callable", None)
    policy = job.stored_policy_factory
    # A text is the name of an adapter.
    for kept in (stored, policy[0]) if type(policy) is tuple else (stored,):
        if type(kept) is tuple:
            values.append(kept[0])
        elif kept is not None and kept.startswith(_BEGINNING):
            names.append(kept[len(_BEGINNING) :])
    for value in values:
        kind = type(value)
        # Functions and classes are stored by their names, and others with those of their classes.
        named = value if kind is types.FunctionType or isinstance(value, type) else kind
        if named.__module__ == _MAIN:
            names.append(named.__qualname__)
    return names


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
        "warnings.simplefilter('ignore', zc.async_.job.mainprogram.MainProgramWarning)"
    )
