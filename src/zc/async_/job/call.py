"""What a job calls, and with which arguments."""

import types
from typing import Any

import persistent

from zc.async_.job import checks
from zc.async_.job.arguments import ArgumentList, KeyedView
from zc.async_.storing import callables, detached
from zc.twist.showing import show


class _Binding:
    """What `Job.bind` is, which means one thing to the class and another to a job."""

    def __get__(self, job: Any, kind: type["Call"]) -> Any:
        return kind.make_bound if job is None else job.bind_first


def _method_of(owner: Any, name: str) -> Any:
    """A method, without a look at the state of its object."""
    found = getattr(type(owner), name)
    return types.MethodType(found, owner) if isinstance(found, types.FunctionType) else found


class Call(persistent.Persistent):
    """The part of a job that says what it calls. Changed until the job starts."""

    # Of the rest of the job.
    #: What `callables.to_stored` makes of the callable; None until there is one.
    stored_callable: Any = None
    #: Whether it calls a coroutine function: its places are others than those of threads.
    is_coroutine = False
    stored_args: list[Any]
    stored_kwargs: dict[str, Any]
    _must_not_have_started: Any
    _edited: Any

    def _check_argument(self, argument: Any, key: Any) -> None:
        checks.check_late(self, f"argument {show(key)}", argument)

    @property
    def callable(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        if self.stored_callable is None:
            raise AttributeError(
                "this job has no callable: the __init__ of its class has to call that of Job"
            )
        return callables.from_stored(self.stored_callable)

    @callable.setter
    def callable(self, value: Any) -> None:
        self._must_not_have_started("the callable")
        stored = callables.to_stored(value)
        checks.check_late(self, "the callable", stored[0] if isinstance(stored, tuple) else stored)
        self.stored_callable = stored
        is_coroutine = callables.is_coroutine_function(value)
        if is_coroutine != self.is_coroutine:
            self.is_coroutine = is_coroutine
        self._edited()

    def detached_call(self, call: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """What is called, its arguments and its keywords, for another thread than this one.

        `call`: what is called in this thread. What is returned belongs to no connection: see
        `zc.async_.storing.detached`. Unless the code has changed since the job was put, and makes
        no coroutine any more: then it is for this thread.
        """
        stored = self.stored_callable
        if not callables.is_coroutine_function(callables.from_stored(stored)):
            return call, self.stored_args, self.stored_kwargs
        root, name = (None, None) if isinstance(stored, str) else stored
        root, args, kwargs = detached.copied((root, self.stored_args, self.stored_kwargs))
        if not isinstance(stored, str):
            call = root if name is None else _method_of(root, name)
        return call, args, kwargs

    @property
    def args(self) -> ArgumentList:
        """See `zc.async_.interfaces.IJob`."""
        return ArgumentList(lambda: self.stored_args, self._changing_args, self._check_argument)

    @args.setter
    def args(self, value: Any) -> None:
        value = list(value)
        for position, argument in enumerate(value):
            self._check_argument(argument, position)
        self.stored_args = value
        self._edited()

    def _changing_args(self) -> list[Any]:
        self.stored_args = list(self.stored_args)
        self._edited()
        return self.stored_args

    @property
    def kwargs(self) -> KeyedView:
        """See `zc.async_.interfaces.IJob`."""
        return KeyedView(lambda: self.stored_kwargs, self._changing_kwargs, self._check_argument)

    @kwargs.setter
    def kwargs(self, value: Any) -> None:
        value = dict(value)
        for name, argument in value.items():
            self._check_argument(argument, name)
        self.stored_kwargs = value
        self._edited()

    def _changing_kwargs(self) -> dict[str, Any]:
        self.stored_kwargs = dict(self.stored_kwargs)
        self._edited()
        return self.stored_kwargs

    def keep_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what this call got besides, for one that another thread makes later."""
        if args:
            self.stored_args = [*self.stored_args, *args]
        if kwargs:
            self.stored_kwargs = {**self.stored_kwargs, **kwargs}

    @property
    def _callable_root(self) -> Any:
        """The object whose method is called, or what is called. As the original kept it."""
        stored = self.stored_callable
        return stored[0] if isinstance(stored, tuple) else self.callable

    @property
    def _callable_name(self) -> str | None:
        """The name of the method that is called, or None. As the original kept it."""
        return self.stored_callable[1] if isinstance(self.stored_callable, tuple) else None

    #: See `zc.async_.interfaces.IJob`.
    bind = _Binding()

    @classmethod
    def make_bound(cls, /, *args: Any, **kwargs: Any) -> Any:
        """A job that is called with itself first: `Job.bind` of the class."""
        job = cls(*args, **kwargs)
        return job.bind_first(job)

    def bind_first(self, /, *args: Any, **kwargs: Any) -> Any:
        """Put arguments before those that are there: `bind` of a job."""
        self._must_not_have_started("the arguments")
        for key, argument in (*enumerate(args), *kwargs.items()):
            self._check_argument(argument, key)
        if args:
            self.stored_args = [*args, *self.stored_args]
        if kwargs:
            self.stored_kwargs = {**self.stored_kwargs, **kwargs}
        self._edited()
        return self
