"""Jobs: calls that are stored, and their results.

One record holds what every job needs; others may want to write into its sidecar while it runs (see
`zc.async_.job.sidecar`). Attributes that have their usual value are not stored.
"""

import datetime
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import persistent
import zope.component
import zope.interface

import zc.async_.clock
import zc.async_.interfaces
import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    NEW,
    PENDING,
    BadStatusError,
)
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import ids, mainprogram, mistyped, yielding
from zc.async_.job import sidecar as sidecars
from zc.async_.job.arguments import ArgumentList, KeyedView
from zc.async_.job.callbacks import (
    CallbackProxy,
    ConditionalCallbackProxy,
    SuccessFailureCallbackProxy,
    success_or_failure,
)
from zc.async_.job.composition import part_ended, run_parallel, run_serial
from zc.async_.job.conditions import Conditions
from zc.async_.running import (
    At,
    NeverRetry,
    RetryCommonForever,
    RetryCommonFourTimes,
    RetrySystem,
    callback_runs,
    interruptions,
    performed,
    reporting,
    tries,
)
from zc.async_.storing import callables, growing, originals, storable
from zc.async_.threadlocal import local
from zc.twist import showing
from zc.twist.showing import show

#: Characters shown of an argument at least, though there are many.
SHORTEST_VALUE = 20

#: The number of the first status. The original numbered some of them from 0 to 3: what has been
#: made from its records, whoever does that, must not be misread.
FIRST_NUMBER = 10

_STATUSES = dict(enumerate((NEW, PENDING, ASSIGNED, ACTIVE, CALLBACKS, COMPLETED), FIRST_NUMBER))
_NUMBERS = {status: number for number, status in _STATUSES.items()}
#: Of jobs that no worker has.
_FREE = frozenset(map(_NUMBERS.__getitem__, (NEW, PENDING, COMPLETED)))


class _Binding:
    """What `Job.bind` is, which means one thing to the class and another to a job."""

    def __get__(self, job: Any, kind: type["Job"]) -> Any:
        return kind._make_bound if job is None else job._bind


_set = persistent.Persistent.__setattr__


