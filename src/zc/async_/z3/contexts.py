"""The contexts in which the jobs of a thread run: one for each try that is under way.

A job that calls another one by hand has that one's context within its own.
"""

import functools
import inspect
import threading
from typing import Any

from zc.async_.interfaces import MissingCallableError
from zc.async_.z3 import steps
from zc.async_.z3.surroundings import Surroundings, establish


class Context:
    """That of one try of a job, and what the thread had before."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.before = Surroundings()
        #: Whether the callable was called in this context.
        self.has_begun = False
        #: That the code of the site is missing, without which there is nothing to call.
        self.missing: MissingCallableError | None = None


class _Present(threading.local):
    def __init__(self) -> None:
        #: The innermost one is the last.
        self.contexts: list[Context] = []


_present = _Present()


def enter(job: Any) -> None:
    """Have the thread be in the context of a job. See `establish` for errors: it is as before then.

    For the thread of the job, in its transaction.
    """
    context = Context(job)
    try:
        establish(job.site, job.site_was_in_tree, job.participants)
    except MissingCallableError as error:
        # Told when the callable is asked for, whoever runs the job has it wait.
        context.before.restore()
        context.missing = error
    except BaseException:
        context.before.restore()
        raise
    _present.contexts.append(context)


def leave(job: Any) -> None:
    """Have the thread be as it was before it entered the context of a job, if it did.

    Also those are left that jobs which this one had called did not leave.
    """
    contexts = _present.contexts
    for position, context in enumerate(contexts):
        if context.job is job:
            del contexts[position:]
            context.before.restore()
            return


def to_call(job: Any, callable: Any) -> Any:
    """What is to be called for a job's callable.

    Until that is done in its context, it is something which sees to it that a coroutine has the
    context, too, wherever it runs; else it is the callable itself. Raises `MissingCallableError` if
    there is no context since code is missing.
    """
    contexts = _present.contexts
    context = contexts[-1] if contexts else None
    if context is None or context.job is not job or context.has_begun:
        return callable
    if context.missing is not None:
        raise context.missing
    return functools.partial(_call, context, callable)


def _call(context: Context, callable: Any, /, *args: Any, **kwargs: Any) -> Any:
    context.has_begun = True
    result = callable(*args, **kwargs)
    if inspect.iscoroutine(result):
        job = context.job
        surroundings = steps.Elsewhere(job.site, job.site_was_in_tree, job.participants)
        return steps.with_context(result, surroundings, lambda: context in _present.contexts)
    return result
