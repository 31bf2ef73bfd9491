"""What coroutines have workers do: `zc.async_.local.in_worker`.

A coroutine runs in the thread of the reactor, without a connection. Each function that it wants to
be called with one is a step: the task of its job goes to a worker for it, and comes back. Steps of
one job are done one after the other.
"""

import contextvars
import threading
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
        self._value = Failure(detached.detach(error))

    def abandon(self) -> None:
        """Go on without having done it."""
        self.fail(awaiting.AbandonedError("the job of this coroutine has ended, or was lost"))
        self.fire()

    @property
    def is_wanted(self) -> bool:
        """Whether the coroutine still waits for it: it may have been cancelled. For any thread."""
        return not self.deferred.called

    def fire(self) -> None:
        """Go on with the coroutine that waits for it."""
        if self.is_wanted:
            self.deferred.callback(self._value)


class _Surroundings:
    """See `zc.async_.threadlocal.Surroundings`."""

    def __init__(self, dispatcher: Any, pool: Pool, task: Task) -> None:
        self.dispatcher = dispatcher
        self._pool = pool
        self._task = task
        self._reactor_thread = threading.get_ident()
        #: Whether a step was refused.
        self._is_told = False

    def in_worker(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Deferred[Any]:
        step = Step(function, args, kwargs)
        if threading.get_ident() == self._reactor_thread:
            self._take(step)
        else:
            # Another thread has fired what the coroutine awaited, and goes on with it.
            self.dispatcher.reactor.callFromThread(self._take, step)
        return step.deferred

    def _take(self, step: Step) -> None:
        if not self._pool.take_step(self._task, step) and not self._is_told:
            # Once: a coroutine that tries again after each error would do so for ever.
            self._is_told = True
            step.abandon()


def begin(dispatcher: Any, pool: Pool, task: Task) -> Deferred[Any]:
    """Begin with the coroutine of a task; its Deferred. For the thread of the reactor."""
    context = contextvars.copy_context()
    context.run(threadlocal.surroundings.set, _Surroundings(dispatcher, pool, task))
    begun: Deferred[Any] = context.run(Deferred.fromCoroutine, task.deferred)
    task.deferred = task.coroutine = begun
    return begun


def step_done(pool: Pool, task: Task) -> None:
    """Note that a worker has done the step of a task, and go on."""
    step, task.step = task.step, None
    if task.fired:
        # The coroutine has ended without waiting for its steps. Others may wait for them.
        pool.hand(task)
        _abandon(task)
    elif task.steps:
        task.step = task.steps.popleft()
        pool.hand(task)
    step.fire()


def give_up(pool: Pool, task: Task) -> None:
    """End the coroutine of a task whose job this process does not go on with."""
    pool.give_up(task)
    _abandon(task)
    if task.coroutine is not None:
        task.coroutine.cancel()


def _abandon(task: Task) -> None:
    given_up = [*filter(None, [task.step]), *task.steps]
    task.step = None
    task.steps.clear()
    for step in given_up:
        step.abandon()