@zope.interface.implementer(zc.async_.interfaces.IJob)
class Job(Conditions):
    """See `zc.async_.interfaces.IJob`."""

    # What is not stored if it has these values. Times are in microseconds.
    _status_id = FIRST_NUMBER
    _parent: Any = None
    _args: list[Any] = []
    _kwargs: dict[str, Any] = {}
    #: Callbacks that were added before the claim; see `zc.async_.storing.growing`.
    _callbacks: tuple[Any, ...] = ()
    _further_callbacks: Any = None
    _sidecar: sidecars.Sidecar | None = None
    #: The place for a sidecar that is not there yet when the job starts.
    _sidecars: Any = None
    _result: Any = None
    #: The job for whose result this one waits.
    _inner: Any = None
    #: A job that this one returned and is going to wait for, once it has a callback there.
    _joins: Any = None
    #: Counts the claims: a worker may go on while it is what it was when the worker got the job.
    _token = 0
    _assigner: bytes | None = None
    _start: int | None = None
    _end: int | None = None
    _callbacks_end: int | None = None
    _policy: Any = None
    #: Since when, and how often in vain, somebody looked for the code.
    _missing: tuple[int, int] | None = None
    #: Of a callback that committed its start: the claimed job in whose thread it runs.
    _runner: tuple[bytes, str, int] | None = None
    #: Whether its callbacks were left for later: then no agent has it any more.
    _left = False
    #: Of a callback: whether it was added so late that a job of the system was put for it.
    _on_its_own = False
    #: Of a part of a parallel job: the tally that it is counted in, and its number there.
    _part: Any = None
    #: Whether it was removed from its agent when it had started, and may still run.
    _unlisted = False
    #: The names of the databases in which it left receipts.
    _receipts: tuple[str, ...] = ()
    _failure_log_level: int | None = None
    _retry_policy_factory: Any = None

    def __init__(self, callable: Any, /, *args: Any, **kwargs: Any) -> None:
        self.callable = callable
        if args:
            self._args = list(args)
        if kwargs:
            self._kwargs = kwargs

    def __setattr__(self, name: str, value: Any) -> None:
        # Without `super`: attributes are set a dozen times in the life of a job.
        if name[0] != "_" and type(self) is Job and not hasattr(Job, name):
            # Subclasses know what they do.
            mistyped.refuse_if_mistyped(name)
        _set(self, name, value)

    @property
    def id(self) -> str | None:
        """See `zc.async_.interfaces.IJob`."""
        return ids.make_id(self)

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "_callable_root")
        super().__setstate__(state)
        number = self.__dict__.get("_status_id", FIRST_NUMBER)
        if number < FIRST_NUMBER:
            # An older version of this release counted from 0. That is no change of the record.
            self.__dict__["_status_id"] = number + FIRST_NUMBER

    # -- the call

    @property
    def callable(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return callables.from_stored(self._callable)

    @callable.setter
    def callable(self, value: Any) -> None:
        self._must_not_have_started("the callable")
        stored = callables.to_stored(value)
        storable.check_late(
            self, "the callable", stored[0] if isinstance(stored, tuple) else stored
        )
        self._callable = stored
        self._edited()

    @property
    def args(self) -> ArgumentList:
        """See `zc.async_.interfaces.IJob`."""
        return ArgumentList(lambda: self._args, self._changing_args, self._check_argument)

    @args.setter
    def args(self, value: Any) -> None:
        value = list(value)
        for position, argument in enumerate(value):
            self._check_argument(argument, position)
        self._args = value
        self._edited()

    def _changing_args(self) -> list[Any]:
        self._args = list(self._args)
        self._edited()
        return self._args

    @property
    def kwargs(self) -> KeyedView:
        """See `zc.async_.interfaces.IJob`."""
        return KeyedView(lambda: self._kwargs, self._changing_kwargs, self._check_argument)

    @kwargs.setter
    def kwargs(self, value: Any) -> None:
        value = dict(value)
        for name, argument in value.items():
            self._check_argument(argument, name)
        self._kwargs = value
        self._edited()

    def _check_argument(self, argument: Any, key: Any) -> None:
        storable.check_late(self, f"argument {show(key)}", argument)

    def _changing_kwargs(self) -> dict[str, Any]:
        self._kwargs = dict(self._kwargs)
        self._edited()
        return self._kwargs

    @property
    def _callable_root(self) -> Any:
        """The object whose method is called, or what is called. As the original kept it."""
        stored = self._callable
        return stored[0] if isinstance(stored, tuple) else self.callable

    @property
    def _callable_name(self) -> str | None:
        """The name of the method that is called, or None. As the original kept it."""
        return self._callable[1] if isinstance(self._callable, tuple) else None

    #: See `zc.async_.interfaces.IJob`.
    bind = _Binding()

    @classmethod
    def _make_bound(cls, /, *args: Any, **kwargs: Any) -> "Job":
        job = cls(*args, **kwargs)
        return job._bind(job)

    def _bind(self, /, *args: Any, **kwargs: Any) -> "Job":
        self._must_not_have_started("the arguments")
        for key, argument in (*enumerate(args), *kwargs.items()):
            self._check_argument(argument, key)
        if args:
            self._args = [*args, *self._args]
        if kwargs:
            self._kwargs = {**self._kwargs, **kwargs}
        self._edited()
        return self

    # -- where it is

    @property
    def status(self) -> str:
        """See `zc.async_.interfaces.IJob`."""
        return _STATUSES[self._status_id]

    def _set_status(self, status: str) -> None:
        self._status_id = _NUMBERS[status]

    @property
    def parent(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return self._parent

    @parent.setter
    def parent(self, value: Any) -> None:
        self._parent = value

    __parent__ = parent

    @property
    def queue(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        agent = self.agent
        if agent is None:
            return self._ancestor(zc.async_.interfaces.IQueue)
        # One of another class that was removed may find none.
        return getattr(agent, "queue", None)

    @property
    def agent(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return self._ancestor(zc.async_.interfaces.IAgent)

    def _ancestor(self, interface: Any) -> Any:
        ancestor = self._parent
        while ancestor is not None and not interface.providedBy(ancestor):
            ancestor = getattr(ancestor, "parent", None)
        return ancestor

    @property
    def assignerUUID(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._assigner is None else uuid.UUID(bytes=self._assigner)

    @property
    def key(self) -> int | None:
        """Sorts completed jobs, the newest first (see `utils.dt_to_long`); None before that."""
        if self._status_id != _NUMBERS[COMPLETED] or self.initial_callbacks_end is None:
            return None
        return utils.dt_to_long(self.initial_callbacks_end)

    @property
    def annotations(self) -> KeyedView:
        """See `zc.async_.interfaces.IJob`."""
        return KeyedView(self._read_annotations, self._changing_annotations, self._check_annotation)

    def _read_annotations(self) -> dict[Any, Any]:
        sidecar = sidecars.find(self)
        return {} if sidecar is None else sidecar.annotations

    def _check_annotation(self, value: Any, name: Any) -> None:
        storable.check_late(self, f"the name {show(name)} of an annotation", name)
        storable.check_late(self, f"annotation {show(name)}", value)

    def _changing_annotations(self) -> dict[Any, Any]:
        sidecar = sidecars.need(self)
        sidecar._p_changed = True
        return sidecar.annotations

    # -- times and what is told

    @property
    def active_start(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._start is None else zc.async_.clock.to_datetime(self._start)

    @property
    def active_end(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        return None if self._end is None else zc.async_.clock.to_datetime(self._end)

    @property
    def initial_callbacks_end(self) -> datetime.datetime | None:
        """See `zc.async_.interfaces.IJob`."""
        end = self._callbacks_end
        if end is None and self._status_id == _NUMBERS[COMPLETED]:
            end = self._end
        return None if end is None else zc.async_.clock.to_datetime(end)

    @property
    def failure_log_level(self) -> int | None:
        """See `zc.async_.interfaces.IJob`."""
        return self._failure_log_level

    @failure_log_level.setter
    def failure_log_level(self, value: int | None) -> None:
        self._failure_log_level = value

    @property
    def retry_policy_factory(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        factory = self._retry_policy_factory
        if isinstance(factory, tuple):
            return callables.from_stored(factory[0])
        return factory

    @retry_policy_factory.setter
    def retry_policy_factory(self, value: Any) -> None:
        # A tuple of the stored form, since a name of an adapter is a string, too.
        is_name = value is None or isinstance(value, str)
        factory = value if is_name else (callables.to_stored(value),)
        storable.check_late(self, "the retry_policy_factory", factory)
        self._retry_policy_factory = factory

    # -- waiting in a queue (for queues and claims only)

    def _wait_in(self, queue: Any, entry_key: int, keep_arrival: bool = False) -> None:
        """Note that the job waits in `queue`, and that the entry of this key is the one."""
        if keep_arrival:
            self._arrival = self._arrival or self._entry_key
        elif self._arrival is not None:
            self._arrival = None
        self._entry_key = entry_key
        self._parent = queue
        self._set_status(PENDING)

    def _claimed(self) -> None:
        """Note that the job was taken out of its queue."""
        self._parent = None
        self._set_status(NEW)
        self._token += 1
        if self._put_back:
            self._put_back = False
        if self._given_up is not None:
            self._given_up = None

    def _removed(self) -> None:
        """Note that the job was taken out of its queue, and is nobody's."""
        self._parent = None
        self._set_status(NEW)
        # Places in quotas that it had from a claim are its no more.
        self._token += 1
        if self._put_back:
            self._put_back = False

    def _assign(self, agent: Any) -> None:
        """Note that an agent has the job."""
        self._parent = agent
        self._set_status(ASSIGNED)

    def _activate(self, now: int, places: sidecars.Places | None = None) -> None:
        """Note that the job starts, and where its sidecar will be."""
        self._provide_sidecar(places)
        self._set_status(ACTIVE)
        self._start = now
        if self._unlisted:
            self._unlisted = False

    def _provide_sidecar(self, places: sidecars.Places | None = None) -> None:
        if self._sidecar is None and self._sidecars is None:
            self._sidecars = (places or sidecars.Places()).next(self)

    def _waits(self) -> bool:
        """Whether no thread is at the job, though it goes on: it waits, or its callbacks do."""
        if self._status_id == _NUMBERS[CALLBACKS]:
            return self._left
        return self._waits_for_result()

    def _waits_for_result(self) -> bool:
        """Whether the job waits for the result of another."""
        return self._inner is not None and self._status_id == _NUMBERS[ACTIVE]

    def _runner_lives(self) -> bool:
        """Whether the thread in which this callback was started still has its job."""
        if self._runner is None:
            return False
        oid, database_name, token = self._runner
        try:
            runner = self._p_jar.get_connection(database_name).get(oid)
            return bool(runner._token == token and runner.status in (ACTIVE, CALLBACKS))
        except (KeyError, AttributeError):
            # It was removed (a POSKeyError is a KeyError), or is no job any more.
            return False

    # -- callbacks

    @property
    def callbacks(self) -> tuple[Any, ...]:
        """See `zc.async_.interfaces.IJob`."""
        return tuple(self._callbacks_from(0))

    def _callbacks_from(self, position: int) -> Iterator[Any]:
        """The callbacks, but so many of the first."""
        early = self._callbacks, self._further_callbacks
        yield from growing.items(*early, position)
        sidecar = sidecars.find(self)
        if sidecar is not None:
            position = max(0, position - growing.length(*early))
            late = sidecar.callbacks, sidecar.further_callbacks
            yield from growing.items(*late, position)

    def addCallbacks(
        self,
        success: Any = None,
        failure: Any = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> CallbackProxy:
        """See `zc.async_.interfaces.IAbstractJob`."""
        proxy = CallbackProxy(
            None if success is None else as_job(success),
            None if failure is None else as_job(failure),
        )
        self.addCallback(proxy, failure_log_level, retry_policy_factory)
        return proxy

    def addCallback(
        self,
        callback: Any,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        callback = callback if isinstance(callback, ConditionalCallbackProxy) else as_job(callback)
        mainprogram.warn_of_callback(callback)
        storable.check_late_callback(self, callback)
        callback._set_up_as_callback(self, failure_log_level, retry_policy_factory)
        sidecar = sidecars.find(self)
        if self._status_id in (_NUMBERS[NEW], _NUMBERS[PENDING]) and not (
            # Else it would come before those that were added to an earlier run.
            sidecar is not None and sidecar.callbacks
        ):
            self._callbacks, self._further_callbacks = growing.extended(
                self._callbacks, self._further_callbacks, callback
            )
        else:
            self._add_late_callback(callback)
        return callback

    def _renewed_callbacks(self) -> int:
        """How often a callback that had been done with got something to call."""
        sidecar = sidecars.find(self)
        return 0 if sidecar is None else sidecar.renewed

    def _add_late_callback(self, callback: Any) -> None:
        sidecars.need(self).add_callback(callback)
        if self._p_jar is not None:
            # Whoever completes the job meanwhile makes this transaction conflict, and its next try
            # finds the job completed.
            self._p_jar.readCurrent(self)
        if self._status_id == _NUMBERS[COMPLETED]:
            callback._on_its_own = True
            self._start_callbacks()

    def _undo_end(self) -> None:
        """The job ended, but its transaction did not take effect everywhere: it is active again.

        Callbacks are performed after the end of the transaction, so none was.
        """
        self._result = self._end = self._callbacks_end = None
        self._receipts = ()
        self._set_status(ACTIVE)

    def _undo_completion(self) -> None:
        """The job is completed, but one of its callbacks has to be performed once more."""
        if self._status_id == _NUMBERS[COMPLETED]:
            self._callbacks_end = None
            self._set_status(CALLBACKS)

    def _set_up_as_callback(
        self, parent: Any, failure_log_level: int | None, retry_policy_factory: Any
    ) -> None:
        if self._status_id != _NUMBERS[NEW] or self._parent is not None:
            raise BadStatusError(f"{show(self)} is in use already: add a new job as the callback")
        self._parent = parent
        if failure_log_level is not None:
            self.failure_log_level = failure_log_level
        if retry_policy_factory is not None:
            self.retry_policy_factory = retry_policy_factory

    def _start_callbacks(self) -> None:
        """Have the callbacks performed by any dispatcher of the queue, or here if there is none."""
        queue = self.queue
        if queue is None:
            # Each callback is a transaction of its own, and one that fails is aborted.
            callback_runs.manager_of(self).commit()
            callback_runs.run_callbacks(self)
        else:
            self._leave_callbacks()
            queue.put(self._system_job(self.resumeCallbacks))

    def _go_on_at(self, when: At, left: bool) -> None:
        """Have any dispatcher go on with the callbacks at `when`.

        `left`: whether nobody is at them meanwhile.
        """
        if left:
            self._leave_callbacks()
        job = self._system_job(self.resumeCallbacks)
        job._wait_until(when, when.delay)
        self.queue.put(job)

    def _leave_callbacks(self) -> None:
        if self._status_id == _NUMBERS[CALLBACKS] and not self._left:
            self._left = True

    def _system_job(self, method: Any) -> "Job":
        """A job of a method of this one that any dispatcher runs, past filters and sizes."""
        job = Job(method)
        job._system = True
        return job

    def noteEnd(self) -> None:
        """Note that this part of a parallel job has ended. For jobs of the system."""
        part_ended(self)

    def resumeCallbacks(self) -> None:
        """See `zc.async_.interfaces.IJob`."""
        callback_runs.run_callbacks(self)

    # -- running and ending

    @property
    def result(self) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if self._status_id == _NUMBERS[ACTIVE]:
            return self._inner if self._joins is None else self._joins
        return self._result

    def setUp(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""

    def tearDown(self, setup_info: Any) -> None:
        """See `zc.async_.interfaces.IJob`."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return tries.run(self, args, kwargs)

    def _perform(self, result: Any) -> None:
        """Be called as a callback, without those behind it."""
        tries.perform(self, result)

    def _end_with(self, result: Any) -> None:
        """Note the result. The job is completed if it has no callbacks to perform."""
        waited = self._waits_for_result()
        self._result = result
        self._end = zc.async_.clock.microseconds()
        if self._inner is not None:
            self._inner = None
        if self._joins is not None:
            self._joins = None
        if self._runner is not None:
            self._runner = None
        # That a part has ended is noted in a transaction of its own, as if by a callback.
        noted = self._part is None or self._is_in_books()
        if noted and all(performed(callback) for callback in self._callbacks_from(0)):
            self._set_status(COMPLETED)
        else:
            self._set_status(CALLBACKS)
        if waited:
            # It is in no books that are looked through for free places.
            yielding.release(self, self._quota_names)

    def _leave_books(self) -> None:
        """Note that no agent lists this job any more, so that it tells of its end itself."""
        if self._part is not None:
            self._unlisted = True

    def _is_in_books(self) -> bool:
        """Whether its dispatcher will see its completion: this thread was given it, and has it."""
        claimed = local.claimed
        return (
            claimed is not None
            and not (self._left or self._unlisted)
            and claimed[0] == self._p_oid
            and claimed == (self._p_oid, self._p_jar.db().database_name, self._token)
        )

    def _see_callbacks(self) -> None:
        """Have this transaction conflict with a callback that is added meanwhile.

        For ends of which nobody keeps books, and which cost nothing to try again.
        """
        sidecars.see(self)
        for callback in self._callbacks_from(0):
            passed = isinstance(callback, ConditionalCallbackProxy) and callback._passed
            if passed and callback._p_jar is not None:
                # It may get something to call.
                callback._p_jar.readCurrent(callback)

    def _complete(self) -> None:
        """Note that the callbacks have been performed."""
        if self._part is not None and not self._is_in_books():
            part_ended(self)
        self._see_callbacks()
        self._set_status(COMPLETED)
        self._callbacks_end = zc.async_.clock.microseconds()

    def fail(self, error: Any = None) -> None:
        """See `zc.async_.interfaces.IJob`."""
        if self._status_id >= _NUMBERS[CALLBACKS]:
            raise BadStatusError(f"{show(self)} has ended already")
        self._fail(error)
        if self._status_id == _NUMBERS[CALLBACKS]:
            self._start_callbacks()

    def _fail(self, error: Any = None) -> None:
        """As `fail`, for who goes on with the callbacks himself."""
        failure = zc.twist.Failure(BeginByPassedError() if error is None else error)
        self._token += 1
        if self._status_id == _NUMBERS[PENDING]:
            self._parent.withdraw(self)
        self._end_with(failure)
        self._see_callbacks()
        reporting.log_result(self, failure)

    def _end_unstarted(self, error: Exception) -> None:
        """End a waiting job whose entry has been dealt with."""
        self._set_status(NEW)
        self.fail(error)

    def _wait_for(self, inner: Any) -> None:
        """Take over the result of `inner` when it completes."""
        self._inner = inner
        inner.addCallback(Job(self._receive))
        yielding.begin_to_wait(self)

    def noteAwaited(self) -> None:
        """Have those who wait for this job give up places that it needs. For jobs of the system."""
        yielding.note_above(self)

    def _join(self) -> None:
        """Wait for the job that this one returned, or end with its result."""
        inner, self._joins = self._joins, None
        if inner.status == COMPLETED:
            self._end_with(inner.result)
        else:
            self._wait_for(inner)

    def _new_job(self, item: Any, *args: Any) -> "Job":
        """A job of `item`, with `args` before what it is called with."""
        return as_job(item)._bind(*args)

    def _receive(self, result: Any) -> None:
        """Take over the result of the job that this one returned (a callback of that job)."""
        if not self._waits_for_result():
            # Somebody ended it meanwhile. The other job has to complete nevertheless.
            utils.log.info("%r waits no longer for a job that completed", self)
            return
        self._end_with(result)
        self._see_callbacks()
        reporting.log_result(self, result)
        if self._status_id == _NUMBERS[CALLBACKS]:
            self._start_callbacks()
        else:
            reporting.note_completed_elsewhere(self)

    # -- interruptions

    def getRetryPolicy(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        policy = self._policy
        if policy is None:
            policy = self._make_policy()
            if self._is_free_to_write():
                self._policy = policy
        return policy

    def _look_at_policy(self) -> Any:
        """The policy, which is not kept for that: it may never be asked."""
        if type(self).getRetryPolicy is not Job.getRetryPolicy:
            return self.getRetryPolicy()
        return self._make_policy() if self._policy is None else self._policy

    @property
    def _retry_policy(self) -> Any:
        """The policy that was asked, or that somebody got; None if there is none so far."""
        return self._policy

    @_retry_policy.setter
    def _retry_policy(self, value: Any) -> None:
        self._policy = value

    def _is_free_to_write(self) -> bool:
        """Whether no other thread may be at work on this record."""
        return local.job is self or self._status_id in _FREE

    def _make_policy(self) -> Any:
        if self._system:
            return RetrySystem(self)
        factory = self.retry_policy_factory
        name = factory if isinstance(factory, str) else self._default_policy_name()
        if factory is None or isinstance(factory, str):
            policy = zope.component.queryAdapter(self, zc.async_.interfaces.IRetryPolicy, name)
            if policy is None and factory:
                raise LookupError(
                    f"no adapter named {show(name)} from IJob to IRetryPolicy: register it, or set "
                    f"another retry_policy_factory"
                )
            if policy is None:
                default = RetryCommonForever if name == "callback" else RetryCommonFourTimes
                policy = default(self)
        else:
            policy = factory(self)
        return policy

    def _default_policy_name(self) -> str:
        return "callback" if self._is_callback() else ""

    def _is_callback(self) -> bool:
        return self._system or isinstance(self._parent, (Job, ConditionalCallbackProxy))

    def _effective_log_level(self) -> int:
        if self._failure_log_level is not None:
            return self._failure_log_level
        return logging.CRITICAL if self._is_callback() else logging.ERROR

    def handleInterrupt(self) -> None:
        """See `zc.async_.interfaces.IJob`."""
        interruptions.handle_interrupt(self)

    def handleCallbackInterrupt(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""
        return interruptions.handle_callback_interrupt(self)

    # -- for people

    def __repr__(self) -> str:
        head = utils.custom_repr(self)
        try:
            return showing.cut(f"<{head} ``{self._shown_call(len(head))}``>")
        except (
            AttributeError,
            TypeError,
            ValueError,
            originals.NotBroughtOverError,
        ):
            # A subclass that has no `_callable`, say: a repr that raises hides the real problem.
            return f"<{head}>"

    def _shown_call(self, used: int) -> str:
        """The callable and its arguments, which share the space that is left.

        `used`: characters of it that are not.
        """
        shown = utils.new_showing()
        call = callables.stored_repr(self._callable, shown)
        values: list[tuple[str, Any, Any]] = [("", None, value) for value in self._args]
        # An argument that is just "key" seldom opens anything: it sorts, or looks up.
        values += [
            (f"{name}=", None if name == "key" else name, value)
            for name, value in sorted(self._kwargs.items())
        ]
        left = showing.MAX_LENGTH - used - len(call) - len("<  ````>()")
        words = []
        for number, (prefix, name, value) in enumerate(values):
            if left <= 0:
                words.append(showing.CUT)
                break
            room = left // (len(values) - number) - len(prefix) - len(", ")
            words.append(prefix + shown.named(name, value, max(room, SHORTEST_VALUE)))
            left -= len(words[-1]) + len(", ")
        return f"{call}({', '.join(words)})"


def as_job(item: Any) -> Job:
    """`item` as a job: itself, its adapter to `IJob`, or a `Job` of it."""
    if isinstance(item, Job):
        return item
    job: Any = zc.async_.interfaces.IJob(item, None)
    return Job(item) if job is None else job


def serial(*jobs: Any, postprocess: Any = None) -> Job:
    """A job that runs the given jobs (or callables) one after the other.

    `postprocess`, a callable or a job, is called with the jobs once all have completed; its result
    is the result. By default that is the tuple of the jobs. A job that failed does not keep the
    others from running: look at their results. To add a job, append it to the `args` of the job
    returned: before it starts, from one of its jobs, or from a callback added to one of them before
    that one began.
    """
    return _composed(run_serial, jobs, postprocess)


def parallel(*jobs: Any, postprocess: Any = None) -> Job:
    """A job that puts the given jobs (or callables) into its queue all at once.

    Otherwise as `serial`.
    """
    return _composed(run_parallel, jobs, postprocess)


def _composed(run: Any, jobs: tuple[Any, ...], postprocess: Any) -> Job:
    after = None if postprocess is None else as_job(postprocess)
    return Job(run, *map(as_job, jobs), postprocess=after)


__all__ = [
    "ConditionalCallbackProxy",
    "Job",
    "NeverRetry",
    "RetryCommonForever",
    "RetryCommonFourTimes",
    "SuccessFailureCallbackProxy",
    "as_job",
    "parallel",
    "serial",
    "success_or_failure",
]
