"""What coroutines have workers do: `zc.async_.local.in_worker`.

A coroutine runs in the thread of the reactor, without a connection. Each function that it wants to
be called with one is a step: the task of its job goes to a worker for it, and comes back. Steps of
one job are done one after the other.
"""

import contextvars
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from zc.async_ import threadlocal
from zc.async_.dispatcher.pool import Pool, Task
from zc.async_.running import awaiting, steps
from zc.async_.storing import detached


class Step:
    """A function that a worker is to call. `do` is for its thread, the rest for the reactor's."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._value: Any = None
        #: Fires with what the function returned or raised.
        self.deferred: Deferred[Any] = Deferred()

    def do(self, job: Any, token: int) -> None:
        """Call it, and keep what it returns. Raises as `zc.async_.running.steps.call_for`."""
        connection = job._p_jar

        def call() -> Any:
            args, kwargs = detached.attach((self._args, self._kwargs), connection)
            return self._function(*args, **kwargs)

        self._value = detached.detach(steps.call_for(job, token, call))

    def fail(self, error: BaseException) -> None:
        """Note that the call raised."""
        self._value = Failure(error)

    def abandon(self) -> None:
        """Go on without having done it."""
        self.fail(awaiting.AbandonedError("the job of this coroutine has ended, or was lost"))
        self.fire()

    def fire(self) -> None:
        """Go on with the coroutine that waits for it."""
        if not self.deferred.called:
            self.deferred.callback(self._value)


class _Surroundings:
    """See `zc.async_.threadlocal.Surroundings`."""

    def __init__(self, dispatcher: Any, pool: Pool, task: Task) -> None:
        self.dispatcher = dispatcher
        self._pool = pool
        self._task = task

    def in_worker(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Deferred[Any]:
        step = Step(function, args, kwargs)
        if not self._pool.take_step(self._task, step):
            step.abandon()
        return step.deferred


def begin(dispatcher: Any, pool: Pool, task: Task) -> Deferred[Any]:
    """Begin with the coroutine of a task; its Deferred. For the thread of the reactor."""
    context = contextvars.copy_context()
    context.run(threadlocal.surroundings.set, _Surroundings(dispatcher, pool, task))
    begun: Deferred[Any] = context.run(Deferred.fromCoroutine, task.deferred)
    return begun


def step_done(pool: Pool, task: Task) -> None:
    """Note that a worker has done the step of a task, and go on."""
    step, task.step = task.step, None
    if task.fired:
        # The coroutine has ended without waiting for its steps.
        task.steps.clear()
        pool.hand(task)
        return
    if task.steps:
        task.step = task.steps.popleft()
        pool.hand(task)
    step.fire()


def give_up(pool: Pool, task: Task) -> None:
    """End the steps of a task whose job this process does not go on with."""
    pool.give_up(task)
    given_up, task.step = [task.step, *task.steps], None
    task.steps.clear()
    for step in given_up:
        step.abandon()
